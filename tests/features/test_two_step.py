"""Two steps: the switch, the app, the backup codes."""

from __future__ import annotations

import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer, code_of, enrol_app
from tests.kit import PASSWORD, browser, events, middleware, person, seen, sign_in, store_passkey

JSON = {"Accept": "application/json"}
SECURITY = "/-/auth/account/security"


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


def secret_on(page: Any) -> str:
    return str(page.html.find("span", class_="copy").text)


def set_up(device: TestApp, path: str = f"{SECURITY}/app") -> tuple[str, Any]:
    """Set an app up as a user does. Returns its secret and the answer."""
    page = device.get(path)
    secret = secret_on(page)
    page.forms["account-security-app"]["code"] = code_of(secret)
    return secret, page.forms["account-security-app"].submit()


def codes_on(page: Any) -> list[str]:
    return [item.text.strip() for item in page.html.find("ol", class_="codes").find_all("li")]


def second(device: TestApp, code: str) -> Any:
    return device.post("/-/auth/login/second", {"code": code}, expect_errors=True)


def test_the_story_from_the_account_page_to_the_next_sign_in(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    assert f'href="{SECURITY}"' in tanaka.get("/-/auth/account").text
    page = tanaka.get(SECURITY)
    assert "account/security/codes" not in page.text
    page = page.click(href="account/security/app")
    _, answer = set_up(tanaka)
    assert answer.location == f"{SECURITY}/codes"
    shown = answer.follow().forms["account-security-codes"].submit()
    codes = codes_on(shown)
    assert len(set(codes)) == 10
    assert [row.event for row in events(auth)][-3:] == ["factor_added", "two_step_on", "codes_made"]
    assert len(mailer.outbox) == 2
    assert tanaka.get("/-/auth/session").json["session"]["means"] == ["password", "app"]
    other = browser(auth)
    assert sign_in(other).location == "/-/auth/login/second"
    assert second(other, codes[3]).status_int == 303
    assert "9" in other.get(SECURITY).html.find(id="two-step").find_parent("section").text


def test_the_codes_are_shown_once_and_saved_as_text(tanaka: TestApp) -> None:
    set_up(tanaka)
    shown = tanaka.post(f"{SECURITY}/codes", {})
    codes = codes_on(shown)
    link = shown.html.find("a", download=True)
    assert link["href"].startswith("data:text/plain;charset=utf-8,")
    assert all(code in link["href"] for code in codes)
    assert not any(code in tanaka.get(path).text for code in codes for path in (SECURITY, f"{SECURITY}/codes"))
    file = tanaka.post(f"{SECURITY}/codes", {"file": "1"})
    assert (file.content_type, "attachment" in file.headers["Content-Disposition"]) == ("text/plain", True)
    assert len([line for line in file.text.splitlines() if line.count("-") == 2]) == 10
    assert not any(code in file.text for code in codes)


def test_a_new_set_ends_the_one_before(auth: Any, tanaka: TestApp) -> None:
    set_up(tanaka)
    first, then = (codes_on(tanaka.post(f"{SECURITY}/codes", {})) for _ in range(2))
    other = browser(auth)
    sign_in(other)
    assert second(other, first[0]).status_int == 401
    assert second(other, then[0]).status_int == 303


def test_nothing_is_on_before_the_code_is_right(auth: Any, tanaka: TestApp) -> None:
    page = tanaka.get(f"{SECURITY}/app")
    page.forms["account-security-app"]["code"] = "12345"
    again = page.forms["account-security-app"].submit(status=422)
    assert secret_on(again) == secret_on(page)
    assert not tanaka.get(SECURITY, headers=JSON).json["two_step"]
    assert sign_in(browser(auth)).location == "/"


def test_a_qr_code_lasts_fifteen_minutes(tanaka: TestApp) -> None:
    page = tanaka.get(f"{SECURITY}/app")
    old = secret_on(page)
    with time_machine.travel(time.time() + 901, tick=False):
        tanaka.post("/-/auth/account/confirm", {"password": PASSWORD})
        page.forms["account-security-app"]["code"] = code_of(old)
        again = page.forms["account-security-app"].submit(status=422)
        new = secret_on(again)
        assert new != old
        again.forms["account-security-app"]["code"] = code_of(new)
        assert again.forms["account-security-app"].submit().status_int == 303


def test_a_second_app_takes_the_place_of_the_first(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    old, _ = set_up(tanaka)
    assert tanaka.get(f"{SECURITY}/app", headers=JSON, status=409).json["code"] == "factor_exists"
    tanaka.post(f"{SECURITY}/codes", {})
    mailer.outbox.clear()
    new, answer = set_up(tanaka, f"{SECURITY}/app?replace=1")
    assert answer.location == SECURITY
    assert len(mailer.outbox) == 1
    other = browser(auth)
    sign_in(other)
    with time_machine.travel(time.time() + 30, tick=False):
        assert second(other, code_of(old)).status_int == 401
        assert second(other, code_of(new)).status_int == 303


def confirm(device: TestApp, setup: str, code: str, replace: str = "1") -> Any:
    fields = {"code": code, "setup": setup, "replace": replace}
    return device.post(f"{SECURITY}/app", fields, headers=JSON, expect_errors=True)


def test_to4_the_secret_of_a_confirmed_set_up_is_never_shown_again(tanaka: TestApp) -> None:
    for query in ("", "?replace=1"):
        made = tanaka.get(f"{SECURITY}/app{query}", headers=JSON).json
        secret = made["key"]
        assert confirm(tanaka, made["setup"], code_of(secret)).status_int == 200
        again = tanaka.post(
            f"{SECURITY}/app", {"code": "000000", "setup": made["setup"], "replace": "1"}, expect_errors=True
        )
        assert again.status_int == 422
        assert secret_on(again) != secret
        assert made["key"].replace(" ", "") not in again.text.replace(" ", "")


def test_a_digit_too_few_at_the_set_up_is_told_so(tanaka: TestApp) -> None:
    made = tanaka.get(f"{SECURITY}/app", headers=JSON).json
    code = code_of(made["key"])
    for typed in (code[:5], code + code, ""):
        refused = confirm(tanaka, made["setup"], typed, "")
        assert (refused.status_int, refused.json["title"]) == (422, "Check the code you entered")
    assert confirm(tanaka, made["setup"], code, "").status_int == 200


def test_to1_a_confirmed_set_up_revives_no_used_code(auth: Any, tanaka: TestApp) -> None:
    """Nor one whose app was replaced or removed since."""
    first = tanaka.get(f"{SECURITY}/app", headers=JSON).json
    secret = first["key"]
    code = code_of(secret)
    assert confirm(tanaka, first["setup"], code, "").status_int == 200
    other = browser(auth)
    sign_in(other)
    assert second(other, code_of(secret, 1)).status_int == 303
    before = auth._services.factors.of("1")

    def refused() -> None:
        assert confirm(tanaka, first["setup"], code).status_int == 422
        assert confirm(tanaka, first["setup"], code_of(secret, 1)).status_int == 422

    refused()
    assert auth._services.factors.of("1") == before
    set_up(tanaka, f"{SECURITY}/app?replace=1")
    refused()
    tanaka.post_json(f"{SECURITY}/two-step", {"on": False})
    refused()
    assert auth._services.factors.of("1") == []


def test_the_use_of_the_present_app_leaves_a_set_up_open(auth: Any, tanaka: TestApp) -> None:
    """The user confirms, or signs in elsewhere, while the page with the new QR code waits."""
    old, _ = set_up(tanaka)
    new = tanaka.get(f"{SECURITY}/app?replace=1", headers=JSON).json
    tanaka.post("/-/auth/account/confirm", {"password": PASSWORD, "code": code_of(old, 1)}, status=303)
    assert confirm(tanaka, new["setup"], code_of(new["key"])).status_int == 200


def test_off_removes_the_app_and_the_codes(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    set_up(tanaka)
    tanaka.post(f"{SECURITY}/codes", {})
    off = tanaka.get(f"{SECURITY}/two-step").forms["account-security-two-step"].submit()
    assert off.location == SECURITY
    shown = tanaka.get(SECURITY, headers=JSON).json
    assert (shown["two_step"], shown["app"], shown["codes_left"]) == (False, None, 0)
    assert [row.event for row in events(auth)][-1] == "two_step_off"
    assert sign_in(browser(auth)).location == "/"
    assert len(mailer.outbox) == 3
    assert tanaka.post_json(f"{SECURITY}/two-step", {"on": False}).json["two_step"] is False
    refused = tanaka.post_json(f"{SECURITY}/two-step", {"on": True}, status=409)
    assert refused.json["code"] == "factor_needed"
    assert tanaka.post_json(f"{SECURITY}/codes", {}, status=409).json["code"] == "factor_needed"


def test_a_request_that_does_not_say_on_or_off_switches_nothing(auth: Any, tanaka: TestApp) -> None:
    set_up(tanaka)
    for nothing in ({}, {"enabled": "1"}):
        assert tanaka.post_json(f"{SECURITY}/two-step", nothing, status=400).json["code"] == "bad_request"
        tanaka.post(f"{SECURITY}/two-step", nothing, status=400)
    assert tanaka.get(SECURITY, headers=JSON).json["two_step"] is True
    assert events(auth, "two_step_off") == []


def test_the_last_proof_stays_and_another_goes(auth: Any, tanaka: TestApp) -> None:
    set_up(tanaka)
    key = tanaka.get(SECURITY, headers=JSON).json["app"]["id"]
    assert tanaka.post_json(f"{SECURITY}/remove", {"factor": key}, status=409).json["code"] == "last_factor"
    assert tanaka.post_json(f"{SECURITY}/remove", {"factor": "app:2"}, status=404).json["code"] == "no_such_factor"
    store_passkey(auth, "1", "passkey:a", "Phone")
    page = tanaka.get(f"{SECURITY}/remove?factor={key}")
    assert page.forms["account-security-remove"].submit().location == SECURITY
    assert tanaka.get(SECURITY, headers=JSON).json["app"] is None
    assert sign_in(browser(auth)).location == "/-/auth/login/second"


def test_a_passkey_gets_another_name(auth: Any, tanaka: TestApp) -> None:
    store_passkey(auth, "1", "passkey:a", "Phone")
    form = tanaka.get(f"{SECURITY}/rename?factor=passkey:a").forms["account-security-rename"]
    form["name"] = "会社の電話"
    assert form.submit().location == SECURITY
    assert [one["name"] for one in tanaka.get(SECURITY, headers=JSON).json["passkeys"]] == ["会社の電話"]
    assert tanaka.get(f"{SECURITY}/rename?factor=passkey:b", headers=JSON, status=404).json["code"] == "no_such_factor"


@pytest.mark.parametrize("name", ["", " \n", "\u202e\x00"])
def test_a_passkey_keeps_its_name_where_nothing_is_left_of_the_new_one(auth: Any, tanaka: TestApp, name: str) -> None:
    store_passkey(auth, "1", "passkey:a", "Phone")
    fields = {"factor": "passkey:a", "name": name}
    assert tanaka.post_json(f"{SECURITY}/rename", fields, headers=JSON, status=422).json["code"] == "name_needed"
    page = tanaka.post(f"{SECURITY}/rename", fields, status=422)
    assert page.forms["account-security-rename"]["name"].value == "Phone"
    assert page.html.find(id="name")["aria-invalid"] == "true"
    assert events(auth, "factor_renamed") == []


def test_re_authentication_asks_for_both(auth: Any, mailer: MemoryMailer) -> None:
    user = person(auth)
    secret = enrol_app(auth, user)
    device = browser(auth)
    sign_in(device)
    second(device, code_of(secret))
    with time_machine.travel(time.time() + 901, tick=False) as clock:
        page = device.get(f"{SECURITY}/two-step").follow()
        form = page.forms["account-confirm"]
        form["password"], form["code"] = PASSWORD, "000000" if code_of(secret) != "000000" else "111111"
        assert form.submit(status=403).html.find(id="code")["aria-invalid"] == "true"
        assert device.get(f"{SECURITY}/two-step").status_int == 303
        form["code"] = code_of(secret)
        assert form.submit().location.endswith(f"{SECURITY}/two-step")
        assert device.get(f"{SECURITY}/two-step").status_int == 200
        clock.shift(901)
        assert device.get(f"{SECURITY}/two-step").status_int == 303


def test_a_role_that_requires_two_steps_sees_nothing_else(mailer: MemoryMailer) -> None:
    auth = middleware(mailer=mailer, two_step=required("staff"), public_paths=["/open"])
    person(auth)
    device = browser(auth)
    assert sign_in(device).location == f"{SECURITY}?next=%2F"
    assert device.get("/page").location == f"{SECURITY}?next=/page"
    assert seen(device, "/open") == ""
    assert device.get("/page", headers=JSON, status=403).json["code"] == "second_step_required"
    page = device.get(f"{SECURITY}?next=/page").click(href="account/security/app")
    form = page.forms["account-security-app"]
    form["code"] = code_of(secret_on(page))
    shown = form.submit().follow().forms["account-security-codes"].submit()
    assert shown.html.find("a", class_="main")["href"] == "/page"
    assert seen(device) == "1"
    off = device.post_json(f"{SECURITY}/two-step", {"on": False}, status=403)
    assert off.json["code"] == "second_step_required"


def required(*roles: str) -> Any:
    from nipo_auth_mw import TwoStepPolicy

    return TwoStepPolicy(required_for=roles)
