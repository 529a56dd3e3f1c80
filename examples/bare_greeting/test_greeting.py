"""The suite of the bare WSGI app, with WebTest."""

from __future__ import annotations

from greeting import make
from webtest import TestApp

from nipo_auth_mw.testing import in_memory, sign_in, sign_out


def test_a_public_app_asks_for_sign_in_by_its_own_401():
    auth = make(**in_memory(public_paths=["/*"]))
    browser = TestApp(auth)
    assert "stranger" in browser.get("/").text
    assert browser.get("/mine").location == "/-/auth/login?next=/mine"
    sign_in(auth, browser, auth.accounts.create(email="yamada@example.com", name="<b>山田</b>"))
    assert "&lt;b&gt;山田" in browser.get("/mine").text
    sign_out(browser)
    assert "stranger" in browser.get("/").text


def test_an_app_without_public_paths_is_closed():
    assert TestApp(make(**in_memory())).get("/").status_int == 303
