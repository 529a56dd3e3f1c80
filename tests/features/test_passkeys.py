"""Passkeys: adding one, and proving who one is with it."""

from __future__ import annotations

import html
import json
import re
import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw import TwoStepPolicy
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw.testing import MemoryMailer, SoftPasskey, code_of, enrol_app
from tests.kit import WRONG, browser, enrol_passkey, events, middleware, options_on, person, seen, sign_in

JSON = {"Accept": "application/json"}
SECURITY = "/-/auth/account/security"
ADD = f"{SECURITY}/passkeys"
LOGIN, SECOND, CONFIRM = "/-/auth/login/passkey", "/-/auth/login/second", "/-/auth/account/confirm"


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


def add(device: TestApp, soft: SoftPasskey | None = None) -> SoftPasskey:
    """Add a passkey as a browser does."""
    page, soft = device.get(ADD), soft or SoftPasskey()
    form = page.forms["account-security-passkeys"]
    form["credential"] = soft.create(options_on(page))
    assert form.submit().location == SECURITY
    return soft


def use(device: TestApp, soft: SoftPasskey, **fields: str) -> Any:
    """Sign in from the sign-in page."""
    credential = soft.get(options_on(device.get("/-/auth/login")))
    return device.post(LOGIN, {"credential": credential, **fields}, expect_errors=True)


def switch_on(auth: Any) -> None:
    change_account_state(auth._services, "1", two_step=time.time())


def test_the_story_from_the_account_page_to_the_next_sign_in(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    tanaka.get(SECURITY).click(href="account/security/passkeys")
    soft = add(tanaka)
    page = tanaka.get(SECURITY)
    assert "account/security/rename?factor=passkey" in page.text
    (event,) = events(auth, "factor_added")
    assert event.details["factor"] == "passkey"
    assert len(mailer.outbox) == 1
    other = browser(auth)
    assert use(other, soft, remember="1", next="/orders").location == "/orders"
    assert seen(other) == "1"
    session = other.get("/-/auth/session").json["session"]
    assert (session["means"], session["persistent"]) == (["passkey"], True)
    assert session["second_at"]
    (event,) = events(auth, "signed_in")[1:]
    assert event.details["means"] == "passkey"


def test_the_first_proof_ends_other_sessions_and_a_further_one_does_not(auth: Any, tanaka: TestApp) -> None:
    other = browser(auth)
    sign_in(other)
    value = tanaka.cookies["nipo_auth"]
    add(tanaka)
    assert (seen(other), seen(tanaka)) == ("", "1")
    assert tanaka.cookies["nipo_auth"] != value
    assert tanaka.get("/-/auth/session").json["session"]["means"] == ["password", "passkey"]
    sign_in(other)
    add(tanaka)
    assert (seen(other), seen(tanaka)) == ("1", "1")


def test_a_passkey_alone_switches_nothing_on(auth: Any, tanaka: TestApp) -> None:
    add(tanaka)
    other = browser(auth)
    assert sign_in(other).location == "/"
    assert seen(other) == "1"


def test_the_switch_follows_a_passkey_at_once(auth: Any, tanaka: TestApp) -> None:
    add(tanaka)
    page = tanaka.get(SECURITY).click(href="account/security/two-step")
    assert page.forms["account-security-two-step"].submit().location == f"{SECURITY}/codes"
    assert sign_in(browser(auth)).location == SECOND


def test_the_switch_asks_for_a_passkey_first(auth: Any) -> None:
    """A password confirms nothing here: its user might own no device with that passkey any more."""
    soft, device = enrol_passkey(auth, person(auth)), browser(auth)
    sign_in(device)
    refused = device.post(f"{SECURITY}/two-step", {"on": "1"}, headers=JSON, status=403)
    assert (refused.json["code"], refused.json["title"]) == ("second_step_required", "Confirm with a passkey first")
    page = device.get(f"{SECURITY}/two-step")
    assert "account-security-two-step" not in page.forms
    form = page.forms["account-confirm-passkey"]
    form["credential"] = soft.get(options_on(page))
    page = form.submit().follow()
    assert page.forms["account-security-two-step"].submit().location == f"{SECURITY}/codes"
    assert sign_in(browser(auth)).location == SECOND


def test_an_app_beside_a_passkey_ends_no_session(auth: Any, mailer: MemoryMailer) -> None:
    soft, device, other = enrol_passkey(auth, person(auth)), browser(auth), browser(auth)
    switch_on(auth)
    use(device, soft)
    use(other, soft)
    setup = device.get(f"{SECURITY}/app", headers=JSON).json
    fields = {"setup": setup["setup"], "code": code_of(setup["key"])}
    page = device.post(f"{SECURITY}/app", fields).follow()
    assert "The authenticator app is set up." in page.text
    assert (seen(device), seen(other)) == ("1", "1")
    assert [(mail.to, mail.subject) for mail in mailer.outbox][-1][1].endswith("an authenticator app was added")
    for replace in ("", "1"):
        again = device.post(
            f"{SECURITY}/app", {**fields, "replace": replace, "code": code_of(setup["key"], 1)}, expect_errors=True
        )
        assert again.status_int == (422 if replace else 409), "the set-up is void"


def test_a_role_that_requires_two_steps_gets_there_by_a_passkey(mailer: MemoryMailer) -> None:
    auth = middleware(mailer=mailer, two_step=TwoStepPolicy(required_for=("staff",)))
    person(auth)
    device = browser(auth)
    sign_in(device)
    assert seen(device) == ""
    add(device)
    device.get(f"{SECURITY}/two-step").forms["account-security-two-step"].submit()
    assert seen(device) == "1"


def test_the_page_of_the_second_step_takes_a_passkey(auth: Any) -> None:
    soft = enrol_passkey(auth, person(auth))
    switch_on(auth)
    device = browser(auth)
    page = sign_in(device, next="/orders").follow()
    options = options_on(page)
    assert [one["id"] for one in options["allowCredentials"]]
    answer = device.post(SECOND, {"credential": soft.get(options), "next": "/orders"})
    assert answer.location == "/orders"
    assert device.get("/-/auth/session").json["session"]["means"] == ["password", "passkey"]


def test_a_passkey_is_accepted_while_codes_are_locked_and_ends_the_lock(auth: Any) -> None:
    user = person(auth)
    soft, _app = enrol_passkey(auth, user), enrol_app(auth, user)
    device = browser(auth)
    sign_in(device)
    for _ in range(5):
        device.post(SECOND, {"code": "000000"}, expect_errors=True)
    assert device.post(SECOND, {"code": "000000"}, expect_errors=True).status_int == 429
    assert use(browser(auth), soft).status_int == 303
    assert device.post(SECOND, {"code": "000000"}, expect_errors=True).status_int == 401


def test_a_passkey_confirms_a_sensitive_action(auth: Any, tanaka: TestApp) -> None:
    soft = add(tanaka)
    with time_machine.travel(time.time() + 16 * 60):
        answer = tanaka.get(ADD)
        assert answer.location == f"{CONFIRM}?next={ADD}"
        page = answer.follow()
        credential = soft.get(options_on(page))
        assert tanaka.post(CONFIRM, {"credential": credential, "next": ADD}).location == ADD
        assert tanaka.get(ADD).status_int == 200


def test_a_wrong_passkey_confirms_nothing(auth: Any, tanaka: TestApp) -> None:
    add(tanaka)
    stranger = enrol_passkey(auth, person(auth, "suzuki@example.com"))
    with time_machine.travel(time.time() + 16 * 60):
        options = options_on(tanaka.get(CONFIRM)) | {"allowCredentials": []}
        answer = tanaka.post(CONFIRM, {"credential": stranger.get(options)}, headers=JSON, expect_errors=True)
        assert (answer.status_int, answer.json["code"]) == (403, "passkey_rejected")
        assert tanaka.get(ADD).status_int == 303


def test_a_disabled_person_is_told_after_the_passkey(auth: Any) -> None:
    user = person(auth)
    soft = enrol_passkey(auth, user)
    auth.accounts.set_active(user.id, False)
    answer = use(browser(auth), soft)
    assert answer.status_int == 403
    assert "tanaka@example.com" in answer.text
    assert [row.event for row in events(auth)][-1] == "refused_disabled"


def test_a_passkey_leads_on_where_a_temporary_password_has_expired(auth: Any) -> None:
    user = person(auth)
    soft, device = enrol_passkey(auth, user), browser(auth)
    auth.accounts.set_password(user.id, "tempo-midori-kaze", must_change=True)
    with time_machine.travel(time.time() + 8 * 86400, tick=False) as clock:
        page = use(device, soft).follow()
        assert "current_password" not in page.forms["account-password"].fields
        clock.shift(16 * 60)
        later = {"current_password": "tempo-midori-kaze", "password": "kiiroi-tori-no-mori"}
        assert device.post("/-/auth/account/password", later, status=403).html, "the sign-in is not fresh"
        assert use(browser(auth), soft).status_int == 303
        device.get("/-/auth/logout").forms["logout"].submit()
        use(device, soft)
        device.post("/-/auth/account/password", {"password": "kiiroi-tori-no-mori"}, status=303)
        assert seen(device) == user.id
        assert sign_in(browser(auth), password="kiiroi-tori-no-mori").status_int == 303


def test_a_passkey_of_an_address_that_is_locked_signs_in_and_the_count_of_passwords_stays(auth: Any) -> None:
    soft = enrol_passkey(auth, person(auth))
    for _ in range(5):
        sign_in(browser(auth), password=WRONG)
    assert use(browser(auth), soft).status_int == 303
    assert sign_in(browser(auth)).status_int == 429


def test_a_removed_passkey_is_refused_and_its_browser_may_forget_it(auth: Any, tanaka: TestApp) -> None:
    soft = add(tanaka)
    page = tanaka.get(SECURITY).click(href="account/security/remove")
    page.forms["account-security-remove"].submit()
    answer = use(browser(auth), soft)
    assert answer.status_int == 401
    assert f'data-unknown="{json.loads(soft.get(options_on(answer)))["id"]}"' in answer.text
    assert '"allAcceptedCredentialIds": []' in html.unescape(tanaka.get(SECURITY).text)


def test_the_answer_for_programs(auth: Any, tanaka: TestApp) -> None:
    soft = SoftPasskey()
    options = tanaka.get(ADD, headers=JSON).json["options"]
    done = tanaka.post_json(ADD, {"credential": soft.create(options), "name": "Work"}, headers=JSON).json
    assert done["name"] == "Work"
    assert done["factor"].startswith("passkey:")
    options = options_on(browser(auth).get("/-/auth/login"))
    done = browser(auth).post_json(LOGIN, {"credential": soft.get(options)}, headers=JSON).json
    assert done["user"]["id"] == "1"


def test_a_page_that_waited_too_long_says_so(auth: Any, tanaka: TestApp) -> None:
    soft = add(tanaka)
    now = time.time()
    device = browser(auth)
    with time_machine.travel(now, tick=False) as clock:
        credential, made = soft.get(options_on(device.get("/-/auth/login"))), SoftPasskey()
        new = made.create(options_on(tanaka.get(ADD)))
        clock.shift(5 * 60 + 1)
        late = tanaka.post(ADD, {"credential": new}, headers=JSON, expect_errors=True)
        clock.shift(10 * 60)
        answer = device.post(LOGIN, {"credential": credential}, headers=JSON, expect_errors=True)
        page = device.post(LOGIN, {"credential": credential}, expect_errors=True)
        again = device.post(LOGIN, {"credential": soft.get(options_on(page))})
    assert (late.status_int, late.json["code"]) == (410, "challenge_expired")
    assert (answer.status_int, answer.json["code"]) == (410, "challenge_expired")
    assert again.status_int == 303


def test_two_pages_of_a_first_passkey_do_not_give_an_account_two_handles(auth: Any, tanaka: TestApp) -> None:
    first, second = options_on(tanaka.get(ADD)), options_on(tanaka.get(ADD))
    assert first["user"]["id"] != second["user"]["id"]
    tanaka.post(ADD, {"credential": SoftPasskey().create(first)})
    answer = tanaka.post(ADD, {"credential": SoftPasskey().create(second)}, expect_errors=True)
    assert answer.status_int == 422
    assert options_on(answer)["user"]["id"] == first["user"]["id"]


def test_a_name_is_that_of_the_maker_or_of_the_browser(auth: Any, tanaka: TestApp) -> None:
    maker = SoftPasskey()
    maker.aaguid = bytes.fromhex("d548826e79b4db40a3d811116f7e8349")
    add(tanaka, maker)
    tanaka.extra_environ["HTTP_USER_AGENT"] = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36"
    add(tanaka)
    assert [row["name"] for row in tanaka.get(SECURITY, headers=JSON).json["passkeys"]] == [
        "Bitwarden",
        "Chrome (Windows)",
    ]


@pytest.mark.parametrize(
    "settings", [{"two_step": TwoStepPolicy(passkeys=False)}, {"base_url": "http://127.0.0.1:8000"}], ids=str
)
def test_where_passkeys_are_not_offered_no_page_mentions_them(mailer: MemoryMailer, settings: dict[str, Any]) -> None:
    auth = middleware(mailer=mailer, **settings)
    person(auth)
    device = browser(auth, HTTP_HOST="127.0.0.1:8000") if "base_url" in settings else browser(auth)
    page = device.get("/-/auth/login")
    assert "passkey" not in page.text
    assert "webauthn" not in page.text
    assert device.post(LOGIN, {"credential": "{}"}, expect_errors=True).status_int == 404
    sign_in(device)
    assert "passkeys" not in device.get(SECURITY).text
    assert device.get(ADD, expect_errors=True).status_int == 404


def test_the_script_is_on_pages_that_need_it_alone(auth: Any, tanaka: TestApp) -> None:
    script = re.compile(r'<script src="/-/auth/static/passkeys\.[0-9a-f]{8}\.js" defer>')
    assert script.search(browser(auth).get("/-/auth/login").text)
    assert script.search(tanaka.get(ADD).text)
    assert not script.search(tanaka.get("/-/auth/account").text)
    assert "connect-src" not in tanaka.get(ADD).headers["Content-Security-Policy"]


def test_a_front_end_on_json_signs_in_with_a_passkey(auth: Any) -> None:
    soft, device = enrol_passkey(auth, person(auth)), browser(auth)
    answer = device.get(LOGIN, headers={"Accept": "*/*"})
    credential = soft.get(answer.json["options"])
    answer = device.post_json(LOGIN, {"credential": credential})
    assert (answer.json["user"]["id"], seen(device)) == ("1", "1")


def test_the_options_of_sign_in_are_the_same_for_everybody_except_the_challenge(auth: Any) -> None:
    enrol_passkey(auth, person(auth))
    visitor = browser(auth)
    sign_in(device := browser(auth))
    all_options = [one.get(LOGIN, headers=JSON).json["options"] for one in (visitor, device)]
    assert len({one.pop("challenge") for one in all_options}) == 2
    assert all_options[0] == all_options[1]
    assert all_options[0]["allowCredentials"] == []


def test_a_browser_that_opens_the_path_of_a_passkey_goes_on_to_sign_in(auth: Any) -> None:
    assert browser(auth).get(f"{LOGIN}?next=/orders").location == "/-/auth/login?next=/orders"
    assert browser(auth).get(f"{LOGIN}?next=//evil.example").location == "/-/auth/login"


@pytest.mark.parametrize("path", [SECOND, CONFIRM])
def test_a_front_end_on_json_proves_the_second_step_and_confirms_with_a_passkey(auth: Any, path: str) -> None:
    soft, device = enrol_passkey(auth, person(auth)), browser(auth)
    if path == SECOND:
        switch_on(auth)
    sign_in(device)
    offered = device.get(path, headers=JSON).json
    assert offered["second"] == (["passkey"] if path == SECOND else [])
    answer = device.post_json(path, {"credential": soft.get(offered["options"])})
    assert (answer.status_int, seen(device)) == (200, "1")
    assert device.get(SECOND, headers=JSON).json == {"second": []}


def test_a_front_end_on_json_is_offered_no_passkey_that_is_not_there(auth: Any) -> None:
    enrol_app(auth, person(auth))
    device = browser(auth)
    sign_in(device)
    assert device.get(SECOND, headers=JSON).json == {"second": ["app"]}
    assert browser(auth).get(SECOND, headers=JSON, expect_errors=True).json["code"] == "second_expired"
