"""The second step of a sign-in."""

from __future__ import annotations

import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer, code_of, enrol_app
from tests.kit import browser, events, middleware, person, seen, sign_in

JSON = {"Accept": "application/json"}
LOGIN = {"email": "tanaka@example.com", "password": "aoi-umi-to-shiroi-kumo"}


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


@pytest.fixture
def secret(auth: Any) -> str:
    return enrol_app(auth, person(auth))


def asked(auth: Any, **fields: str) -> tuple[TestApp, Any]:
    """A browser on the page of the second step."""
    device = browser(auth)
    return device, sign_in(device, **fields).follow()


def test_a_code_opens_what_the_password_did_not(auth: Any, secret: str) -> None:
    device = browser(auth)
    answer = sign_in(device, next="/orders?month=11")
    assert answer.location == "/-/auth/login/second?next=/orders?month=11"
    assert seen(device) == ""
    page = answer.follow()
    field = page.forms["login-second"]["code"].attrs
    assert (field["inputmode"], field["autocomplete"]) == ("numeric", "one-time-code")
    page.forms["login-second"]["code"] = code_of(secret)
    assert page.forms["login-second"].submit().location == "/orders?month=11"
    assert seen(device) == "1"
    session = device.get("/-/auth/session").json["session"]
    assert session["means"] == ["password", "app"]
    assert session["second_at"][:19] == session["created_at"][:19]
    (event,) = events(auth, "signed_in")
    assert event.details["means"] == "password,app"


@pytest.mark.parametrize("typed", ["{a} {b}", "{a}-{b}", "　{a}　{b}　"])
def test_digits_of_any_width_in_groups(auth: Any, secret: str, typed: str) -> None:
    _, page = asked(auth)
    code = code_of(secret).translate({ord(d): chr(ord(d) + 0xFEE0) for d in "0123456789"})
    page.forms["login-second"]["code"] = typed.format(a=code[:3], b=code[3:])
    assert page.forms["login-second"].submit().status_int == 303


def test_a_wrong_code_is_told_beside_its_field_and_keeps_the_way(auth: Any, secret: str) -> None:
    device, page = asked(auth, next="/orders")
    wrong = page.forms["login-second"]
    wrong["code"] = "000000" if code_of(secret) != "000000" else "111111"
    again = wrong.submit(status=401)
    assert again.html.find(id="problem").text.strip()
    assert again.html.find(id="code")["aria-invalid"] == "true"
    again.forms["login-second"]["code"] = code_of(secret)
    assert again.forms["login-second"].submit().location == "/orders"
    assert [row.details["reason"] for row in events(auth, "second_step_failed")] == ["wrong_code"]
    assert seen(device) == "1"


def test_a_backup_code_works_once_and_is_told(auth: Any, secret: str, mailer: MemoryMailer) -> None:
    codes = auth._services.factors.make_codes("1")
    device, page = asked(auth)
    page.forms["login-second-code"]["code"] = codes[0].upper()
    assert page.forms["login-second-code"].submit().status_int == 303
    assert seen(device) == "1"
    assert [row.details["left"] for row in events(auth, "code_used")] == [9]
    assert "9" in mailer.outbox[-1].text
    _, page = asked(auth)
    page.forms["login-second-code"]["code"] = codes[0]
    again = page.forms["login-second-code"].submit(status=401)
    assert again.html.find(id="backup-code")["aria-invalid"] == "true"
    assert "Wrong backup code" in again.html.find(id="problem").text
    assert again.html.find("details").has_attr("open")


def test_without_backup_codes_no_field_asks_for_one(auth: Any, secret: str) -> None:
    _, page = asked(auth)
    assert set(page.forms) & {"login-second", "login-second-code"} == {"login-second"}


def test_remember_is_that_of_the_first_step(auth: Any, secret: str) -> None:
    for remember, step in (("1", 0), (None, 1)):
        device, page = asked(auth, remember=remember)
        page.forms["login-second"]["code"] = code_of(secret, step)
        page.forms["login-second"].submit()
        assert device.get("/-/auth/session").json["session"]["persistent"] is bool(remember)


def test_a_program_is_told_what_is_due(auth: Any, secret: str) -> None:
    auth._services.factors.make_codes("1")
    program = browser(auth)
    answer = program.post_json("/-/auth/login", {**LOGIN, "next": "/a"})
    assert answer.json == {"second": ["app", "code"], "next": "/-/auth/login/second?next=/a"}
    refused = program.post_json("/-/auth/login/second", {"code": "12345"}, status=401)
    assert refused.json["code"] == "invalid_code"
    done = program.post_json("/-/auth/login/second", {"code": code_of(secret), "next": "/a"})
    assert (done.json["next"], done.json["user"]["id"]) == ("/a", "1")


def test_the_step_waits_ten_minutes(auth: Any, secret: str) -> None:
    device, _ = asked(auth)
    with time_machine.travel(time.time() + 590, tick=False) as clock:
        assert device.get("/-/auth/login/second").status_int == 200
        clock.shift(10)
        assert device.get("/-/auth/login/second", status=410).html.h1
        late = device.post("/-/auth/login/second", {"code": code_of(secret)}, headers=JSON, status=410)
        assert late.json["code"] == "second_expired"
    assert browser(auth).get("/-/auth/login/second", headers=JSON, status=410).json["code"] == "second_expired"


def test_a_tab_that_comes_too_late_says_who_is_signed_in(auth: Any, secret: str) -> None:
    device, page = asked(auth)
    other = device.get("/-/auth/login/second?next=/orders").forms["login-second"]
    page.forms["login-second"]["code"] = code_of(secret)
    page.forms["login-second"].submit()
    other["code"] = code_of(secret, 1)
    late = other.submit(status=410)
    assert late.html.h1.text == "You are already signed in"
    assert "You signed in as tanaka@example.com in another tab" in late.text
    assert device.post("/-/auth/login/second", {"code": "123456"}, headers=JSON, status=410).json["code"] == (
        "second_expired"
    )
    assert device.get("/-/auth/session").json["user"]["id"] == "1"


def test_going_back_to_the_page_leads_on(auth: Any, secret: str) -> None:
    device, page = asked(auth)
    page.forms["login-second"]["code"] = code_of(secret)
    page.forms["login-second"].submit()
    assert device.get("/-/auth/login/second?next=/orders").location == "/orders"


def test_without_the_store_there_is_no_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nipo_auth_mw._wiring.find_spec", lambda name: None)
    auth = middleware()
    assert auth._services.factors is None
    for route in ("login/second", "account/security", "account/security/app"):
        assert browser(auth).get(f"/-/auth/{route}", status=404)
    person(auth)
    assert sign_in(browser(auth)).location == "/"


def test_a_wrong_backup_code_is_told_as_one_at_both_doors(auth: Any, secret: str) -> None:
    codes = auth._services.factors.make_codes("1")
    device, page = asked(auth)
    form = page.forms["login-second-code"]
    form["code"] = "aaaa-aaaa-aaaaa"
    again = form.submit(status=401)
    assert "Wrong backup code" in again.html.find(id="problem").text
    assert again.html.find(id="backup-code")["aria-invalid"] == "true"
    again.forms["login-second-code"]["code"] = codes[0]
    again.forms["login-second-code"].submit(status=303)
    fields = {"password": LOGIN["password"], "code": codes[0]}
    refused = device.post("/-/auth/account/confirm", fields, headers=JSON, status=403)
    assert (refused.json["code"], refused.json["title"]) == ("invalid_code", "Wrong backup code")
