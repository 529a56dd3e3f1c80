"""Which of our own pages a sign-in leads to when it was asked for there."""

from __future__ import annotations

import pytest

from tests.kit import middleware, person
from tests.security.tools import ask, login, signed_in


@pytest.fixture(scope="module")
def auth():
    auth = middleware()
    person(auth, role="admin")
    return auth


@pytest.mark.parametrize(
    "page",
    [
        "account",
        "account?shown=all",
        "account#devices",
        "account#a#b",
        "account?a=b?c",
        "account/password",
        "staff",
        "staff?q=tanaka",
        "staff/create",
        "staff/1/delete",
        "audit",
        "audit?event=locked&page=2",
    ],
)
def test_the_account_staff_and_history_pages_are_landed_on(auth, page):
    assert login(auth, fields={"next": f"/-/auth/{page}"}).get("Location") == f"/-/auth/{page}"


@pytest.mark.parametrize("page", ["account", "account/password", "account/email", "staff", "staff/create", "audit"])
def test_a_page_that_asks_for_sign_in_is_the_page_landed_on(auth, page):
    asked = ask(auth, path=f"/-/auth/{page}").get("Location")
    assert asked == f"/-/auth/login?next=/-/auth/{page}"
    assert login(auth, fields={"next": f"/-/auth/{page}"}).get("Location") == f"/-/auth/{page}"
    assert ask(auth, path=f"/-/auth/{page}", cookie=signed_in(auth)).status == 200


@pytest.mark.parametrize(
    "page", ["accounts", "accountant/x", "staffing", "audit/", "audit/x", "audit.csv", "help", "x/account", "/"]
)
def test_no_other_page_of_ours_is(auth, page):
    assert login(auth, fields={"next": f"/-/auth/{page}"}).get("Location") == "/"


def test_a_next_of_sixteen_thousand_characters_is_followed_and_no_longer_one(auth):
    longest = "/" + "%" * 15_999
    assert login(auth, fields={"next": longest}).get("Location") == longest
    assert login(auth, fields={"next": longest + "a"}).get("Location") == "/"
