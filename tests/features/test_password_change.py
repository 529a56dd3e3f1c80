"""The change of one's own password."""

from __future__ import annotations

import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw.testing import MemoryMailer
from tests.kit import PASSWORD, WRONG, browser, events, middleware, person, seen, sign_in

NEXT = "midori-no-kaze-no-oto"
JSON = {"Accept": "application/json"}


def change(who: TestApp, current: str = PASSWORD, new: str = NEXT) -> Any:
    return who.post("/-/auth/account/password", {"current_password": current, "password": new}, expect_errors=True)


def test_se6_a_change_of_password_ends_the_others_and_renews_this_one(auth: Any, tanaka: TestApp) -> None:
    phone, tablet = browser(auth), browser(auth)
    for other in (phone, tablet):
        sign_in(other)
    before = tanaka.cookies["nipo_auth"]
    form = tanaka.get("/-/auth/account").click(href="account/password").forms["account-password"]
    form["current_password"], form["password"] = PASSWORD, NEXT
    assert form.submit().location.endswith("/-/auth/account")
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
        answer = tanaka.post("/-/auth/account/password", {"password": NEXT, **fields}, expect_errors=True)
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
        return getattr(tanaka, post)(f"/-/auth/{route}", fields, expect_errors=True)

    for _ in range(5):
        answer = check()
        assert answer.status_int == 403
    assert answer.headers.get("Retry-After") == "300"
    assert check(PASSWORD).status_int == 429
    assert sign_in(tanaka).status_int == 429
    assert seen(tanaka)


def test_lk11_they_count_together(auth: Any, tanaka: TestApp) -> None:
    for route in CHECKS:
        assert tanaka.post(f"/-/auth/{route}", CHECKS[route], expect_errors=True).status_int == 403
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
        assert unkept.post(f"/-/auth/{route}", fields, expect_errors=True).status_int == 429
    assert seen(unkept)


@pytest.mark.parametrize(
    ("new", "reason"), [("kurz", "too_short"), ("password1", "guessable"), (PASSWORD, "unchanged")]
)
def test_an_unfit_password_is_refused_in_words_and_changes_nothing(tanaka: TestApp, new: str, reason: str) -> None:
    answer = tanaka.post_json(
        "/-/auth/account/password", {"current_password": PASSWORD, "password": new}, expect_errors=True
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


@pytest.fixture
def must_change(auth: Any, tanaka: TestApp) -> TestApp:
    user = auth.accounts.find("tanaka@example.com")
    change_account_state(auth._services, user.id, password_change_deadline=time.time() + 60)
    return tanaka


def test_until_it_is_changed_nothing_else_is_open(auth: Any, must_change: TestApp) -> None:
    answer = must_change.get("/page?x=1", status=303)
    assert answer.location.endswith("/-/auth/account/password?next=/page?x=1")
    assert must_change.get("/page", headers=JSON, status=403).json["code"] == "password_change_required"
    for path in ("/-/auth/account", "/-/auth/account/email", "/-/auth/account/confirm"):
        assert must_change.get(path, status=303).location.partition("?")[0].endswith("/-/auth/account/password")
    for path in ("/-/auth/account/profile", "/-/auth/account/sessions/end", "/-/auth/account/email"):
        assert must_change.post(path, {"all": "1"}, status=403)
    for path in ("/-/auth/account/password", "/-/auth/logout", "/-/auth/help"):
        must_change.get(path, status=200)
    assert must_change.get("/-/auth/session", status=403).json["code"] == "password_change_required"
    form = answer.follow().forms["account-password"]
    assert "current_password" not in form.fields, "the sign-in has just proved it"
    form["password"] = NEXT
    assert form.submit().location.endswith("/page?x=1")
    assert seen(must_change)


def test_ad2_a_temporary_password_is_asked_for_when_the_sign_in_is_some_time_ago(auth: Any) -> None:
    user, mine = person(auth), browser(auth)
    sign_in(mine)
    change_account_state(auth._services, user.id, password_change_deadline=time.time() + 86400)
    with time_machine.travel(time.time() + 16 * 60, tick=True):
        assert "current_password" in mine.get("/-/auth/account/password").forms["account-password"].fields
        assert mine.post("/-/auth/account/password", {"password": NEXT}, status=403)
        assert change(mine).status_int == 303


def test_ad2_the_temporary_password_itself_is_refused_as_the_new_one(auth: Any, must_change: TestApp) -> None:
    answer = must_change.post_json("/-/auth/account/password", {"password": PASSWORD}, status=422)
    assert answer.json["reason"] == "unchanged"
    assert must_change.get("/page", status=303)


def test_public_pages_see_nobody_until_then() -> None:
    auth = middleware(public_paths=["/*"])
    user = person(auth)
    mine = browser(auth)
    sign_in(mine)
    change_account_state(auth._services, user.id, password_change_deadline=time.time() + 60)
    assert mine.get("/page").text.startswith("user=- ")


def test_signing_in_leads_straight_to_the_change(auth: Any, must_change: TestApp) -> None:
    fresh = browser(auth)
    assert sign_in(fresh, next="/page").location.endswith("/-/auth/account/password?next=%2Fpage")
    assert fresh.get("/-/auth/login").location.partition("?")[0].endswith("/-/auth/account/password")


def test_ad2_unused_in_time_it_lets_nobody_in(auth: Any, must_change: TestApp) -> None:
    with time_machine.travel(time.time() + 61, tick=True):
        assert sign_in(browser(auth)).status_int == 401
        assert change(must_change).status_int == 403


def told(page: Any) -> str:
    """The flash message of a page."""
    found = page.html.select_one(".flash")
    return found.text.strip() if found else ""


@pytest.mark.parametrize("end", ["sign out", "disable"])
def test_its_message_is_shown_on_the_next_page_of_ours_and_on_no_other(auth: Any, tanaka: TestApp, end: str) -> None:
    """Otherwise the sign-in page says that a password was changed, to a user whose account was disabled."""
    with_next = {"current_password": PASSWORD, "password": NEXT, "next": "/page"}
    assert tanaka.post("/-/auth/account/password", with_next, status=303).location == "/page"
    tanaka.get("/page")
    if end == "disable":
        auth.accounts.set_active("1", False)
        door = tanaka.get("/page").follow()
        assert told(door) == ""
    else:
        door = tanaka.post("/-/auth/logout").follow()
        assert "password" not in told(door).lower()
        assert told(door), "signed out"
    assert told(tanaka.get("/-/auth/login")) == "", "and once"


def test_its_message_is_shown_where_the_change_leads(tanaka: TestApp) -> None:
    page = change(tanaka).follow()
    assert "password" in told(page)
    assert told(tanaka.get("/-/auth/account")) == ""


def test_a_message_of_another_page_is_not_shown(tanaka: TestApp) -> None:
    change(tanaka)
    assert told(tanaka.get("/-/auth/help")) == ""
    assert "password" in told(tanaka.get("/-/auth/account"))
