"""Rows FL1-FL4: what `nipo_auth_mw.flask` adds to the middleware."""

from __future__ import annotations

from typing import Any

import flask
import pytest
import time_machine

from nipo_auth_mw.flask import (
    Auth,
    current_user,
    fresh_login_required,
    login_required,
    role_required,
    second_step_required,
)
from nipo_auth_mw.testing import enrol_app, in_memory, sign_in, sign_in_as
from tests.kit import PASSWORD

HTML = {"Accept": "text/html"}


class Site:
    """A Flask app with one public view for each decorator, and the words that its views left."""

    def __init__(self) -> None:
        self.app = flask.Flask("rows")
        self.app.secret_key = "for the app's own session"
        self.ran: list[str] = []
        self.auth = Auth(self.app, **in_memory(public_paths=["/*"])) and self.app.extensions["nipo_auth_mw"]
        for name, checked in (
            ("any", login_required),
            ("admins", role_required("admin")),
            ("fresh", fresh_login_required),
            ("second", second_step_required),
            ("who", lambda view: view),
        ):
            self.app.add_url_rule(f"/{name}", name, checked(self.view(name)))
        self.app.add_url_rule("/put/<word>", "put", self.put)
        self.app.add_url_rule("/got", "got", lambda: flask.session.get("word", "nothing"))
        for email, role in (("yamada@example.com", "staff"), ("kanri@example.com", "admin")):
            self.auth.accounts.create(email=email, password=PASSWORD, role=role)

    def view(self, name: str) -> Any:
        def run() -> str:
            self.ran.append(name)
            return f"{current_user.email or '-'} {current_user.is_authenticated} {bool(current_user)}"

        run.__name__ = name
        return run

    def put(self, word: str) -> str:
        flask.session["word"] = word
        return word

    def browser(self, user_id: str = "") -> Any:
        client = self.app.test_client()
        if user_id:
            sign_in(self.auth, client, user_id)
        return client


@pytest.fixture
def site() -> Site:
    return Site()


def test_fl1_the_current_user_is_that_of_the_session_and_of_nothing_else(site: Site) -> None:
    member, visitor = site.browser("1"), site.browser()
    for _ in range(2):
        assert member.get("/who").text == "yamada@example.com True True"
        assert visitor.get("/who").text == "- False False"
    named = {"X-Remote-User": "2", "Remote-User": "2", "X-Forwarded-User": "kanri@example.com"}
    keys = {"REMOTE_USER": "2", "AUTH_TYPE": "x", "nipo_auth_mw.user": "2"}
    assert visitor.get("/who", headers=named, environ_overrides=keys).text == "- False False"
    assert not current_user, "outside a request"


def test_fl1_a_user_of_one_request_is_none_of_the_next(site: Site) -> None:
    with site.app.app_context():
        member = site.browser("1")
        assert member.get("/who").text.startswith("yamada")
        assert site.browser().get("/who").text.startswith("-")
        assert not current_user


@pytest.mark.parametrize("change", ["disable", "delete", "password", "temporary"])
def test_fl1_the_current_user_ends_with_the_account(site: Site, change: str) -> None:
    member, accounts = site.browser("1"), site.auth.accounts
    assert member.get("/who").text.startswith("yamada")
    if change == "disable":
        accounts.set_active("1", False)
    elif change == "delete":
        accounts.delete("1")
    else:
        accounts.set_password("1", "midori-no-kaze-no-oto", must_change=change == "temporary")
        if change == "temporary":
            sign_in(site.auth, member, "1")
    assert member.get("/who").text == "- False False"


def test_fl2_a_refused_user_reaches_no_view(site: Site) -> None:
    visitor, member = site.browser(), site.browser("1")
    for name in ("any", "admins", "fresh", "second"):
        assert visitor.get(f"/{name}", headers=HTML).location == f"/-/auth/login?next=/{name}"
        assert visitor.get(f"/{name}", headers={"Accept": "application/json"}).status_code == 401
    assert member.get("/admins").status_code == 403
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        stale = site.browser("2")
        clock.shift(16 * 60)
        assert stale.get("/fresh", headers=HTML).location == "/-/auth/account/confirm?next=/fresh"
    assert member.get("/second", headers=HTML).location == "/-/auth/account/security?next=/second"
    assert member.get("/second", headers={"Accept": "application/json"}).json["code"] == "second_step_required"
    assert site.ran == []
    assert [site.browser("2").get(f"/{name}").status_code for name in ("any", "admins", "fresh")] == [200] * 3
    site.auth.accounts.set_role("1", "admin")
    assert member.get("/admins").status_code == 200
    site.auth.accounts.set_role("1", "staff")
    assert member.get("/admins").status_code == 403
    enrol_app(site.auth, "1")
    assert site.browser("1").get("/second").status_code == 200


def test_fl3_the_apps_session_ends_with_its_user(site: Site) -> None:
    browser = site.browser("1")
    browser.get("/put/secret")
    copy = browser.get_cookie("session").value
    assert browser.get("/got").text == "secret"
    assert browser.post("/-/auth/logout").status_code == 303
    assert browser.get_cookie("session") is None
    for user_id in ("", "2"):
        other = site.browser(user_id)
        other.set_cookie("session", copy)
        assert other.get("/got").text == "nothing"
    browser = site.browser("1")
    browser.get("/put/secret")
    site.auth.accounts.set_active("1", False)
    assert browser.get("/got").text == "nothing"


def test_fl4_the_kit_signs_in_who_could_sign_in(site: Site) -> None:
    site.auth.accounts.set_active("1", False)
    other = Site().auth.accounts.create(email="other@example.com")
    client = site.browser()
    for user, error in (("1", ValueError), ("9", LookupError), (other, LookupError)):
        with pytest.raises(error):
            sign_in(site.auth, client, user)
    with pytest.raises(ValueError, match="disabled"):
        sign_in_as(site.auth, client, "yamada@example.com")
    assert client.get("/who").text == "- False False"
