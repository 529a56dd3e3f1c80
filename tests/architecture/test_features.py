"""One name a feature: its view, flow, templates, texts, test and docs page share it."""

from __future__ import annotations

from pathlib import Path

import pytest

import nipo_auth_mw
from nipo_auth_mw._web.routes import ROUTES

PACKAGE = Path(nipo_auth_mw.__file__).parent
ROOT = PACKAGE.parent
# What several features share, each with its reason.
SHARED_FLOWS = {
    "accept_link": "every link that sets a password",
    "account_state": "writes what the product keeps beside an account",
    "advance": "the next step of a sign-in",
    "health": "whether sign-in works",
    "lock_answers": "how a lock of passwords or codes shows",
    "mails": "what a mail on its way needs",
    "new_password": "every check of a password that is to be set",
    "outcomes": "what a flow returns",
    "password_check": "every check of a password",
    "proof_changes": "every change of the second step's proofs",
    "requirement": "what a user has to do first",
    "revocation": "what a change ends",
    "second_check": "every check of a second step",
    "sweep": "what falls due without a request",
}
SHARED_VIEWS = {
    "files": "static files",
    "forward": "for proxies alone",
    "health": "for programs alone",
    "openapi": "for programs alone",
}
SHARED_TEMPLATES = {
    "base": "the frame of every page",
    "brand": "the name of the site",
    "message": "the frame of every mail",
    "problem": "a refusal without a page of its own",
    "requirement": "a form was sent before a requirement was met",
    "session_ended": "a form was sent without a session",
}
SHARED_TEXTS = {"common": "what several features say"}


def stems(folder: Path, pattern: str) -> set[str]:
    return {path.name.partition(".")[0] for path in folder.glob(pattern)} - {"__init__"}


def features() -> set[str]:
    """The views. A view whose name begins with another one's belongs to that feature: `staff_bulk` to `staff`."""
    views = stems(PACKAGE / "_web" / "views", "*.py") - set(SHARED_VIEWS)
    return {name for name in views if not any(name.startswith(f"{other}_") for other in views)}


FEATURES = features()


def feature_of(name: str) -> str:
    """The feature that a name of a flow or a template belongs to; the name itself for one of no feature."""
    return next(
        (feature for feature in FEATURES if name == feature or name.startswith((f"{feature}_", f"{feature}-"))), name
    )


def test_the_features_are_those_that_the_docs_list() -> None:
    assert {"login", "logout", "staff", "audit", "email_change"} < FEATURES
    assert not FEATURES & {*SHARED_FLOWS, *SHARED_VIEWS, *SHARED_TEMPLATES, *SHARED_TEXTS}


def test_every_flow_has_the_name_of_a_feature() -> None:
    flows = stems(PACKAGE / "_flows", "*.py")
    assert {feature_of(name) for name in flows} <= FEATURES | set(SHARED_FLOWS)
    assert set(SHARED_FLOWS) <= flows


def test_every_template_has_the_name_of_a_feature() -> None:
    names = {name for name in stems(PACKAGE / "templates", "*") if not name.startswith("_")}
    assert {feature_of(name) for name in names} <= FEATURES | set(SHARED_TEMPLATES)
    assert set(SHARED_TEMPLATES) <= names


@pytest.mark.parametrize("language", [path.name for path in sorted((PACKAGE / "locale").iterdir())])
def test_every_feature_has_texts_in_every_language(language: str) -> None:
    assert stems(PACKAGE / "locale" / language, "*.toml") == FEATURES | set(SHARED_TEXTS)


def test_every_feature_has_a_test() -> None:
    assert stems(ROOT / "tests" / "features", "test_*.py") >= {f"test_{feature}" for feature in FEATURES}


def test_every_feature_has_a_docs_page_and_no_page_is_of_none() -> None:
    assert stems(ROOT / "docs" / "features", "*.md") - {"README"} == FEATURES


def test_every_route_belongs_to_a_feature() -> None:
    owners = {feature_of(route.feature) for route in ROUTES}
    assert owners == FEATURES | set(SHARED_VIEWS)
