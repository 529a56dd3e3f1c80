"""Requirements: whatever is pending comes before everything else, for any requirement."""

from __future__ import annotations

from unittest import mock

import pytest

from nipo_auth_mw._flows.password_change import PASSWORD_CHANGE
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw._web import problems, requirements
from tests.kit import browser, middleware, person, seen, sign_in

TERMS = Requirement("not_allowed", "account/password", lambda account, state, config: not state.attributes.get("terms"))


@pytest.fixture
def terms():
    """A second requirement behind the change of a temporary password, and no other."""
    with mock.patch.object(requirements, "REQUIREMENTS", (PASSWORD_CHANGE, TERMS)):
        yield


def test_the_first_unmet_requirement_comes_first(terms) -> None:
    auth = middleware()
    user = person(auth)
    state = auth._services.account_states.account_state(user.id)
    assert requirements.first_unmet(user, state, auth.config) is TERMS
    assert requirements.first_unmet(user, state.having(password_change_deadline=1.0), auth.config) is PASSWORD_CHANGE
    assert requirements.first_unmet(user, state.having(terms=True), auth.config) is None


def test_until_it_is_met_the_app_sees_no_user_and_every_page_leads_to_it(terms) -> None:
    auth = middleware(public_paths=["/open"])
    person(auth)
    member = browser(auth)
    assert sign_in(member).location == "/-/auth/account/password?next=%2F"
    assert member.get("/page").location == "/-/auth/account/password?next=/page"
    assert seen(member, "/open") == ""
    assert member.get("/-/auth/login").location == "/-/auth/account/password"
    assert member.get("/-/auth/session", status=403).json["code"] == TERMS.code
    page = member.get("/-/auth/help")
    assert 'href="/-/auth/account"' not in page.text


def test_the_navigation_of_a_program_is_refused_with_the_code(terms) -> None:
    auth = middleware()
    person(auth)
    member = browser(auth)
    sign_in(member)
    answer = member.get("/page", headers={"Accept": "application/json"}, status=403)
    assert answer.json["code"] == TERMS.code


def test_every_requirement_has_a_problem_and_a_text_on_the_page_for_a_sent_form() -> None:
    for requirement in requirements.REQUIREMENTS:
        kind = problems.PROBLEMS[requirement.code]
        assert {kind.status, *kind.details.values()} == {403}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_page_for_a_sent_form_names_what_is_asked(language: str) -> None:
    texts = Renderer(middleware().config).catalogues
    for requirement in (*requirements.REQUIREMENTS, problems.REAUTHENTICATION):
        assert texts.text(language, f"requirement.{requirement.code}")
