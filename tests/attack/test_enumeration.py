"""Rows EN and LK2, LK3: what the door gives away about who has an account."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import time_machine

from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, middleware, person, sign_in

PEOPLE = ["known@example.com", "off@example.com", "invited@example.com", "nobody@example.com"]


@pytest.fixture
def auth():
    with time_machine.travel(1_800_000_000, tick=False):
        auth = middleware(hasher=SpyHasher(fast_hasher()))
        person(auth, PEOPLE[0])
        person(auth, PEOPLE[1], active=False)
        person(auth, PEOPLE[2], password=None)
        yield auth


def shown(answer, email):
    """Everything that leaves, but Date and the address typed."""
    headers = sorted((name, value) for name, value in answer.headerlist if name not in {"Date", "Content-Length"})
    return answer.status, headers, answer.text.replace(email, "*")


@pytest.mark.parametrize("language", ["ja", "en"])
def test_en1_a_wrong_password_looks_the_same_for_everybody(auth, language):
    answers = [shown(sign_in(browser(auth, HTTP_ACCEPT_LANGUAGE=language), email, WRONG), email) for email in PEOPLE]
    assert answers[0][0].startswith("401")
    assert all(answer == answers[0] for answer in answers)
    assert not any(name == "Set-Cookie" for name, _ in answers[0][1])


def test_en1_the_same_as_json(auth):
    answers = [
        browser(auth).post_json("/auth/login", {"email": email, "password": WRONG}, expect_errors=True)
        for email in PEOPLE
    ]
    assert len({answer.body for answer in answers}) == 1


def test_en2_one_verification_each(auth):
    spy = auth._services.passwords._hasher
    for email in PEOPLE:
        spy.verified.clear()
        sign_in(browser(auth), email, WRONG)
        assert len(spy.verified) == 1


def test_en3_disabled_is_told_for_the_right_password_only(auth):
    assert sign_in(browser(auth), PEOPLE[1], WRONG).status_int == 401
    answer = sign_in(browser(auth), PEOPLE[1], PASSWORD)
    assert answer.status_int == 403
    assert PEOPLE[1] in answer.html.find(role="alert").get_text()


def test_lk2_lk3_a_lock_looks_the_same_for_everybody_and_every_password(auth):
    for email in PEOPLE:
        for _ in range(5):
            last = shown(sign_in(browser(auth), email, WRONG), email)
        assert "300" in dict(last[1])["Retry-After"]
    spy = auth._services.passwords._hasher
    spy.verified.clear()
    answers = [
        shown(sign_in(browser(auth), email, password), email) for email in PEOPLE for password in (PASSWORD, WRONG)
    ]
    assert answers[0][0].startswith("429")
    assert all(answer == answers[0] for answer in answers)
    assert spy.verified == []


def test_lk4_every_spelling_counts_for_one_address(auth):
    spellings = [
        "Known@Example.com",
        " known@example.com",
        "KNOWN@EXAMPLE.COM ",
        "known@example.com",
        "kNOWN@example.com",
    ]
    for email in spellings:
        sign_in(browser(auth), email, WRONG)
    assert sign_in(browser(auth), PEOPLE[0], PASSWORD).status_int == 429


def test_lk9_rubbish_locks_nobody(auth):
    for email in ["", "x" * 10_000, "@", "no at sign", "a@b@c"] * 4:
        assert sign_in(browser(auth, "203.0.113.1"), email, WRONG).status_int == 401
    assert browser(auth, "203.0.113.1").post("/auth/login", {"password": WRONG}, expect_errors=True).status_int == 401
    assert sign_in(browser(auth), PEOPLE[0], PASSWORD).status_int == 303


def test_lk12_a_lock_touches_no_live_session_and_no_known_device(auth):
    owner = browser(auth)
    sign_in(owner, PEOPLE[0], PASSWORD)
    for _ in range(6):
        sign_in(browser(auth, "203.0.113.1"), PEOPLE[0], WRONG)
    assert owner.get("/page").status_int == 200
    owner.post("/auth/logout")
    assert sign_in(owner, PEOPLE[0], PASSWORD).status_int == 303
    assert sign_in(browser(auth, "203.0.113.2"), PEOPLE[0], PASSWORD).status_int == 429, "a new device waits"


def test_lk13_the_device_cookie_opens_nothing_and_is_set_only_when_kept(auth):
    kept, unkept = browser(auth), browser(auth)
    sign_in(kept, PEOPLE[0], PASSWORD)
    sign_in(unkept, PEOPLE[0], PASSWORD, remember=None)
    assert "nipo_device" not in unkept.cookies
    device = kept.cookies["nipo_device"].strip('"')
    assert "known" not in device
    other = browser(auth)
    other.set_cookie("nipo_device", device)
    assert other.get("/page", expect_errors=True).status_int == 303
    crossed = browser(auth)
    crossed.set_cookie("nipo_auth", device)
    assert crossed.get("/page", expect_errors=True).status_int == 303


def test_au4_a_password_typed_as_an_address_is_not_kept(auth):
    sign_in(browser(auth), PASSWORD, WRONG)
    sign_in(browser(auth), f"{PASSWORD}@example.com", WRONG)
    for typed in (PASSWORD, f"{PASSWORD}@example.com"):
        browser(auth).post("/auth/forgot", {"email": typed})
        browser(auth).post_json("/auth/login", {"email": typed, "password": WRONG}, expect_errors=True)
    rows = auth._services.audit.events(limit=100)
    assert Counter(row.event for row in rows if not row.user_id) == {"sign_in_failed": 4, "password_reset_requested": 2}
    assert not re.search(PASSWORD, repr(rows))
