"""Rows MF1-MF20 and EF1-EF3: two steps, as an attacker tries them who has the password, or a session."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import time_machine

from nipo_auth_mw import AuthMiddleware, ConfigError, LockoutPolicy, StoreUnavailable, TwoStepPolicy, require_second
from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.passkeys import Passkey
from nipo_auth_mw._flows.second_check import lift_second_lock
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_security import reset_factors
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, SoftPasskey, code_of, enrol_app, in_memory, link_in
from tests.kit import PASSWORD, WRONG, browser, echo, events, middleware, person, seen, sign_in, store_passkey
from tests.security.doors import Here, There, answer_of
from tests.security.model import REQUIRED
from tests.security.test_cross_site import House
from tests.security.tools import HTTPS, Answer, ask, session_pair

JSON = {"Accept": "application/json"}
SECURITY, SECOND = "/-/auth/account/security", "/-/auth/login/second"
LONG = "midori-no-oka-to-kaze"
PASSKEY = Passkey(b"i" * 16, b"k", synced=False, transports=())
EMAIL, OTHER = "tanaka@example.com", "suzuki@example.com"


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


@pytest.fixture
def secret(auth: Any) -> str:
    """An account with an app, and another one without."""
    secret = enrol_app(auth, person(auth))
    person(auth, OTHER)
    return secret


def cookies(device: Any) -> dict[str, str]:
    return {one.name: one.value.strip('"') for one in device.cookiejar}


def pending(auth: Any, address: str = "192.0.2.1", **fields: str) -> Any:
    """A browser after the right password."""
    device = browser(auth, address)
    assert sign_in(device, **fields).location == SECOND
    return device


def inside(auth: Any, secret: str, steps: int = 0, **fields: str) -> Any:
    """A browser after both steps."""
    device = pending(auth, **fields)
    assert send(device, code_of(secret, steps)).status_int == 303
    return device


def send(device: Any, code: str) -> Any:
    return device.post(SECOND, {"code": code}, expect_errors=True)


def wrong(secret: str) -> str:
    return next(code for code in ("000000", "111111", "222222", "333333") if code not in near(secret))


def near(secret: str) -> set[str]:
    return {code_of(secret, step) for step in range(-2, 3)}


# What the first step opens


def test_mf1_the_password_opens_nothing_and_leaves_no_row(auth: Any, secret: str) -> None:
    device = pending(auth)
    assert auth._services.session_store.sessions_of("1") == []
    assert set(cookies(device)) == {"nipo_second"}
    for path in ("/page", "/-/auth/account", SECURITY, f"{SECURITY}/app", "/-/auth/staff", "/-/auth/audit"):
        assert device.get(path).location.startswith("/-/auth/login?next=")
    assert device.get("/-/auth/session", status=401)
    for route in ROUTES:
        if route.needs_user and "POST" in route.views:
            path = f"/-/auth/{route.path.replace('<id>', '1')}"
            assert device.post(path, {}, headers=JSON, expect_errors=True).status_int in {401, 404}, path
    token = cookies(device)["nipo_second"]
    assert not any(text in token for text in (PASSWORD, EMAIL, secret, secret.replace(" ", "")))


def test_mf1_the_app_never_sees_the_cookie_of_the_second_step(mailer: MemoryMailer) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return [environ.get("HTTP_COOKIE", "-").encode()]

    auth = middleware(app, public_paths=["/*"])
    enrol_app(auth, person(auth))
    assert pending(auth).get("/page").text == "-"


def test_mf2_an_older_session_ends_at_success_and_not_before(auth: Any, secret: str) -> None:
    device = browser(auth)
    sign_in(device, OTHER)
    old = cookies(device)["nipo_auth"]
    assert sign_in(device).location == SECOND
    assert (seen(device), cookies(device)["nipo_auth"]) == ("2", old)
    assert send(device, wrong(secret)).status_int == 401
    assert seen(device) == "2"
    assert send(device, code_of(secret)).status_int == 303
    assert seen(device) == "1"
    other = browser(auth)
    other.set_cookie("nipo_auth", old)
    assert seen(other) == ""


CHANGES = {
    "password": lambda auth: auth.accounts.set_password("1", LONG),
    "disabled": lambda auth: auth.accounts.set_active("1", False),
    "address": lambda auth: auth.accounts.change_email("1", "new@example.com"),
    "counter": lambda auth: auth._services.account_states.raise_revocation_counter("1"),
    "deleted": lambda auth: auth.accounts.delete("1"),
    "app": lambda auth: enrol_app(auth, "1"),
    "administrator": lambda auth: reset_factors(auth._services, "1", actor=Actor("script")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_mf3_the_pending_step_dies_with_the_state_of_the_account(auth: Any, secret: str, change: Any) -> None:
    device = pending(auth)
    change(auth)
    assert send(device, code_of(secret)).status_int == 410
    assert seen(device) == ""


def test_mf3_the_pending_step_dies_with_a_reset_by_mail(auth: Any, secret: str, mailer: MemoryMailer) -> None:
    device = pending(auth)
    reset(auth, mailer)
    assert send(device, code_of(secret)).status_int == 410
    assert seen(device) == ""


@pytest.mark.parametrize(("route", "fields"), [("two-step", {"on": "0"}), ("remove", {"factor": "app:1"})])
def test_mf3_the_pending_step_dies_when_its_owner_takes_a_proof_away(
    auth: Any, secret: str, route: str, fields: dict[str, str]
) -> None:
    own = inside(auth, secret, -1)
    store_passkey(auth, "1", "passkey:a", "Phone")
    device = pending(auth)
    own.post(f"{SECURITY}/{route}", fields, status=303)
    assert send(device, code_of(secret)).status_int == 410
    assert seen(device) == ""


def test_mf3_the_pending_step_has_one_purpose_and_ten_minutes(auth: Any, secret: str) -> None:
    device = pending(auth)
    token = cookies(device)["nipo_second"]
    for name in ("nipo_auth", "nipo_device"):
        thief = browser(auth)
        thief.set_cookie(name, token)
        assert seen(thief) == ""
    assert browser(auth).get(f"/-/auth/reset/{token}", status=410)
    own = cookies(inside(auth, secret))
    for value in (own["nipo_auth"], own["nipo_device"], token[:-1], token + "=", token.replace(".", "..", 1), ""):
        thief = browser(auth)
        thief.set_cookie("nipo_second", value or "x")
        assert send(thief, code_of(secret, 1)).status_int == 410
    with time_machine.travel(time.time() + 601, tick=False):
        assert send(device, code_of(secret)).status_int == 410


def test_mf4_no_route_opens_or_renews_a_session_with_one_step() -> None:
    house = House()
    store, admin = house.auth._services.session_store, house.auth._services.users.find_by_email("admin@example.com")
    for number, route in enumerate(route for route in ROUTES if "POST" in route.views):
        house = House()
        store = house.auth._services.session_store
        before = {one.key for one in store.sessions_of(admin.id)}
        path, fields = list(house.sent.items())[number]
        if route.path == "login":
            fields = {"email": "admin@example.com", "password": PASSWORD}
        ask(house.auth, "POST", f"/-/auth/{path}", form=fields, cookie=house.cookie, HTTP_ORIGIN=HTTPS)
        if not house.auth._services.account_states.account_state(admin.id).two_step:
            assert path == "account/security/two-step"
            continue
        for one in store.sessions_of(admin.id):
            assert one.key in before or (one.means != "password" and one.second_at), path


def test_mf4_the_change_of_a_password_keeps_what_was_proved(auth: Any, secret: str) -> None:
    device = inside(auth, secret)
    device.post("/-/auth/account/password", {"current_password": PASSWORD, "password": LONG}, status=303)
    (session,) = auth._services.session_store.sessions_of("1")
    assert session.means == "password,app"
    with time_machine.travel(time.time() + 901, tick=False):
        assert device.get(f"{SECURITY}/two-step").location.startswith("/-/auth/account/confirm")


def test_mf4_two_steps_stay_when_the_extra_is_gone(auth: Any, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nipo_auth_mw._wiring.find_spec", lambda name: None)
    services = auth._services
    later = middleware(store=services.session_store, mailer=None)
    assert sign_in(browser(later)).status_int == 503
    assert services.session_store.sessions_of("1") == []


# What a reset by mail changes


def reset(auth: Any, mailer: MemoryMailer) -> Any:
    """Set a new password by mail; the page of the link."""
    device = browser(auth)
    device.post("/-/auth/forgot", {"email": EMAIL})
    auth.flush_mail()
    page = device.get(link_in(mailer.outbox[-1]).removeprefix("http://localhost"))
    form = page.forms["reset"]
    form["password"] = LONG
    assert form.submit().status_int == 303
    auth.flush_mail()
    return page


def test_mf5_mf6_a_reset_by_mail_leaves_the_second_step_and_names_it(
    auth: Any, secret: str, mailer: MemoryMailer
) -> None:
    services = auth._services
    services.factors.make_codes("1")
    services.factors.add_passkey("1", "passkey:a", name="Work phone", data=PASSKEY.packed(), counter=0)
    before = (services.factor_store.factors_of("1"), services.factor_store.backup_codes("1"))
    device = pending(auth)
    for _ in range(5):
        send(device, wrong(secret))
    added = f"{datetime.now(UTC):%b %Y}, "
    page = reset(auth, mailer)
    told = mailer.outbox[-1]
    for text in (page.text, told.text, told.html):
        assert "Work phone" in text
        assert "Authenticator app" in text
        listed = [line for line in text.splitlines() if "Work phone" in line or "Authenticator app" in line]
        assert len(listed) == 2
        assert all(added in line for line in listed), "a mail may be read on another day"
    assert (services.factor_store.factors_of("1"), services.factor_store.backup_codes("1")) == before
    assert services.account_states.account_state("1").two_step
    assert services.session_store.sessions_of("1") == []
    device = browser(auth)
    assert sign_in(device, password=LONG).location == SECOND
    assert send(device, code_of(secret)).status_int == 429


def test_mf5_mf10_a_reset_gives_no_count_of_wrong_codes_of_its_own(
    auth: Any, secret: str, mailer: MemoryMailer
) -> None:
    """A known device has such a count, and an attacker with the mailbox makes five resets an hour."""
    for _ in range(5):
        send(pending(auth), wrong(secret))
    device = browser(auth)
    device.post("/-/auth/forgot", {"email": EMAIL})
    auth.flush_mail()
    form = device.get(link_in(mailer.outbox[-1]).removeprefix("http://localhost")).forms["reset"]
    form["password"] = LONG
    form.submit(status=303)
    assert sign_in(device, password=LONG).location == SECOND
    assert send(device, wrong(secret)).status_int == 429


def test_mf6_a_reset_without_a_second_step_speaks_of_none(auth: Any, mailer: MemoryMailer) -> None:
    person(auth)
    assert "Authenticator" not in reset(auth, mailer).text
    assert "Two-step" not in mailer.outbox[-1].text


# Who changes the proofs


SECURITY_ROUTES = [route for route in ROUTES if route.path.startswith("account/security/")]


@pytest.mark.parametrize("route", SECURITY_ROUTES, ids=lambda route: route.path)
def test_mf7_proofs_are_changed_by_a_fresh_session_of_both_steps(auth: Any, secret: str, route: Any) -> None:
    assert route.fresh
    path = f"/-/auth/{route.path}"
    assert pending(auth).post(path, {}, headers=JSON, status=401)
    device = inside(auth, secret)
    with time_machine.travel(time.time() + 901, tick=False):
        assert device.post(path, {}, headers=JSON, status=403).json["code"] == "fresh_sign_in_required"
        assert device.get(path).location.startswith("/-/auth/account/confirm")
    one_step = browser(auth)
    account, state = auth._services.users.get("1"), auth._services.account_states.account_state("1")
    cookie = auth._services.sessions.open(account, state, Client(), persistent=True)[1]
    one_step.set_cookie("nipo_auth", cookie)
    assert one_step.post(path, {}, headers=JSON, status=403).json["code"] == "fresh_sign_in_required"


def test_mf8_fresh_means_the_password_and_the_second_step_of_this_account(auth: Any, secret: str) -> None:
    other = enrol_app(auth, auth.accounts.find(OTHER))
    codes = auth._services.factors.make_codes("2")
    auth.accounts.set_password("2", LONG)
    device = inside(auth, secret)
    with time_machine.travel(time.time() + 901, tick=False):
        tries = [
            {"password": LONG, "code": code_of(secret)},
            {"password": PASSWORD, "code": code_of(other)},
            {"password": PASSWORD, "code": codes[0]},
            {"password": PASSWORD},
            {"code": code_of(secret)},
        ]
        for fields in tries:
            refused = device.post("/-/auth/account/confirm", fields, headers=JSON, status=403).json["code"]
            assert refused == ("invalid_code" if fields.get("password") == PASSWORD else "wrong_password")
            assert device.get(f"{SECURITY}/two-step").status_int == 303
        assert len(events(auth, "second_step_failed")) == 2, "no code is no guess"
        assert len(events(auth, "sign_in_failed")) == 2
        device.post("/-/auth/account/confirm", {"password": PASSWORD, "code": code_of(secret)}, status=303)
        assert device.get(f"{SECURITY}/two-step").status_int == 200


def test_mf9_other_sessions_end_when_a_proof_comes_or_goes(auth: Any) -> None:
    person(auth)
    own, two, three = browser(auth), browser(auth), browser(auth)
    for device in (own, two, three):
        sign_in(device)
    before = cookies(own)["nipo_auth"]
    setup = own.get(f"{SECURITY}/app", headers=JSON).json
    secret = setup["key"]
    own.post(f"{SECURITY}/app", {"setup": setup["setup"], "code": code_of(secret)}, status=303)
    assert (seen(own), seen(two), seen(three)) == ("1", "", "")
    assert cookies(own)["nipo_auth"] != before
    assert {one.means for one in auth._services.session_store.sessions_of("1")} == {"password,app"}
    other = inside(auth, secret, 1)
    auth._services.factors.add_passkey("1", "passkey:a", name="a", data="{}", counter=0)
    for path, fields in {
        "codes": {},
        "rename": {"factor": "passkey:a", "name": "b"},
    }.items():
        assert own.post(f"{SECURITY}/{path}", fields).status_int in {200, 303}
        assert seen(other) == "1", path
    own.post(f"{SECURITY}/remove", {"factor": "passkey:a"}, status=303)
    assert (seen(own), seen(other)) == ("1", "")


# What a password alone changes


OF_A_PASSWORD = {
    "password": {"current_password": PASSWORD, "password": LONG},
    "email": {"email": "new@example.com", "password": PASSWORD},
}


@pytest.mark.parametrize("path", OF_A_PASSWORD)
def test_mf19_a_stale_session_and_the_password_change_nothing(
    auth: Any, secret: str, mailer: MemoryMailer, path: str
) -> None:
    device, fields, path = inside(auth, secret), OF_A_PASSWORD[path], f"/-/auth/account/{path}"
    with time_machine.travel(time.time() + 901, tick=False):
        with mock.patch.object(type(auth._services.hashing), "verify") as verified:
            assert device.post(path, fields, headers=JSON, status=403).json["code"] == "fresh_sign_in_required"
            device.post(path, fields, status=403)
        assert not verified.called, "a password that is not looked at clears no count"
        auth.flush_mail()
        assert mailer.outbox == []
        confirm = device.get(path).location
        assert confirm == f"/-/auth/account/confirm?next={path}"
        back = device.post(confirm, {"password": PASSWORD, "code": code_of(secret), "next": path}).location
        assert back == path
        device.post(path, fields, status=303)


@pytest.mark.parametrize("path", OF_A_PASSWORD)
def test_mf19_an_account_with_one_step_gives_the_password_in_the_form(auth: Any, path: str) -> None:
    person(auth)
    device = browser(auth)
    sign_in(device)
    with time_machine.travel(time.time() + 901, tick=False):
        device.get(f"/-/auth/account/{path}", status=200)
        device.post(f"/-/auth/account/{path}", OF_A_PASSWORD[path], status=303)


def test_mf19_a_temporary_password_is_changed_after_the_second_step(auth: Any, secret: str) -> None:
    auth.accounts.set_password("1", LONG, must_change=True)
    device = browser(auth)
    sign_in(device, password=LONG)
    assert send(device, code_of(secret)).status_int == 303
    with time_machine.travel(time.time() + 901, tick=False):
        confirm = device.get("/page").follow().location
        assert confirm.startswith("/-/auth/account/confirm?next=/-/auth/account/password")
        form = device.get(confirm).forms["account-confirm"]
        form["password"], form["code"] = LONG, code_of(secret)
        form = form.submit().follow().forms["account-password"]
        form["password"] = PASSWORD
        assert form.submit().location == "/page"
        assert seen(device) == "1"


# What a renewed session keeps


def of_the_session(auth: Any) -> Any:
    (session,) = auth._services.session_store.sessions_of("1")
    return session


def test_mf20_no_renewal_prolongs_a_session_past_its_absolute_limit(auth: Any, secret: str) -> None:
    device, began = inside(auth, secret), time.time()
    before = of_the_session(auth).created_at
    with time_machine.travel(began + 600, tick=False):
        device.post("/-/auth/account/password", {"current_password": PASSWORD, "password": LONG}, status=303)
        assert of_the_session(auth).created_at == before
        device.post(f"{SECURITY}/two-step", {"on": "0"}, status=303)
        assert of_the_session(auth).created_at == before


@pytest.mark.parametrize("route", ["two-step", "remove"])
def test_mf20_a_proof_that_is_gone_proves_nothing(secret: str, auth: Any, route: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        require_second(environ)
        return echo(environ, start_response)

    host = middleware(app, store=auth._services.session_store)
    device = inside(host, secret)
    assert seen(device) == "1"
    store_passkey(host, "1", "passkey:a", "Phone")
    device.post(f"{SECURITY}/{route}", {"on": "0", "factor": "app:1"}, status=303)
    session = of_the_session(host)
    assert (session.means, session.second_at) == ("password", 0)
    assert device.get("/page", headers=JSON, status=403).json["code"] == "second_step_required"
    if route == "two-step":
        device.post(f"{SECURITY}/two-step", {"on": "1"}, headers=JSON, status=403)
        assert host._services.account_states.account_state("1").two_step is None


def test_mf20_a_passkey_that_was_proved_stays_when_two_steps_end(auth: Any, secret: str) -> None:
    device = inside(auth, secret)
    store_passkey(auth, "1", "passkey:a", "Phone")
    auth._services.sessions.confirm(of_the_session(auth), "password,app,passkey")
    proved = of_the_session(auth).second_at
    device.post(f"{SECURITY}/two-step", {"on": "0"}, status=303)
    assert (of_the_session(auth).means, of_the_session(auth).second_at) == ("password,passkey", proved)
    device.post(f"{SECURITY}/remove", {"factor": "passkey:a"}, status=303)
    assert (of_the_session(auth).means, of_the_session(auth).second_at) == ("password", 0)


def test_mf20_a_used_backup_code_stands_while_two_steps_are_on(auth: Any, secret: str) -> None:
    (code, *_), device = auth._services.factors.make_codes("1"), pending(auth)
    assert send(device, code).status_int == 303
    store_passkey(auth, "1", "passkey:a", "Phone")
    device.post(f"{SECURITY}/remove", {"factor": "passkey:a"}, status=303)
    assert of_the_session(auth).means == "password,code"
    device.post(f"{SECURITY}/two-step", {"on": "0"}, status=303)
    assert of_the_session(auth).means == "password"


# Counting


def test_mf10_wrong_codes_count_over_all_doors_kinds_and_addresses(auth: Any, secret: str) -> None:
    codes = auth._services.factors.make_codes("1")
    own = inside(auth, secret, 1)
    checked = mock.Mock(wraps=auth._services.factors.check_code)
    found = mock.Mock(wraps=auth._services.factors.find_code)
    with mock.patch.multiple(type(auth._services.factors), check_code=checked, find_code=found):
        own.reset()
        for number in range(4):
            device = pending(auth, f"192.0.2.{number + 10}", remember="")
            send(device, wrong(secret) if number % 2 else "xxxx-xxxx-xxxxx")
        for number in range(20):
            refused = send(pending(auth, f"198.51.100.{number}"), wrong(secret))
            assert refused.status_int == (401 if number == 0 else 429)
            assert refused.headers["Retry-After"]
        assert checked.call_count + found.call_count == 5
        assert send(pending(auth), code_of(secret)).status_int == 429
        assert send(pending(auth), codes[0]).status_int == 429
        assert checked.call_count + found.call_count == 5
    with time_machine.travel(time.time() + 301, tick=False):
        assert send(pending(auth), code_of(secret)).status_int == 303


def test_mf10_re_authentication_shares_the_count(auth: Any, secret: str) -> None:
    own = inside(auth, secret, remember="")
    for _ in range(4):
        own.post("/-/auth/account/confirm", {"password": PASSWORD, "code": wrong(secret)}, status=403)
    assert send(pending(auth), wrong(secret)).status_int == 401
    assert send(pending(auth), code_of(secret, 1)).status_int == 429
    locked = own.post("/-/auth/account/confirm", {"password": PASSWORD, "code": code_of(secret, 1)}, status=429)
    assert locked.html.find(role="alert")
    assert seen(own) == "1"


@pytest.mark.parametrize("code", ["", " ", "\u3000", "12345", "1234567", "123456 123456", "abcdef", "0000-0000-000"])
def test_mf10_what_has_the_form_of_no_code_is_no_guess_at_any_door(auth: Any, secret: str, code: str) -> None:
    """A digit too few, or a code that was pasted twice, locks no one out."""
    own, device = inside(auth, secret, remember=""), pending(auth)
    lockout = auth._services.second_lockout
    for _ in range(6):
        refused = own.post("/-/auth/account/confirm", {"password": PASSWORD, "code": code}, headers=JSON, status=403)
        assert (refused.json["code"], refused.json["title"]) == ("invalid_code", "Check the code you entered")
        refused = device.post(SECOND, {"code": code}, headers=JSON, status=401)
        assert (refused.json["code"], refused.json["title"]) == ("invalid_code", "Check the code you entered")
    assert lockout.locked(lockout.account("1")) is None
    assert events(auth, "second_step_failed") == []
    assert send(device, code_of(secret, 1)).status_int == 303


@pytest.mark.parametrize("then", ["signs in", "signs out"])
def test_mf21_the_next_user_of_a_browser_finds_no_second_step_of_another(auth: Any, secret: str, then: str) -> None:
    device = pending(auth)
    if then == "signs in":
        person(auth, "mori@example.com")
        assert sign_in(device, "mori@example.com").status_int == 303
        assert "nipo_second" not in cookies(device)
    device.post("/-/auth/logout", {}, status=303)
    assert device.get(SECOND, expect_errors=True).status_int == 410


def test_mf10_two_realms_of_one_store_share_the_count() -> None:
    """They share the accounts and their factors, so a realm of its own gives no further guesses."""
    store = MemoryStore()
    first, second = (middleware(store=store, realm=realm) for realm in ("", "other"))
    secret = enrol_app(first, person(first))
    for number in range(5):
        assert send(pending((first, second)[number % 2]), wrong(secret)).status_int == 401
    for auth in (first, second):
        assert send(pending(auth), code_of(secret)).status_int == 429
    lift_second_lock(second._services, second._services.users.get("1"))
    assert send(pending(first), code_of(secret)).status_int == 303


def test_mf11_a_right_password_neither_counts_nor_clears(auth: Any, secret: str) -> None:
    for number in range(10):
        device = pending(auth, f"192.0.2.{number + 10}")
        expected = 401 if number < 5 else 429
        assert send(device, wrong(secret)).status_int == expected
    for _ in range(4):
        assert sign_in(browser(auth), password=WRONG).status_int == 401
    pending(auth)
    assert sign_in(browser(auth), password=WRONG).status_int == 401
    assert sign_in(browser(auth)).status_int == 429


def test_mf11_a_complete_sign_in_clears_both_counts(auth: Any, secret: str) -> None:
    for step in (0, 1):
        for _ in range(4):
            sign_in(browser(auth), password=WRONG)
        device = pending(auth, remember="")
        for _ in range(4):
            send(device, wrong(secret))
        assert send(device, code_of(secret, step)).status_int == 303


def test_mf11_a_right_password_alone_is_no_attempt_of_a_hundred(mailer: MemoryMailer) -> None:
    auth = middleware(mailer=mailer, lockout=LockoutPolicy(permanent_after=10))
    secret = enrol_app(auth, person(auth))
    for _ in range(30):
        pending(auth)
    assert send(pending(auth), code_of(secret)).status_int == 303


def test_mf12_parallel_guesses_are_counted_before_they_are_looked_at(auth: Any, secret: str) -> None:
    token = cookies(pending(auth))["nipo_second"]
    looked: list[str] = []
    real = totp.step_of

    def step_of(*given: Any, **more: Any) -> Any:
        looked.append(given[1])
        time.sleep(0.001)
        return real(*given, **more)

    def guess() -> None:
        device = browser(auth)
        device.set_cookie("nipo_second", token)
        send(device, wrong(secret))

    with mock.patch("nipo_auth_mw._credentials.totp.step_of", step_of):
        threads = [threading.Thread(target=guess) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(looked) == 5
    assert len(events(auth, "second_locked")) == 1


@pytest.fixture
def on_disk(tmp_path: Path, mailer: MemoryMailer) -> Any:
    """A middleware whose store other processes share."""
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    yield middleware(store=store, mailer=mailer)
    store.close()


def killed_at(target: Any, name: str, act: Callable[[], object]) -> None:
    """Do this in another process, which is killed when it calls that method."""
    child = os.fork()
    if not child:
        killed = mock.Mock(side_effect=lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        with mock.patch.object(target, name, killed):
            act()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def counted(auth: Any) -> dict[str, int]:
    lockout = auth._services.second_lockout
    seen = lockout.look(lockout.account("1")).counts
    return {name.partition(":")[2].partition(":")[2]: count for name, (count, _) in seen.items()}


def test_mf12_a_process_that_dies_has_counted_the_code_before_it_looked_at_it(on_disk: Any) -> None:
    secret = enrol_app(on_disk, person(on_disk))
    device = pending(on_disk)
    killed_at(on_disk._services.factors, "check_code", lambda: send(device, wrong(secret)))
    assert counted(on_disk) == {"s:0": 1, "row": 1}


@pytest.mark.parametrize("kind", ["app", "backup"])
def test_mf12_a_process_that_dies_spends_no_code_without_its_session(on_disk: Any, kind: str) -> None:
    secret = enrol_app(on_disk, person(on_disk))
    (backup, *_) = on_disk._services.factors.make_codes("1")
    code = code_of(secret) if kind == "app" else backup
    device = pending(on_disk)
    killed_at(on_disk._services.session_store, "open_session", lambda: send(device, code))
    assert counted(on_disk) == {"s:0": 1, "row": 1}
    assert events(on_disk, "code_used") == []
    assert send(device, code).status_int == 303
    assert send(pending(on_disk), code).status_int == 401, "and it is spent now"


def test_mf12_an_outage_while_the_session_opens_spends_no_code_and_is_no_failure(auth: Any, secret: str) -> None:
    device, code = pending(auth), code_of(secret)
    with mock.patch.object(auth._services.session_store, "open_session", side_effect=StoreUnavailable("down")):
        for _ in range(6):
            assert send(device, code).status_int == 503
    assert send(device, code).status_int == 303
    assert counted(auth) == {}


@pytest.mark.parametrize("kind", ["app", "backup"])
@pytest.mark.parametrize("store", ["auth", "on_disk"])
def test_to2_rc2_of_two_sign_ins_with_one_code_one_opens_a_session(
    request: pytest.FixtureRequest, store: str, kind: str
) -> None:
    """Both have found the code right before one of them spends it."""
    auth: Any = request.getfixturevalue(store)
    secret, factors = enrol_app(auth, person(auth)), auth._services.factors
    code = code_of(secret) if kind == "app" else factors.make_codes("1")[0]
    devices, both, looks = [pending(auth), pending(auth)], threading.Barrier(2), count()

    def together(real: Any) -> Any:
        def look(*given: Any) -> Any:
            found = real(*given)
            if next(looks) < 2:
                both.wait(5)
            return found

        return look

    with (
        mock.patch.multiple(factors, check_code=together(factors.check_code), find_code=together(factors.find_code)),
        ThreadPoolExecutor(2) as threads,
    ):
        answers = list(threads.map(lambda device: send(device, code).status_int, devices))
    assert sorted(answers) == [303, 401]
    assert len(auth._services.session_store.sessions_of("1")) == 1
    assert [row.details["reason"] for row in events(auth, "second_step_failed")] == ["wrong_code"]


def test_mf13_locks_double_up_to_a_day_and_end_after_a_hundred(mailer: MemoryMailer) -> None:
    auth = middleware(mailer=mailer)
    secret = enrol_app(auth, person(auth))
    waits = []
    with time_machine.travel(time.time(), tick=False) as clock:
        while len(waits) < 19:
            device = pending(auth)
            for _ in range(5):
                last = send(device, wrong(secret))
            waits.append(int(last.headers["Retry-After"]))
            clock.shift(waits[-1] + 1)
        minutes = [wait // 60 for wait in waits]
        assert minutes[:9] == [5, 10, 20, 40, 80, 160, 320, 640, 1280]
        assert set(minutes[9:]) == {24 * 60}
        device = pending(auth)
        told = [send(device, wrong(secret)) for _ in range(5)][-1]
        assert "Retry-After" not in told.headers
        assert "Codes are no longer accepted" in told.text
        assert mailer.outbox[-1].subject == "localhost: codes are no longer accepted"
        clock.shift(timedelta(days=30))
        device = pending(auth)
        refused = device.post(SECOND, {"code": code_of(secret)}, headers=JSON, status=429)
        assert refused.json["code"] == "locked"
        assert "Retry-After" not in refused.headers
        assert len(mailer.outbox) >= 1
        auth.accounts.unlock("1")
        assert send(pending(auth), code_of(secret)).status_int == 303


def test_mf14_strangers_cannot_cause_it_and_a_known_device_goes_on(auth: Any, secret: str) -> None:
    own = inside(auth, secret)
    device = cookies(own)["nipo_device"]
    for _ in range(20):
        sign_in(browser(auth, "203.0.113.9"), password=WRONG)
    assert auth._services.second_lockout.locked(auth._services.second_lockout.account("1")) is None
    auth.accounts.unlock("1")
    thief = pending(auth, "203.0.113.9")
    for _ in range(5):
        send(thief, wrong(secret))
    assert send(thief, code_of(secret, 1)).status_int == 429
    assert seen(own) == "1"
    state = auth._services.account_states.account_state("1")
    known = auth._services.known_devices.remember(None, auth._services.users.get("1"), state)
    for value, status in ((device[:-1] + "x", 429), ("forged", 429), (known, 303)):
        back = browser(auth)
        back.set_cookie("nipo_device", value)
        assert sign_in(back).location == SECOND
        assert send(back, code_of(secret, 1)).status_int == status, value


def test_mf15_the_owner_hears_once_an_hour_that_the_password_is_known(
    auth: Any, secret: str, mailer: MemoryMailer
) -> None:
    with time_machine.travel(time.time(), tick=False) as clock:
        for number, pause in enumerate((301, 601, 3600, 0)):
            device = pending(auth)
            for _ in range(7):
                send(device, wrong(secret))
            assert len(events(auth, "second_locked")) == number + 1
            told = [mail for mail in mailer.outbox if "password" in mail.subject.lower()]
            assert len(told) == (1 if number < 3 else 2)
            clock.shift(pause)
    refused = [row.details["refused"] for row in events(auth, "second_unlocked")]
    assert refused == [2, 2, 2]


# What nobody learns


def test_mf16_an_account_with_two_steps_looks_like_any_other_without_its_password(auth: Any, secret: str) -> None:
    def answer(email: str) -> tuple[Any, ...]:
        device = browser(auth)
        page = sign_in(device, email, WRONG)
        names = sorted(name for name, _ in page.headerlist)
        return page.status, names, page.text.replace(email, "ADDRESS"), sorted(cookies(device))

    def without_ids(answered: tuple[Any, ...]) -> str:
        # A form's id, and the challenge of the button for passkeys, are random for everybody.
        return re.sub(r"[\w.-]{20,}", "", repr(answered))

    assert without_ids(answer(EMAIL)) == without_ids(answer(OTHER)) == without_ids(answer("nobody@example.com"))


def test_mf17_a_disabled_account_gets_in_by_nothing_and_hears_of_it_last(auth: Any, secret: str) -> None:
    own = inside(auth, secret)
    auth.accounts.set_active("1", False)
    assert seen(own) == ""
    device = pending(auth)
    assert events(auth, "refused_disabled") == []
    assert send(device, wrong(secret)).status_int == 401
    refused = device.post(SECOND, {"code": code_of(secret, 1)}, headers=JSON, status=403)
    assert refused.json["code"] == "account_disabled"
    assert len(events(auth, "refused_disabled")) == 1
    assert auth._services.session_store.sessions_of("1") == []
    assert seen(device) == ""


def test_mf18_no_secret_of_the_second_step_leaves(
    on_disk: Any, mailer: MemoryMailer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by the files of the database, nor the log, the audit log, a mail, a repr or a later page."""
    caplog.set_level(logging.DEBUG)
    auth, store = on_disk, on_disk._services.session_store
    person(auth)
    own = browser(auth)
    sign_in(own)
    app, markers, pages = f"{SECURITY}/app", set(), []
    for replace in ("", "1"):
        setup = own.get(f"{app}?replace={replace}", headers=JSON).json
        own.post(app, {"setup": setup["setup"], "code": code_of(setup["key"]), "replace": replace}, status=303)
        codes = own.post_json(f"{SECURITY}/codes", {}).json["codes"]
        raw, key = base64.b32decode(setup["key"].replace(" ", "")), setup["key"]
        markers |= {raw, raw.hex(), repr(raw), key, key.replace(" ", ""), setup["setup"]}
        markers |= {encoded(raw).rstrip(b"=") for encoded in (base64.b64encode, base64.urlsafe_b64encode)}
        markers |= {*codes, *(code.replace("-", "") for code in codes)}
    send(pending(auth), wrong(key))
    for code in (codes[0], codes[0]):
        send(pending(auth), code)
    own.post("/-/auth/account/confirm", {"password": PASSWORD, "code": codes[1]}, status=303)
    soft, passkeys = SoftPasskey(), f"{SECURITY}/passkeys"
    made = soft.create(own.get(passkeys, headers=JSON).json["options"])
    own.post(passkeys, {"credential": made}, status=303)
    used = soft.get(browser(auth).get("/-/auth/login/passkey", headers=JSON).json["options"])
    for status in (303, 401):
        browser(auth).post("/-/auth/login/passkey", {"credential": used}, status=status)
    for credential in (made, used):
        sent = json.loads(credential)["response"]
        challenge = json.loads(base64.urlsafe_b64decode(sent["clientDataJSON"] + "=="))["challenge"]
        markers |= {challenge, base64.urlsafe_b64decode(challenge + "=="), sent["clientDataJSON"]}
    markers.add(json.loads(used)["response"]["signature"])
    setup = own.get(f"{app}?replace=1", headers=JSON).json
    markers |= {setup["key"], setup["key"].replace(" ", "")}
    replaced = {"setup": setup["setup"], "code": code_of(setup["key"]), "replace": "1"}
    broken: dict[str, Callable[[], Any]] = {
        "update_factor": lambda: send(pending(auth), code_of(key, 1)),
        "spend_backup_code": lambda: send(pending(auth), codes[2]),
        "add_factor": lambda: own.post(app, replaced, expect_errors=True),
        "replace_backup_codes": lambda: own.post(f"{SECURITY}/codes", {}, expect_errors=True),
        "remove_factor": lambda: own.post(f"{SECURITY}/two-step", {"on": "0"}, expect_errors=True),
    }
    for name, act in broken.items():
        with mock.patch.object(store, name, side_effect=RuntimeError("x")):
            assert act().status_int == 503, name
    auth.flush_mail()
    pages += [own.get(path).text for path in (SECURITY, f"{SECURITY}/codes", "/-/auth/account")]
    factors = auth._services.factors
    reprs = repr(
        [auth, factors, factors.setup("1", 0), factors.of("1"), store.factors_of("1"), store.backup_codes("1")]
    )
    texts = [caplog.text, repr(events(auth)), *pages, *(mail.text + (mail.html or "") for mail in mailer.outbox), reprs]
    files = {path.name: path.read_bytes() for path in tmp_path.glob("auth.db*")}
    assert {"auth.db", "auth.db-wal"} <= set(files)
    assert any(b"factor_added" in content for content in files.values())
    for marker in markers:
        sought = marker if isinstance(marker, bytes) else marker.encode()
        assert not any(sought in place for place in [*files.values(), *(text.encode() for text in texts)]), marker


# Roles that require two steps


def required(**more: Any) -> Any:
    return middleware(two_step=TwoStepPolicy(required_for=("admin",)), public_paths=["/open"], **more)


def test_ef1_a_role_without_its_second_step_sees_nothing_else() -> None:
    auth = required()
    user = person(auth)
    person(auth, "boss@example.com", role="admin")
    device = browser(auth)
    sign_in(device)
    assert (seen(device), seen(device, "/open")) == ("1", "1")
    auth.accounts.set_role(user.id, "admin")
    assert seen(device, "/open") == ""
    for path in ("/page", "/-/auth/account", "/-/auth/staff", "/-/auth/audit", "/-/auth/account/email"):
        assert device.get(path).location.startswith(f"{SECURITY}?next="), path
        assert device.get(path, headers=JSON, status=403).json["code"] == "second_step_required"
    assert device.get("/-/auth/session", status=403).json["code"] == "second_step_required"
    for route in ROUTES:
        if route.needs_user and "POST" in route.views and not route.path.startswith("account/security"):
            path = f"/-/auth/{route.path.replace('<id>', '2')}"
            refused = device.post(path, {}, headers=JSON, expect_errors=True)
            assert refused.status_int == 403, path
            assert route.path == "account/confirm" or refused.json["code"] == "second_step_required", path
    assert device.get(SECURITY, status=200)
    setup = device.get(f"{SECURITY}/app", headers=JSON).json
    device.post(f"{SECURITY}/app", {"setup": setup["setup"], "code": code_of(setup["key"])}, status=303)
    assert seen(device, "/open") == "1"


@pytest.mark.parametrize("elsewhere", [Here, There])
def test_ef1_a_role_given_elsewhere_counts_from_the_next_request(tmp_path: Path, elsewhere: Any) -> None:
    """By another middleware object on the same file, in this process and in another one."""
    url = f"sqlite:///{tmp_path / 'auth.db'}"
    here, there = Here(url), elsewhere(url)

    def answer(door: Any, path: str, form: Any = None, cookie: str = "") -> Answer:
        method, accept = "POST" if form else "GET", "application/json" if "/security/" in path else "text/html"
        return answer_of(door.call(time.time(), "ask", method, path, form, cookie, "192.0.2.1", accept))

    user = here.call(time.time(), "create", EMAIL, "staff")
    pair = session_pair(answer(here, "/-/auth/login", {"email": EMAIL, "password": PASSWORD}))
    assert answer(here, "/page", cookie=pair).status == 200
    there.call(time.time(), "act", "set_role", user, REQUIRED)
    for door in (here, there):
        assert answer(door, "/page", cookie=pair).get("Location").startswith(f"{SECURITY}?next=")
        assert answer(door, "/open", cookie=pair).text.startswith("user=- ")
    setup = json.loads(answer(there, f"{SECURITY}/app", cookie=pair).body)
    confirmed = {"setup": setup["setup"], "code": code_of(setup["key"])}
    renewed = session_pair(answer(there, f"{SECURITY}/app", confirmed, pair))
    assert answer(here, "/page", cookie=renewed).text.startswith(f"user={user} ")
    assert answer(here, "/open", cookie=pair).text.startswith("user=- ")
    for door in (here, there):
        door.call(time.time(), "close")


def test_ef2_no_one_is_half_in() -> None:
    auth = required()
    person(auth, EMAIL, role="admin")
    device = browser(auth)
    sign_in(device)
    device.get(f"{SECURITY}/app", status=200)
    other = browser(auth)
    assert sign_in(other).location.startswith(SECURITY)
    assert auth._services.factor_store.factors_of("1") == []
    setup = device.get(f"{SECURITY}/app", headers=JSON).json
    device.post(f"{SECURITY}/app", {"setup": setup["setup"], "code": code_of(setup["key"])}, status=303)
    assert seen(device) == "1"
    key = device.get(SECURITY, headers=JSON).json["app"]["id"]
    assert device.post(f"{SECURITY}/remove", {"factor": key}, headers=JSON, status=409).json["code"] == "last_factor"
    off = device.post(f"{SECURITY}/two-step", {"on": "0"}, headers=JSON, status=403)
    assert off.json["code"] == "second_step_required"


class WithoutFactors:
    """A session store from before the second step."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if "factor" in name or "backup" in name or name == "confirm_second":
            raise AttributeError(name)
        return getattr(self._store, name)


def test_ef3_a_required_second_step_that_cannot_be_kept_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    given = in_memory(two_step=TwoStepPolicy(required_for=("admin",)))
    store = given.pop("store")
    with pytest.raises(ConfigError, match="keeps no second step"):
        AuthMiddleware(lambda *_: [], **given, store=store, sessions=WithoutFactors(store))
    monkeypatch.setattr("nipo_auth_mw._wiring.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="two-step"):
        AuthMiddleware(lambda *_: [], **given, store=store)


@pytest.mark.parametrize("broken", ["factors_of", "backup_codes"])
def test_ef3_factors_out_of_reach_let_nobody_in(auth: Any, secret: str, broken: str) -> None:
    device = pending(auth)
    with mock.patch.object(MemoryStore, broken, side_effect=StoreUnavailable("down")):
        assert sign_in(browser(auth)).status_int == 503
        if broken == "factors_of":
            assert send(device, wrong(secret)).status_int == 503
    assert auth._services.session_store.sessions_of("1") == []


@pytest.mark.parametrize("role", ["boss", "Admin", ""])
def test_ef3_a_role_that_does_not_exist_is_refused(role: str) -> None:
    with pytest.raises(ConfigError, match=r"two_step\.required_for"):
        middleware(two_step=TwoStepPolicy(required_for=(role,)))
