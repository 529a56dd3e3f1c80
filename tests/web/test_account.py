"""What people do with their own account: password, details, devices, address."""

from __future__ import annotations

import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw import require_fresh
from nipo_auth_mw.testing import MemoryMailer
from tests.kit import PASSWORD, WRONG, browser, echo, events, middleware, person, seen, sign_in

NEXT = "midori-no-kaze-no-oto"
JSON = {"Accept": "application/json"}


@pytest.fixture
def mailer() -> MemoryMailer:
    return MemoryMailer()


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


@pytest.fixture
def tanaka(auth: Any) -> TestApp:
    person(auth)
    mine = browser(auth)
    sign_in(mine)
    return mine


def change(who: TestApp, current: str = PASSWORD, new: str = NEXT) -> Any:
    return who.post("/auth/account/password", {"current_password": current, "password": new}, expect_errors=True)


# The password


def test_se6_a_change_of_password_ends_the_others_and_renews_this_one(auth: Any, tanaka: TestApp) -> None:
    phone, tablet = browser(auth), browser(auth)
    for other in (phone, tablet):
        sign_in(other)
    before = tanaka.cookies["nipo_auth"]
    form = tanaka.get("/auth/account").click(href="account/password").forms["account-password"]
    form["current_password"], form["password"] = PASSWORD, NEXT
    assert form.submit().location.endswith("/auth/account")
    assert seen(tanaka)
    assert seen(phone) == seen(tablet) == ""
    assert tanaka.cookies["nipo_auth"] != before
    thief = browser(auth)
    thief.set_cookie("nipo_auth", before)
    assert seen(thief) == ""
    assert sign_in(browser(auth)).status_int == 401
    assert sign_in(browser(auth), password=NEXT).status_int == 303
    assert [e.details["why"] for e in events(auth, "session_ended")] == ["password_changed"] * 2
    assert len(events(auth, "password_changed")) == 1


def test_pw9_the_present_password_is_needed(auth: Any, tanaka: TestApp) -> None:
    for fields in ({}, {"current_password": ""}, {"current_password": WRONG}, {"old_password": PASSWORD}):
        answer = tanaka.post("/auth/account/password", {"password": NEXT, **fields}, expect_errors=True)
        assert answer.status_int == 403
    assert len(events(auth, "sign_in_failed")) == 4
    assert sign_in(tanaka).status_int == 303


def test_pw9_no_password_expires_by_age(auth: Any, tanaka: TestApp) -> None:
    with time_machine.travel(time.time() + 10 * 365 * 86400, tick=True):
        assert sign_in(tanaka).location == "/"
        assert seen(tanaka)


CHECKS = {
    "account/password": {"current_password": WRONG, "password": NEXT},
    "account/email": {"password": WRONG, "email": "other@example.com"},
    "account/confirm": {"password": WRONG},
}


@pytest.mark.parametrize("post", ["post", "post_json"])
@pytest.mark.parametrize("route", CHECKS)
def test_pw9_lk11_wrong_ones_count_where_a_sign_in_would(auth: Any, tanaka: TestApp, route: str, post: str) -> None:
    def check(password: str = WRONG) -> Any:
        fields = {name: password if value == WRONG else value for name, value in CHECKS[route].items()}
        return getattr(tanaka, post)(f"/auth/{route}", fields, expect_errors=True)

    for _ in range(5):
        answer = check()
        assert answer.status_int == 403
    assert answer.headers.get("Retry-After") == "300"
    assert check(PASSWORD).status_int == 429
    assert sign_in(tanaka).status_int == 429
    assert seen(tanaka)


def test_lk11_they_count_together(auth: Any, tanaka: TestApp) -> None:
    for route in CHECKS:
        assert tanaka.post(f"/auth/{route}", CHECKS[route], expect_errors=True).status_int == 403
    assert sign_in(tanaka, password=WRONG).status_int == 401
    assert change(tanaka, WRONG).headers.get("Retry-After") == "300"


@pytest.mark.parametrize("route", CHECKS)
def test_lk11_a_lock_at_the_door_holds_here_too(auth: Any, route: str) -> None:
    person(auth)
    unkept = browser(auth)
    sign_in(unkept, remember=None)
    for _ in range(5):
        sign_in(browser(auth), password=WRONG)
    for password in (PASSWORD, WRONG):
        fields = {name: password if value == WRONG else value for name, value in CHECKS[route].items()}
        assert unkept.post(f"/auth/{route}", fields, expect_errors=True).status_int == 429
    assert seen(unkept)


@pytest.mark.parametrize(
    ("new", "reason"), [("kurz", "too_short"), ("password1", "guessable"), (PASSWORD, "unchanged")]
)
def test_an_unfit_password_is_refused_in_words_and_changes_nothing(tanaka: TestApp, new: str, reason: str) -> None:
    answer = tanaka.post_json(
        "/auth/account/password", {"current_password": PASSWORD, "password": new}, expect_errors=True
    )
    assert (answer.status_int, answer.json["code"], answer.json["reason"]) == (422, "password_rejected", reason)
    page = change(tanaka, new=new)
    assert page.status_int == 422
    assert 'role="alert"' in page.text
    assert new not in page.text or new == PASSWORD
    assert seen(tanaka)


def test_its_owner_is_told(tanaka: TestApp, mailer: MemoryMailer) -> None:
    change(tanaka)
    assert [m.to for m in mailer.outbox] == ["tanaka@example.com"]
    assert NEXT not in mailer.outbox[0].text


# Set by somebody else


@pytest.fixture
def must_change(auth: Any, tanaka: TestApp) -> TestApp:
    user = auth.accounts.find("tanaka@example.com")
    auth._services.session_store.set_change_by(user.id, time.time() + 60)
    return tanaka


def test_until_it_is_changed_nothing_else_is_open(auth: Any, must_change: TestApp) -> None:
    answer = must_change.get("/page?x=1", status=303)
    assert answer.location.endswith("/auth/account/password?next=/page?x=1")
    assert must_change.get("/page", headers=JSON, status=403).json["code"] == "password_change_required"
    for path in ("/auth/account", "/auth/account/email", "/auth/account/confirm"):
        assert must_change.get(path, status=303).location.partition("?")[0].endswith("/auth/account/password")
    for path in ("/auth/account/profile", "/auth/account/sessions/end", "/auth/account/email"):
        assert must_change.post(path, {"all": "1"}, status=403)
    for path in ("/auth/account/password", "/auth/logout", "/auth/help"):
        must_change.get(path, status=200)
    assert must_change.get("/auth/session", status=403).json["code"] == "password_change_required"
    form = answer.follow().forms["account-password"]
    form["current_password"], form["password"] = PASSWORD, NEXT
    assert form.submit().location.endswith("/page?x=1")
    assert seen(must_change)


def test_public_pages_see_nobody_until_then() -> None:
    auth = middleware(public=["/"])
    user = person(auth)
    mine = browser(auth)
    sign_in(mine)
    auth._services.session_store.set_change_by(user.id, time.time() + 60)
    assert mine.get("/page").text.startswith("user=- ")


def test_signing_in_leads_straight_to_the_change(auth: Any, must_change: TestApp) -> None:
    fresh = browser(auth)
    assert sign_in(fresh, next="/page").location.endswith("/auth/account/password?next=%2Fpage")
    assert fresh.get("/auth/login").location.partition("?")[0].endswith("/auth/account/password")


def test_ad2_unused_in_time_it_lets_nobody_in(auth: Any, must_change: TestApp) -> None:
    with time_machine.travel(time.time() + 61, tick=True):
        assert sign_in(browser(auth)).status_int == 401
        assert change(must_change).status_int == 403


# Asked once more


def delicate(environ: dict[str, Any], start_response: Any) -> Any:
    from werkzeug.exceptions import HTTPException

    try:
        require_fresh(environ)
    except HTTPException as answer:
        return answer(environ, start_response)
    return echo(environ, start_response)


def test_a_host_asks_for_the_password_again(mailer: MemoryMailer) -> None:
    auth = middleware(delicate, mailer=mailer)
    person(auth)
    mine = browser(auth)
    sign_in(mine)
    mine.get("/delicate", status=200)
    with time_machine.travel(time.time() + 901, tick=True):
        asked = mine.get("/delicate?a=1", status=303)
        assert asked.location.endswith("/auth/account/confirm?next=/delicate?a=1")
        kept = mine.post("/delicate", {"long": "text"}, status=403)
        assert 'role="alert"' in kept.text
        assert 'target="_blank"' in kept.text
        assert mine.get("/delicate", headers=JSON, status=403).json["code"] == "fresh_sign_in_required"
        form = asked.follow().forms["account-confirm"]
        form["password"] = WRONG
        assert form.submit(status=403).forms["account-confirm"]["next"].value == "/delicate?a=1"
        form["password"] = PASSWORD
        assert form.submit().location.endswith("/delicate?a=1")
        mine.get("/delicate", status=200)
        assert mine.get("/delicate", expect_errors=True).status_int == 200


def test_wrong_ones_count_there_too(tanaka: TestApp) -> None:
    for _ in range(5):
        tanaka.post("/auth/account/confirm", {"password": WRONG}, status=403)
    tanaka.post("/auth/account/confirm", {"password": PASSWORD}, status=429)
    assert sign_in(tanaka).status_int == 429


# The profile


def test_a_new_address_for_notices_is_told_to_all_who_knew(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    tanaka.post("/auth/account/profile", {"notify_email": "home@example.net"}, status=303)
    assert "Retry-After" in tanaka.post("/auth/account/profile", {"notify_email": "a@example.net"}, status=429).headers
    with time_machine.travel(time.time() + 61, tick=True):
        tanaka.post("/auth/account/profile", {"notify_email": "phone@example.net"}, status=303)
    assert sorted(m.to for m in mailer.outbox[2:]) == ["home@example.net", "phone@example.net", "tanaka@example.com"]
    assert [e.details["what"] for e in events(auth, "profile_changed")] == ["notify_email"] * 2


def test_it_asks_for_a_fresh_sign_in_and_the_language_does_not(auth: Any, tanaka: TestApp) -> None:
    with time_machine.travel(time.time() + 901, tick=True):
        tanaka.post("/auth/account/profile", {"notify_email": "evil@example.net"}, status=403)
        tanaka.post("/auth/account/profile", {"language": "ja"}, status=303)
    user = auth.accounts.find("tanaka@example.com")
    assert (user.notify_email, user.language) == (None, "ja")
    assert 'lang="ja"' in tanaka.get("/auth/account").text


def test_bad_details_are_refused_and_what_was_typed_stays(auth: Any, tanaka: TestApp) -> None:
    answer = tanaka.post("/auth/account/profile", {"notify_email": "no address"}, status=422)
    assert answer.forms["account-profile"]["notify_email"].value == "no address"
    assert tanaka.post_json("/auth/account/profile", {"language": "xx"}, status=422).json["code"] == "unknown_language"


# Devices


def test_se15_each_device_is_signed_out_by_its_owner_and_by_nobody_else(auth: Any, tanaka: TestApp) -> None:
    person(auth, "suzuki@example.com")
    suzuki, phone = browser(auth), browser(auth, "198.51.100.7")
    sign_in(suzuki, "suzuki@example.com")
    sign_in(phone)
    phones = phone.get("/auth/session").json["session"]["id"]
    assert suzuki.post("/auth/account/sessions/end", {"session": phones}, status=404)
    assert seen(phone)
    page = tanaka.get("/auth/account")
    assert "198.51.100.7" in page.text
    assert tanaka.cookies["nipo_auth"] not in page.text
    assert page.forms[f"account-sessions-end-{phones}"].submit().status_int == 303
    assert (seen(phone), bool(seen(tanaka)), bool(seen(suzuki))) == ("", True, True)
    assert [(e.details["why"], e.actor) for e in events(auth, "session_ended")] == [("by_owner", "1")]


def test_all_others_at_once(auth: Any, tanaka: TestApp) -> None:
    others = [browser(auth), browser(auth)]
    for other in others:
        sign_in(other)
    tanaka.get("/auth/account").forms["account-sessions-end"].submit(status=303)
    assert [seen(other) for other in others] == ["", ""]
    assert seen(tanaka)


@pytest.mark.parametrize("fields", [{}, {"session": ""}, {"session": "zzz"}, {"all": "0"}, {"session": "%00"}])
def test_an_unknown_device_is_a_404_that_ends_nothing(tanaka: TestApp, fields: dict[str, str]) -> None:
    assert tanaka.post("/auth/account/sessions/end", fields, headers=JSON, status=404).json["code"] == "no_such_session"
    assert seen(tanaka)


def test_this_device_too_can_be_ended_by_its_id(tanaka: TestApp) -> None:
    own = tanaka.get("/auth/session").json["session"]["id"]
    answer = tanaka.post("/auth/account/sessions/end", {"session": own}, status=303)
    assert answer.location.endswith("/auth/login")
    assert seen(tanaka) == ""


# The address


def test_the_page_leads_through_the_change_of_address(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    form = tanaka.get("/auth/account").click(href="account/email").forms["account-email"]
    form["email"], form["password"] = "hanako@example.jp", PASSWORD
    assert 'role="status"' in form.submit(status=303).follow().text
    assert [m.to for m in mailer.outbox] == ["tanaka@example.com", "hanako@example.jp"]


def test_without_a_mailer_there_is_no_such_page() -> None:
    auth = middleware(mailer=None)
    person(auth)
    mine = browser(auth)
    sign_in(mine)
    assert "account/email" not in mine.get("/auth/account").text
    mine.get("/auth/account/email", status=404)
    mine.post("/auth/account/email", {"email": "a@example.net", "password": PASSWORD}, status=404)
    mine.get("/auth/email/cancel/abc", status=410)


@pytest.mark.parametrize("typed", ["", "no address", "tanaka@example.com", "TANAKA@EXAMPLE.COM"])
def test_a_bad_or_present_address_is_refused_in_words(tanaka: TestApp, typed: str) -> None:
    answer = tanaka.post("/auth/account/email", {"email": typed, "password": PASSWORD}, expect_errors=True)
    assert answer.status_int == 422
    assert answer.forms["account-email"]["email"].value == typed
    assert 'role="alert"' in answer.text
