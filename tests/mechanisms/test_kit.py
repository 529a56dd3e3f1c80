"""The kit that downstream suites work with."""

from __future__ import annotations

import pytest
from webtest import TestApp

from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.mailers import MemoryMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.testing import in_memory, link_in, sign_in, sign_out
from tests.kit import echo, person, seen


@pytest.fixture(params=["http://localhost", "https://reports.example.jp"])
def auth(request):
    return AuthMiddleware(echo, **in_memory(base_url=request.param))


def test_signing_in_needs_no_password_and_no_form(auth):
    user = person(auth, password=None)
    test_app = TestApp(auth)
    sign_in(auth, test_app, user)
    assert seen(test_app) == user.id


def test_signing_out_ends_the_session_on_the_server_too(auth):
    user = person(auth)
    test_app, copy = TestApp(auth), TestApp(auth)
    sign_in(auth, test_app, user)
    (cookie,) = test_app.cookiejar
    copy.set_cookie(cookie.name, cookie.value.strip('"'))
    assert seen(copy) == user.id
    sign_out(test_app)
    assert (seen(test_app), seen(copy)) == ("", "")


def test_two_people_do_not_mix(auth):
    browsers = {}
    for email in ("a@example.com", "b@example.com"):
        user = person(auth, email)
        browsers[user.id] = TestApp(auth)
        sign_in(auth, browsers[user.id], user)
    assert {user_id: seen(test_app) for user_id, test_app in browsers.items()} == {"1": "1", "2": "2"}


def test_nobody_cannot_be_signed_in(auth):
    with pytest.raises(LookupError):
        sign_in(auth, TestApp(auth), "99")


def test_the_link_in_a_mail_is_found():
    mailer = MemoryMailer()
    mailer.send(Message("a@example.com", "subject", "Open this:\nhttps://reports.example.jp/auth/x/abc.def\nsoon."))
    assert link_in(mailer.outbox[0]) == "https://reports.example.jp/auth/x/abc.def"
    with pytest.raises(LookupError):
        link_in(Message("a@example.com", "subject", "no link"))
