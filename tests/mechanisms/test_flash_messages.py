"""Flash messages on the host app's pages: once, on the page that they were left for."""

from __future__ import annotations

import pytest
from webtest import TestApp

from nipo_auth_mw import flash_message
from tests.kit import PASSWORD, browser, middleware, person, sign_in

NEW = "midori-mori-to-siroi-tori"


def page(environ, start_response):
    """A page that says its message after its headers, and lets every cache keep it."""
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "public, max-age=60")]
    start_response("200 OK", headers)
    return [f"told={flash_message(environ)}".encode()]


@pytest.fixture
def auth():
    auth = middleware(page, public_paths=["/open/*"])
    person(auth)
    return auth


def test_the_hosts_page_shows_that_the_user_is_signed_in_once(auth):
    user = browser(auth)
    assert sign_in(user, next="/%E6%97%A5?day=1").status_int == 303
    assert user.get("/other").text == "told="
    assert user.get("/%E6%97%A5?day=1").text == "told=You are signed in."
    assert user.get("/%E6%97%A5?day=1").text == "told="


def test_a_changed_password_is_told_on_the_page_that_next_names_in_the_users_language(auth):
    user = browser(auth, HTTP_ACCEPT_LANGUAGE="ja")
    sign_in(user)
    user.post("/-/auth/account/password", {"current_password": PASSWORD, "password": NEW, "next": "/a"}, status=303)
    assert "told=パスワードを変更しました。" in user.get("/a").text


@pytest.mark.parametrize(
    ("remember", "words"),
    [("1", "You are signed out."), (None, "You are signed out. On a shared computer, close the browser too.")],
)
def test_sign_out_is_told_on_a_public_page(auth, remember, words):
    user = browser(auth)
    sign_in(user, remember=remember)
    user.post("/-/auth/logout", {"next": "/open/"}, status=303)
    assert user.get("/open/").text == f"told={words}"
    assert user.get("/open/").text == "told="


def test_a_message_is_for_the_page_that_asks_for_it_with_get(auth):
    user = browser(auth)
    sign_in(user, next="/a")
    assert user.post("/a").text == "told="
    assert user.get("/a").text == "told=You are signed in."


def test_no_shared_cache_keeps_a_page_with_a_message(auth):
    user = browser(auth)
    user.post("/-/auth/logout", {"next": "/open/"}, status=303)
    answer = user.get("/open/")
    assert answer.text == "told=You are signed out."
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert answer.headers["Vary"] == "Cookie"
    assert user.get("/open/").headers["Cache-Control"] == "public, max-age=60"


@pytest.mark.parametrize("word", ["owned", "signed_in", "signed_in-", "signed_in-0123456789abcdef", "<b>-1"])
def test_a_forged_message_is_not_shown(auth, word):
    visitor = browser(auth)
    visitor.set_cookie("nipo_flash", word)
    assert visitor.get("/open/").text == "told="


def test_there_is_no_message_outside_the_middleware_nor_one_that_came_from_there(auth):
    assert flash_message({}) == ""
    assert flash_message({"nipo_auth_mw.flash": "signed_in"}) == ""
    before = TestApp(lambda environ, start: auth({**environ, "nipo_auth_mw.flash": "signed_in"}, start))
    assert before.get("/open/").text == "told="
