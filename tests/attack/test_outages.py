"""Rows FA and HD6: what is out of reach is never taken for a yes."""

from __future__ import annotations

import logging
import socket
import time

import pytest

from nipo_auth_mw import StoreUnavailable
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, SpyHasher, browser, middleware, person, sign_in


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

    auth = middleware(app, public=["/public"], hasher=SpyHasher(fast_hasher()))
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


@pytest.mark.parametrize("where", ["get", "incr", "clear"])
def test_fa2_fa3_counters_out_of_reach_check_no_password(auth, where):
    spy = auth._services.passwords._hasher
    setattr(auth._services.lockout._counters, where, refusing)
    spy.verified.clear()
    for password in (PASSWORD, "wrong-password-here"):
        assert sign_in(browser(auth), password=password).status_int == 503
    if where != "clear":
        assert spy.verified == []


def test_fa3_live_sessions_go_on_without_counters(auth):
    test_app = browser(auth)
    sign_in(test_app)
    auth._services.lockout._counters.get = auth._services.lockout._counters.incr = refusing
    assert test_app.get("/page", expect_errors=True).text == "app"
    assert test_app.get("/auth/account", expect_errors=True).status_int == 200


def test_se10_a_sign_out_that_was_not_written_is_not_told_as_done(auth):
    test_app = browser(auth)
    sign_in(test_app)
    auth._services.session_store.end_session = refusing
    answer = test_app.post("/auth/logout", expect_errors=True)
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


@pytest.mark.parametrize("kind", ["postgresql+psycopg", "mariadb+pymysql"])
def test_fa5_a_database_that_never_answers_costs_seconds(kind):
    pytest.importorskip(kind.partition("+")[2])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        auth = middleware(store=SQLStore(f"{kind}://127.0.0.1:{silent.getsockname()[1]}/auth"), hasher=fast_hasher())
        began = time.monotonic()
        assert sign_in(browser(auth)).status_int == 503
        assert time.monotonic() - began < 6
