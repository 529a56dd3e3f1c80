"""Rows FA and HD6: what is out of reach is never taken for a yes."""

from __future__ import annotations

import logging
import socket
import time

import pytest
import time_machine

from nipo_auth_mw import LockoutPolicy, StoreUnavailable, require_fresh, require_role
from nipo_auth_mw._throttle import counters
from nipo_auth_mw.stores import SQLStore, _engines
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, link_in
from tests._services import needed
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, middleware, person, sign_in
from tests.security.tools import HTTPS, ask, breakable, login, signed_in, who


def refusing(*args, **kwargs):
    raise StoreUnavailable("the database at secret-host is down")


def exploding(*args, **kwargs):
    raise RuntimeError(f"the driver repeats the statement: {PASSWORD}")


@pytest.fixture
def called():
    return []


@pytest.fixture
def auth(called):
    def app(environ, start_response):
        called.append(environ.get("REMOTE_USER"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"app"]

    auth = middleware(app, public_paths=["/public/*"], hasher=SpyHasher(fast_hasher()))
    person(auth)
    return auth


@pytest.mark.parametrize("fault", [refusing, exploding])
def test_fa1_a_store_out_of_reach_fails_closed(auth, called, fault):
    test_app = browser(auth)
    sign_in(test_app)
    auth._services.sessions._look_up = fault
    for path in ("/page", "/public/page"):
        answer = test_app.get(path, expect_errors=True)
        assert answer.status_int == 503
        assert answer.headers["Retry-After"]
    assert called == []
    assert browser(auth).get("/public/page").text == "app"
    assert called == [None]


def test_fa1_programs_get_the_outage_as_data(auth):
    test_app = browser(auth, HTTP_ACCEPT="application/json")
    sign_in(test_app)
    auth._services.sessions._look_up = refusing
    assert test_app.get("/page", expect_errors=True).json["code"] == "unavailable"


@pytest.mark.parametrize("fault", [refusing, exploding])
@pytest.mark.parametrize("where", ["find_by_email", "open_session"])
def test_fa1_sign_in_during_an_outage_is_503_and_opens_nothing(auth, where, fault):
    setattr(auth._services.session_store, where, fault)
    answer = sign_in(browser(auth))
    assert answer.status_int == 503
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("where", ["read", "add", "end"])
def test_fa2_fa3_counters_out_of_reach_check_no_password(auth, where):
    spy = auth._services.hashing._hasher
    setattr(auth._services.lockout._counters, where, refusing)
    spy.verified.clear()
    assert sign_in(browser(auth)).status_int == 503
    # A failure ends no counter.
    assert sign_in(browser(auth), password="wrong-password-here").status_int == (401 if where == "end" else 503)
    if where != "end":
        assert spy.verified == []


@pytest.mark.parametrize("where", ["read", "add"])
def test_fa2_fa3_no_other_door_checks_a_password_either(auth, where):
    cookie, spy = signed_in(auth), auth._services.hashing._hasher
    setattr(auth._services.lockout._counters, where, refusing)
    spy.verified.clear()
    for password in (PASSWORD, WRONG):
        forms = {
            "confirm": {"password": password},
            "password": {"current_password": password, "password": "midori-no-oka-to-kaze"},
            "email": {"email": "new@example.com", "password": password},
        }
        for route, form in forms.items():
            assert ask(auth, "POST", f"/-/auth/account/{route}", form=form, cookie=cookie).status == 503, route
    assert spy.verified == []
    assert who(auth, cookie) != ""


def test_fa2_a_table_that_takes_no_more_counts_checks_no_password(store):
    spy = SpyHasher(fast_hasher())
    auth = middleware(store=store, hasher=spy)
    person(auth)
    cookie = signed_in(auth)
    spy.verified.clear()
    with store._db.writing() as connection:
        for act in ("INSERT", "UPDATE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER full_{act} BEFORE {act} ON nipo_auth_counter "
                "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
            )
    assert [login(auth, password=password).status for password in (PASSWORD, WRONG)] == [503, 503]
    assert spy.verified == []
    assert who(auth, cookie) == "1"


def test_fa3_live_sessions_go_on_without_counters(auth):
    test_app = browser(auth)
    sign_in(test_app)
    auth._services.lockout._counters.read = auth._services.lockout._counters.incr = refusing
    assert test_app.get("/page", expect_errors=True).text == "app"
    assert test_app.get("/-/auth/account", expect_errors=True).status_int == 200


def test_fa1_an_outage_between_two_questions_is_no_crash():
    """A user who has to confirm the password is looked up twice."""

    def app(environ, start_response):
        require_fresh(environ)
        raise AssertionError("never reached")

    auth = middleware(app)
    person(auth)
    cookie = signed_in(auth)
    really, asked = auth._services.sessions._look_up, []

    def once(key):
        asked.append(key)
        return really(key) if len(asked) == 1 else refusing()

    auth._services.sessions._look_up = once
    with time_machine.travel(time.time() + 3600):
        assert ask(auth, path="/page", cookie=cookie).status == 503
    assert len(asked) == 2


def test_se10_a_sign_out_that_was_not_written_is_not_told_as_done(auth):
    test_app = browser(auth)
    sign_in(test_app)
    auth._services.session_store.end_session = refusing
    answer = test_app.post("/-/auth/logout", expect_errors=True)
    assert answer.status_int == 503
    assert "Set-Cookie" not in answer.headers


def test_hd6_au3_an_error_shows_and_logs_nothing_of_what_was_typed(auth, caplog):
    auth._services.session_store.find_by_email = exploding
    with caplog.at_level(logging.DEBUG):
        answer = sign_in(browser(auth))
    assert PASSWORD not in answer.text
    assert "Traceback" not in answer.text
    assert "secret-host" not in answer.text
    assert "RuntimeError" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.fixture
def without_pages(tmp_path):
    """A middleware whose host app has a layout that fails, on a host app that asks for a role."""
    (tmp_path / "base.html").write_text("{{ no_such_value }}")

    def app(environ, start_response):
        require_role(environ, "admin")
        return start_response("200 OK", []) and []

    auth = middleware(app, templates=tmp_path, public_paths=["/public/*"], base_url="http://localhost:80/mount")
    person(auth)
    return auth


def test_fa1_where_no_page_can_be_made_the_503_is_text(without_pages, caplog):
    """A template of the host app fails, or the process may open no more files."""
    auth = without_pages
    session = signed_in(auth)
    for made in (
        ask(auth, path="/-/auth/login", HTTP_ACCEPT_LANGUAGE="ja"),
        ask(auth, "POST", "/-/auth/login", body=b"\xff", CONTENT_TYPE="application/x-www-form-urlencoded"),
        ask(auth, path="/mount/-/auth/login"),
        ask(auth, cookie=session, HTTP_ACCEPT="text/html"),
    ):
        assert made.status == 503
        assert made.get("Content-Type") == "text/plain; charset=utf-8"
        assert made.get("Retry-After") == "5"
        assert made.get("X-Content-Type-Options") == "nosniff"
        assert "base.html" in caplog.text
    assert ask(auth, "POST", "/page", HTTP_SEC_FETCH_DEST="document").status == 503
    assert "ただいまご利用いただけません" in ask(auth, path="/-/auth/login", HTTP_ACCEPT_LANGUAGE="ja").text


@pytest.fixture
def silent():
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql"])
def test_fa5_a_database_that_never_answers_costs_seconds(kind, silent, monkeypatch):
    needed(kind.partition("+")[2])
    monkeypatch.setattr(_engines, "_CONNECT_SECONDS", 1)
    monkeypatch.setattr(_engines, "ANSWER_SECONDS", 1)
    auth = middleware(store=SQLStore(f"{kind}://nobody@127.0.0.1:{silent}/auth"))
    began = time.monotonic()
    assert login(auth).status == 503
    assert time.monotonic() - began < 6


def test_fa5_a_redis_that_never_answers_costs_seconds(silent, monkeypatch):
    needed("redis")
    monkeypatch.setattr(counters, "_SOCKET_TIMEOUT", 1)
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{silent}/0"))
    began = time.monotonic()
    assert login(auth).status == 503
    assert time.monotonic() - began < 6


@pytest.mark.parametrize(
    "step", ["raise_revocation_counter", "sessions_of", "end_session", "account_state", "append_event"]
)
def test_fa6_a_reset_that_fails_half_way_leaves_the_old_state_whole(each_store, step):
    mailer, new = MemoryMailer(), "midori-no-oka-to-kaze"
    failing = breakable(each_store, StoreUnavailable)
    auth = middleware(store=each_store, mailer=mailer, base_url=HTTPS)
    person(auth)
    cookie = signed_in(auth)
    ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
    link = link_in(mailer.outbox[-1]).removeprefix(HTTPS)
    failing.broken = {step}
    assert ask(auth, "POST", link, form={"password": new}).status == 503
    failing.broken = set()
    assert who(auth, cookie) == "1"
    assert [login(auth, password=password).status for password in (new, PASSWORD)] == [401, 303]
    assert ask(auth, "POST", link, form={"password": new}).status == 303
    assert who(auth, cookie) == ""
