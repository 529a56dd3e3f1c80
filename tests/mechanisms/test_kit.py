"""The kit that downstream suites work with."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace

import flask
import pytest
from webtest import TestApp

from nipo_auth_mw import AuthMiddleware, ConfigError, NotSupported, TwoStepPolicy
from nipo_auth_mw._credentials import totp
from nipo_auth_mw.flask import Auth, current_user
from nipo_auth_mw.mailers import MemoryMailer
from nipo_auth_mw.models import Account, Message
from nipo_auth_mw.testing import auth_of, code_of, enrol_app, in_memory, link_in, mails, sign_in, sign_in_as, sign_out
from tests.kit import PASSWORD, echo, person, seen


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


def test_flasks_auth_and_an_app_stand_for_their_middleware():
    app = flask.Flask("app")
    app.add_url_rule("/", view_func=lambda: str(current_user))
    auth, client = Auth(app, **in_memory()), app.test_client()
    user = auth.accounts.create(email="tanaka@example.com")
    for given in (auth, app, auth.middleware):
        sign_in(given, client, user)
        assert client.get("/").text == "tanaka@example.com"
        sign_out(client)
        assert sign_in_as(given, client, "tanaka@example.com") == user
        assert enrol_app(given, user)
        assert (auth_of(given), mails(given)) == (app.wsgi_app, [])
    made = Auth()
    with pytest.raises(RuntimeError, match="application context"):
        sign_in(made, client, user)
    with app.app_context():
        sign_in(made, client, user)


def test_what_is_no_middleware_and_no_id_is_told(auth):
    with pytest.raises(LookupError, match="this Flask is not behind AuthMiddleware"):
        sign_in(flask.Flask("app"), TestApp(auth), "1")
    with pytest.raises(LookupError, match="no account has this id; sign_in_as takes an address"):
        sign_in(auth, TestApp(auth), "tanaka@example.com")


def test_an_account_that_is_there_gets_a_role_only_if_one_is_named(auth):
    person(auth, "kanri@example.com", role="admin")
    assert sign_in_as(auth, TestApp(auth), "kanri@example.com").role == "admin"
    assert sign_in_as(auth, TestApp(auth), "kanri@example.com", role="staff").role == "staff"
    assert sign_in_as(auth, TestApp(auth), "new@example.com").role == "staff"


class Row:
    """A row of an app's own table, whose id is a number."""

    id, email, password_hash, active, name, role = 7, "taro@example.com", None, True, "", "admin"


class OwnTable:
    """The three methods of a user store, over one row."""

    def get(self, user_id):
        return Account("7", Row.email, None, True, "", Row.role) if user_id == "7" else None

    def find_by_email(self, email):
        return self.get("7") if email == Row.email else None

    def set_password_hash(self, user_id, new, *, expected):
        return False


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": 7}, "get gives an account whose id is of type int, not str"),
        ({"password_hash": b"$2b$04$secret"}, "get gives an account whose password_hash is of type bytes, not str"),
        ({"active": None, "name": None, "role": None}, None),
    ],
)
def test_an_account_of_another_shape_is_told_by_its_types(caplog, row, told):
    table = OwnTable()
    table.get = lambda user_id: SimpleNamespace(**{**account._asdict(), **row}) if user_id == "7" else None
    account = OwnTable().get("7")
    auth = AuthMiddleware(echo, **in_memory(), users=table)
    if told is None:
        assert auth.accounts.get("7").name == ""
        return
    with pytest.raises(ConfigError, match=told):
        auth.accounts.get("7")
    table.find_by_email = lambda email: table.get("7")
    fields = {"email": Row.email, "password": PASSWORD}
    assert TestApp(auth).post("/-/auth/login", fields, status=503).status_int == 503
    assert f"answered 503: users: find_by_email{told.removeprefix('get')}" in caplog.text
    assert "secret" not in caplog.text


def test_users_of_an_own_table_sign_in_and_a_missing_one_is_told():
    auth = AuthMiddleware(echo, **in_memory(), users=OwnTable())
    for user in (Row, "7", 7):
        sign_in(auth, test_app := TestApp(auth), user)
        assert seen(test_app) == "7"
    assert sign_in_as(auth, TestApp(auth), "taro@example.com").role == "admin"
    with pytest.raises(NotSupported, match="the app itself has to make this change"):
        sign_in_as(auth, TestApp(auth), "new@example.com")


def session_of(test_app):
    """What this browser's session has proved, and whether it has two steps."""
    found = test_app.get("/-/auth/session").json["session"]
    return found["means"], found["second_at"] is not None


def test_an_app_is_enrolled_as_its_page_does_it(auth):
    user, test_app = person(auth), TestApp(auth)
    sign_in(auth, test_app, user)
    secret = enrol_app(auth, user)
    assert seen(test_app) == "", "the sessions with one step are over"
    (factor,) = auth._services.factors.of(user.id)
    assert factor.kind == "app"
    for steps in (-1, 0, 1):
        assert auth._services.factors.accept_code(user.id, code_of(secret, steps), time.time())
    assert auth._services.account_states.account_state(user.id).two_step is not None
    assert enrol_app(auth, user.id) != secret
    assert len(auth._services.factors.of(user.id)) == 1


def test_the_key_is_read_with_blanks_and_without():
    secret = b"12345678901234567890"
    code = totp.code_at(secret, totp.step_at(time.time()))
    assert code_of(totp.key_text(secret)) == code_of(totp.key_text(secret).replace(" ", "")) == code
    assert re.fullmatch(r"\d{6}", code)


def test_an_app_needs_an_account_and_a_store_that_keeps_it(auth):
    with pytest.raises(LookupError):
        enrol_app(auth, "99")
    user = person(auth)
    object.__setattr__(auth._services, "factors", None)
    with pytest.raises(LookupError, match="two-step"):
        enrol_app(auth, user)


def test_all_steps_are_proved_that_the_account_needs(auth):
    user, test_app = person(auth), TestApp(auth)
    sign_in(auth, test_app, user)
    assert session_of(test_app) == (["password"], False)
    enrol_app(auth, user)
    sign_in(auth, test_app, user)
    assert session_of(test_app) == (["password", "app"], True)
    sign_in(auth, test_app, user, means="password")
    assert session_of(test_app) == (["password"], False)


def test_a_role_that_requires_two_steps_gets_an_app():
    auth = AuthMiddleware(echo, **in_memory(two_step=TwoStepPolicy(required_for=("admin",))))
    admin, first, second = person(auth, role="admin"), TestApp(auth), TestApp(auth)
    sign_in(auth, first, admin, means="password")
    assert seen(first) == "", "with one step, the requirement is not met"
    sign_in(auth, first, admin)
    sign_in(auth, second, admin)
    assert (seen(first), seen(second)) == (admin.id, admin.id)


def test_the_link_in_a_mail_is_found():
    mailer = MemoryMailer()
    mailer.send(Message("a@example.com", "subject", "Open this:\nhttps://reports.example.jp/auth/x/abc.def\nsoon."))
    assert link_in(mailer.outbox[0]) == "https://reports.example.jp/auth/x/abc.def"
    with pytest.raises(LookupError):
        link_in(Message("a@example.com", "subject", "no link"))
