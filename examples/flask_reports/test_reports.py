"""The suite of the Flask app, with Flask's own test client."""

from __future__ import annotations

import pytest
from reports import create_app

from nipo_auth_mw.testing import in_memory, sign_in

# A browser asks for a page; without this, Flask's client is answered as a program.
PAGE = {"Accept": "text/html"}


@pytest.fixture
def app():
    return create_app(**in_memory(public_paths=["/"]))


def account(app, **more):
    return app.extensions["nipo_auth_mw"].accounts.create(email="yamada@example.com", name="山田", **more)


def test_the_first_page_is_public_and_nothing_else(app):
    client = app.test_client()
    assert client.get("/").text == "Reports. Please sign in."
    assert client.get("/reports", headers=PAGE).location == "/-/auth/login?next=/reports"
    assert client.get("/figures", headers=PAGE).location == "/-/auth/login?next=/figures"


def test_a_member_sees_the_reports_and_signs_out(app):
    client = app.test_client()
    sign_in(app.extensions["nipo_auth_mw"], client, account(app))
    assert "山田" in client.get("/").text
    assert "Leave" in client.get("/reports").text
    assert client.get("/figures").status_code == 403
    client.post("/-/auth/logout")
    assert client.get("/reports", headers=PAGE).status_code == 303


def test_an_administrator_sees_the_figures(app):
    client = app.test_client()
    sign_in(app.extensions["nipo_auth_mw"], client, account(app, role="admin"))
    assert client.get("/figures").text == "42"
