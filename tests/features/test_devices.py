"""The devices that a user is signed in on."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from tests.kit import browser, events, person, seen, sign_in

NEXT = "midori-no-kaze-no-oto"
JSON = {"Accept": "application/json"}


def test_se15_each_device_is_signed_out_by_its_owner_and_by_nobody_else(auth: Any, tanaka: TestApp) -> None:
    person(auth, "suzuki@example.com")
    suzuki, phone = browser(auth), browser(auth, "198.51.100.7")
    sign_in(suzuki, "suzuki@example.com")
    sign_in(phone)
    phones = phone.get("/-/auth/session").json["session"]["id"]
    assert suzuki.post("/-/auth/account/sessions/end", {"session": phones}, status=404)
    assert seen(phone)
    page = tanaka.get("/-/auth/account")
    assert "198.51.100.7" in page.text
    assert tanaka.cookies["nipo_auth"] not in page.text
    assert page.forms[f"account-sessions-end-{phones}"].submit().status_int == 303
    assert (seen(phone), bool(seen(tanaka)), bool(seen(suzuki))) == ("", True, True)
    assert [(e.details["why"], e.actor) for e in events(auth, "session_ended")] == [("by_owner", "1")]


def test_all_others_at_once(auth: Any, tanaka: TestApp) -> None:
    others = [browser(auth), browser(auth)]
    for other in others:
        sign_in(other)
    tanaka.get("/-/auth/account").forms["account-sessions-end"].submit(status=303)
    assert [seen(other) for other in others] == ["", ""]
    assert seen(tanaka)


@pytest.mark.parametrize("fields", [{}, {"session": ""}, {"session": "zzz"}, {"all": "0"}, {"session": "%00"}])
def test_an_unknown_device_is_a_404_that_ends_nothing(tanaka: TestApp, fields: dict[str, str]) -> None:
    assert (
        tanaka.post("/-/auth/account/sessions/end", fields, headers=JSON, status=404).json["code"] == "no_such_session"
    )
    assert seen(tanaka)


def test_this_device_too_can_be_ended_by_its_id(tanaka: TestApp) -> None:
    own = tanaka.get("/-/auth/session").json["session"]["id"]
    answer = tanaka.post("/-/auth/account/sessions/end", {"session": own}, status=303)
    assert answer.location.endswith("/-/auth/login")
    assert seen(tanaka) == ""


def test_sessions_of_one_kind_of_device_are_one_entry_with_the_latest_on_top(auth: Any, tanaka: TestApp) -> None:
    windows, phone = "Mozilla/5.0 (Windows NT 10.0) Firefox/145.0", "Mozilla/5.0 (iPhone) Safari/605.1"
    for number in range(4):
        sign_in(browser(auth, f"192.0.2.{number}", HTTP_USER_AGENT=windows))
    sign_in(browser(auth, "192.0.2.9", HTTP_USER_AGENT=phone))
    page = tanaka.get("/-/auth/account").html
    entries = page.select("#devices ~ ul > li")
    assert [entry.select_one(".head").get_text().split(" T")[0] for entry in entries] == [
        "Unknown device",
        "Safari (iPhone)",
        "Firefox (Windows)",
    ]
    assert "192.0.2.3" in entries[2].select_one(".entry").text
    assert entries[2].select_one("details > summary").text == "3 more on this kind of device"
    assert len(entries[2].select("details form")) == 3
    assert not entries[1].select("details")
    boss, user = browser(auth), auth.accounts.find("tanaka@example.com")
    person(auth, "kanri@example.com", role="admin")
    sign_in(boss, "kanri@example.com")
    entries = boss.get(f"/-/auth/staff/{user.id}").html.select("#devices ~ ul > li")
    assert sorted(len(entry.select("details form")) for entry in entries) == [0, 0, 3]


def test_many_kinds_of_devices_are_folded_behind_the_first_five(auth: Any, tanaka: TestApp) -> None:
    assert not tanaka.get("/-/auth/account").html.select("#devices ~ details")
    for system in ("Windows", "Macintosh", "iPhone", "iPad", "Android", "CrOS", "CrOS"):
        sign_in(browser(auth, HTTP_USER_AGENT=f"Mozilla/5.0 ({system}) Firefox/145.0"))
    page = tanaka.get("/-/auth/account").html
    shown, folded = page.select("#devices ~ ul > li"), page.select("#devices ~ details > ul > li")
    assert (len(shown), len(folded)) == (5, 2)
    assert "Show 2 more" in page.select_one("#devices ~ details > summary").text
