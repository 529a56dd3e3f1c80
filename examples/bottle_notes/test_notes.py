"""The suite of the Bottle app, with WebTest."""

from __future__ import annotations

import pytest
from notes import make
from webtest import TestApp

from nipo_auth_mw.testing import in_memory, sign_in


@pytest.fixture
def auth():
    return make(**in_memory())


def test_a_visitor_is_asked_to_sign_in_and_comes_back(auth):
    auth.accounts.create(email="yamada@example.com", name="山田", password="asa-ichiban-no-nippo")
    browser = TestApp(auth)
    form = browser.get("/").follow().forms["login"]
    form["email"], form["password"] = "yamada@example.com", "asa-ichiban-no-nippo"
    page = form.submit().follow()
    assert "山田" in page.text
    page.forms["sign-out"].submit()
    assert browser.get("/").status_int == 303


def test_the_bin_is_for_administrators(auth):
    member = auth.accounts.create(email="yamada@example.com")
    boss = auth.accounts.create(email="boss@example.com", role="admin")
    browser = TestApp(auth)
    sign_in(auth, browser, member)
    assert browser.get("/bin", expect_errors=True).status_int == 403
    sign_in(auth, browser, boss)
    assert browser.get("/bin").text == "the bin"
