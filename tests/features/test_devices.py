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


def test_many_devices_are_folded_behind_the_first_five(auth: Any, tanaka: TestApp) -> None:
    assert not tanaka.get("/-/auth/account").html.select("#devices ~ details")
    for number in range(6):
        sign_in(browser(auth, f"192.0.2.{number}"))
    page = tanaka.get("/-/auth/account").html
    shown, folded = page.select("#devices ~ ul > li"), page.select("#devices ~ details > ul > li")
    assert (len(shown), len(folded)) == (5, 2)
    assert "This device" in shown[0].text
    assert "Show 2 more" in page.select_one("#devices ~ details > summary").text
