"""The user's own page."""

from __future__ import annotations

import pytest

from tests.kit import browser, middleware, person, seen, sign_in


@pytest.fixture
def auth():
    auth = middleware(base_url="http://localhost", site_name="日報")
    person(auth, name="田中")
    return auth


def test_the_account_page_shows_the_person_and_a_way_out(auth):
    test_app = browser(auth)
    assert test_app.get("/-/auth/account").location == "/-/auth/login?next=/-/auth/account"
    sign_in(test_app)
    page = test_app.get("/-/auth/account")
    assert "tanaka@example.com" in page.text
    assert "田中" in page.text
    page.forms["logout"].submit()
    assert seen(test_app) == ""
