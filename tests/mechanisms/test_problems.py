"""One problem table: every code has a status and its texts, and no text is of none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nipo_auth_mw
from nipo_auth_mw import errors
from nipo_auth_mw._pages.catalogues import shipped
from nipo_auth_mw._web.problems import PROBLEMS, status_of, text_of
from nipo_auth_mw._web.requirements import REQUIREMENTS

PACKAGE = Path(nipo_auth_mw.__file__).parent
TEXTS = {text_of(code, detail) for code, kind in PROBLEMS.items() for detail in ("", *kind.details)}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_code_has_its_texts_and_no_text_is_of_no_code(language: str) -> None:
    told = {key.split(".")[1] for key in shipped(language) if key.startswith("problem.")}
    # A code that is refused with one of its details alone needs no text of its own.
    assert TEXTS - told <= {"password_rejected"}
    assert told <= TEXTS


def test_every_status_is_a_refusal() -> None:
    for code, kind in PROBLEMS.items():
        assert all(400 <= status <= 503 for status in (kind.status, *kind.details.values())), code


def test_every_code_that_the_package_names_is_in_the_table() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        found |= set(re.findall(r'\b(?:Refused|BadRequest)\("(\w+)"', path.read_text("utf-8")))
    assert len(found) > 15
    assert found <= set(PROBLEMS)


def test_every_account_error_is_in_the_table() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AccountError)]
    codes = {kind.code for kind in kinds} - {errors.AccountError.code}
    assert codes <= set(PROBLEMS)


def test_every_requirement_is_in_the_table() -> None:
    assert {requirement.code for requirement in REQUIREMENTS} <= set(PROBLEMS)


def test_a_detail_may_have_a_status_of_its_own() -> None:
    assert status_of("email_taken") == 422
    assert status_of("email_taken", "back") == 409
    with pytest.raises(KeyError):
        status_of("email_taken", "unknown")
