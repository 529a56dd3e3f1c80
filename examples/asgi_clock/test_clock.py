"""The suite of the ASGI app, with WebTest."""

from __future__ import annotations

from clock import make
from webtest import TestApp

from nipo_auth_mw.testing import in_memory, sign_in


def test_an_asgi_app_sees_the_user():
    auth = make(**in_memory())
    browser = TestApp(auth, lint=False)
    assert browser.get("/").location == "/-/auth/login?next=/"
    sign_in(auth, browser, auth.accounts.create(email="yamada@example.com", name="山田"))
    assert browser.get("/").text == "山田, it is late."
