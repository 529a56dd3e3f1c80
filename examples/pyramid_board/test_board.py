"""The suite of the Pyramid app, with WebTest and a clock that the test moves."""

from __future__ import annotations

import time

import pytest
from board import make
from webtest import TestApp

from nipo_auth_mw.testing import in_memory, sign_in


@pytest.fixture
def auth():
    return make(**in_memory())


def test_a_member_reads_the_board(auth):
    browser = TestApp(auth)
    assert browser.get("/").location == "/-/auth/login?next=/"
    sign_in(auth, browser, auth.accounts.create(email="yamada@example.com"))
    assert browser.get("/").text == "The board, read by yamada@example.com"


def test_clearing_the_board_asks_for_the_password_after_a_while(auth, monkeypatch):
    browser = TestApp(auth)
    sign_in(auth, browser, auth.accounts.create(email="yamada@example.com"))
    assert browser.post("/clear").text == "cleared"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    refused = browser.post("/clear", expect_errors=True, headers={"Accept": "application/json"})
    assert (refused.status_int, refused.json["code"]) == (403, "fresh_sign_in_required")
