"""Rows TO1, TO5, RC1, MF1, MF13 and MF17 at the routes that take a code, as the requests of a browser."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from nipo_auth_mw._flows.second_check import lift_second_lock
from nipo_auth_mw.testing import MemoryMailer, code_of, enrol_app
from tests.kit import PASSWORD, browser, enrol_passkey, events, middleware, options_on, person, seen, sign_in
from tests.security.test_second_step import EMAIL, JSON, OTHER, SECOND, SECURITY, cookies, inside, pending, send, wrong
from tests.security.test_second_step import on_disk as on_disk

CONFIRM, LOGIN_PASSKEY = "/-/auth/account/confirm", "/-/auth/login/passkey"


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


def confirmed(device: Any, code: str) -> int:
    answer = device.post(CONFIRM, {"password": PASSWORD, "code": code}, expect_errors=True)
    return int(answer.status_int)


def test_mf1_no_part_of_the_pending_cookie_holds_a_secret(auth: Any) -> None:
    secret = enrol_app(auth, person(auth))
    token = cookies(pending(auth))["nipo_second"]
    parts = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".") if len(part) % 4 != 1]
    raw = base64.b32decode(secret.replace(" ", ""))
    for place in (token.encode(), *parts):
        for text in (PASSWORD.encode(), EMAIL.encode(), raw, secret.encode()):
            assert text not in place


DOORS: dict[str, Callable[[Any, Any, str], bool]] = {
    "sign-in": lambda auth, own, code: send(pending(auth), code).status_int == 303,
    "re-authentication": lambda auth, own, code: confirmed(own, code) == 303,
}


@pytest.mark.parametrize("first", DOORS)
@pytest.mark.parametrize("then", DOORS)
def test_rc1_to1_a_code_used_at_one_door_is_used_up_at_every_door(auth: Any, first: str, then: str) -> None:
    secret = enrol_app(auth, person(auth))
    own = inside(auth, secret, -1)
    (backup, *_) = auth._services.factors.make_codes("1")
    for code in (backup, code_of(secret)):
        assert DOORS[first](auth, own, code)
        assert not DOORS[then](auth, own, code)
    assert not DOORS[then](auth, own, code_of(secret, -1)), "nor one before it"


def test_to1_the_code_that_set_the_app_up_opens_no_session(auth: Any) -> None:
    person(auth)
    own = browser(auth)
    sign_in(own)
    setup = own.get(f"{SECURITY}/app", headers=JSON).json
    code = code_of(setup["key"])
    own.post(f"{SECURITY}/app", {"setup": setup["setup"], "code": code}, status=303)
    assert [door(auth, own, code) for door in DOORS.values()] == [False, False]
    assert send(pending(auth), code_of(setup["key"], 1)).status_int == 303


@pytest.mark.parametrize("how", ["exchanged", "changed"])
def test_to5_a_row_that_was_written_with_sql_is_a_wrong_code_and_recorded(on_disk: Any, how: str) -> None:
    own, others = (enrol_app(on_disk, person(on_disk, email)) for email in (EMAIL, OTHER))
    engine = sa.create_engine(on_disk._services.session_store._db.engine.url)
    with engine.begin() as database:
        data = "(SELECT data FROM nipo_auth_factor WHERE user_id = '2')" if how == "exchanged" else "data || 'x'"
        database.exec_driver_sql(f"UPDATE nipo_auth_factor SET data = {data} WHERE user_id = '1'")
    engine.dispose()
    device = pending(on_disk)
    for secret in (own, others):
        assert send(device, code_of(secret)).status_int == 401
    assert {row.details["reason"] for row in events(on_disk, "second_step_failed")} == {"tampered"}
    assert send(pending(on_disk, email=OTHER), code_of(others)).status_int == 303


@pytest.mark.parametrize("how", ["an administrator", "a passkey"])
def test_mf13_after_a_hundred_wrong_codes_codes_are_brought_back_by(auth: Any, how: str) -> None:
    user = person(auth)
    secret, soft = enrol_app(auth, user), enrol_passkey(auth, user)
    with time_machine.travel(time.time(), tick=False) as clock:
        for _ in range(20):
            device = pending(auth)
            for _ in range(5):
                send(device, wrong(secret))
            clock.shift(timedelta(days=1, seconds=1))
        (backup, *_) = auth._services.factors.make_codes("1")
        device = pending(auth)
        assert [send(device, code).status_int for code in (code_of(secret), backup)] == [429, 429]
        if how == "a passkey":
            credential = soft.get(options_on(device.get(SECOND)))
            assert device.post(SECOND, {"credential": credential}).status_int == 303
        else:
            lift_second_lock(auth._services, user)
        assert send(pending(auth), code_of(secret)).status_int == 303


def test_mf17_a_disabled_account_is_told_after_its_passkey_and_gets_in_by_none(auth: Any) -> None:
    user = person(auth)
    enrol_app(auth, user)
    soft, device = enrol_passkey(auth, user), pending(auth)
    at_sign_in = soft.get(options_on(browser(auth).get("/-/auth/login")))
    second = soft.get(options_on(device.get(SECOND)))
    auth.accounts.set_active(user.id, False)
    assert device.post(SECOND, {"credential": second}, headers=JSON, status=410).json["code"] == "second_expired"
    again = pending(auth)
    second = soft.get(options_on(again.get(SECOND)))
    for path, credential, browsing in ((SECOND, second, again), (LOGIN_PASSKEY, at_sign_in, browser(auth))):
        refused = browsing.post(path, {"credential": credential}, headers=JSON, status=403)
        assert refused.json["code"] == "account_disabled"
        assert seen(browsing) == ""
    assert auth._services.session_store.sessions_of(user.id) == []
