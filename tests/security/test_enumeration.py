"""Rows EN and LK: what the door gives away about who has an account."""

from __future__ import annotations

import re
from collections import Counter

import argon2
import pytest
import time_machine

from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, events, middleware, person, sign_in, without_challenge

# Of one length each, so that Content-Length can be compared too. The last one has no account.
PEOPLE = ["known@example.com", "block@example.com", "guest@example.com", "given@example.com", "ghost@example.com"]


@pytest.fixture
def auth():
    with time_machine.travel(1_800_000_000, tick=False):
        auth = middleware(hasher=SpyHasher(fast_hasher()))
        person(auth, PEOPLE[0])
        person(auth, PEOPLE[1], active=False)
        person(auth, PEOPLE[2], password=None)
        given = person(auth, PEOPLE[3])
        auth.accounts.set_password(given.id, PASSWORD, must_change=True)
        yield auth


def shown(answer, email):
    """Everything that leaves, but Date, the address typed and the challenge of a passkey."""
    headers = [(name, value) for name, value in answer.headerlist if name != "Date"]
    return answer.status, headers, without_challenge(answer).replace(email, "*")


@pytest.mark.parametrize("language", ["ja", "en"])
def test_en1_a_wrong_password_looks_the_same_for_everybody(auth, language):
    answers = [shown(sign_in(browser(auth, HTTP_ACCEPT_LANGUAGE=language), email, WRONG), email) for email in PEOPLE]
    assert answers[0][0].startswith("401")
    assert all(answer == answers[0] for answer in answers)
    assert not any(name == "Set-Cookie" for name, _ in answers[0][1])


def test_en1_the_same_as_json(auth):
    answers = [
        browser(auth).post_json("/-/auth/login", {"email": email, "password": WRONG}, expect_errors=True)
        for email in PEOPLE
    ]
    assert len({str(shown(answer, email)) for answer, email in zip(answers, PEOPLE, strict=True)}) == 1


@pytest.mark.parametrize("password", ["", "x" * 129, "\u3000" + WRONG, "WRONG"])
def test_en1_whatever_the_wrong_password_is_like(auth, password):
    answers = [shown(sign_in(browser(auth), email, password), email) for email in PEOPLE]
    assert answers[0][0].startswith("401")
    assert all(answer == answers[0] for answer in answers)


def test_en1_a_password_nobody_used_in_time_is_a_wrong_one(auth):
    with time_machine.travel(1_800_000_000 + 8 * 86400, tick=False):
        late = sign_in(browser(auth), PEOPLE[3], PASSWORD)
        assert shown(late, PEOPLE[3]) == shown(sign_in(browser(auth), PEOPLE[4], PASSWORD), PEOPLE[4])
        assert late.status_int == 401


def test_en2_one_verification_each_with_the_parameters_of_today(auth):
    spy = auth._services.hashing._hasher
    kinds = []
    for email in PEOPLE:
        spy.verified.clear()
        sign_in(browser(auth), email, WRONG)
        assert len(spy.verified) == 1, email
        kinds.append(argon2.extract_parameters(spy.verified[0]))
    assert kinds == [argon2.extract_parameters(spy.hash("x"))] * len(PEOPLE)


def test_en3_disabled_is_told_for_the_right_password_only(auth):
    assert sign_in(browser(auth), PEOPLE[1], WRONG).status_int == 401
    answer = sign_in(browser(auth), PEOPLE[1], PASSWORD)
    assert answer.status_int == 403
    assert "Set-Cookie" not in answer.headers
    assert PEOPLE[1] in answer.html.find(role="alert").get_text()


def test_lk2_lk3_a_lock_looks_the_same_for_everybody_and_every_password(auth):
    for email in PEOPLE:
        for _ in range(5):
            last = shown(sign_in(browser(auth), email, WRONG), email)
        assert dict(last[1]).get("Retry-After") == "300"
    spy = auth._services.hashing._hasher
    spy.verified.clear()
    answers = [
        shown(sign_in(browser(auth), email, password), email) for email in PEOPLE for password in (PASSWORD, WRONG)
    ]
    assert answers[0][0].startswith("429")
    assert all(answer == answers[0] for answer in answers)
    assert spy.verified == []


def test_lk4_every_spelling_counts_for_one_address(auth):
    person(auth, "known@b\xfccher.example")
    for spellings in (
        ["Known@Example.com", " known@example.com", "KNOWN@EXAMPLE.COM\t", "known@example.com", "kNOWN@example.com"],
        [
            "known@xn--bcher-kva.example",
            "known@b\xfccher.example",
            "KNOWN@B\xdcCHER.EXAMPLE",
            "known@bu\u0308cher.example",
            "\u3000known@XN--bcher-kva\uff0eexample",
        ],
        ["Ghost@Example.com", " ghost@example.com", "GHOST@EXAMPLE.COM ", "ghost@example.com", "ghost@EXAMPLE.com"],
    ):
        statuses = [sign_in(browser(auth), email, WRONG).status_int for email in [*spellings, *spellings]]
        assert statuses == [401] * 5 + [429] * 5


def test_lk9_rubbish_locks_nobody(auth):
    from_here = browser(auth, "203.0.113.1")
    for email in ["", "x" * 10_000, "@", "no at sign", " ", "\x00", "\u3000"] * 7:
        assert sign_in(from_here, email, WRONG).status_int == 401
    assert from_here.post("/-/auth/login", {"password": WRONG}, expect_errors=True).status_int == 401
    assert sign_in(from_here, "", WRONG).status_int == 429, "they count for the client address, 50 in all"
    assert sign_in(browser(auth), PEOPLE[0], PASSWORD).status_int == 303
    assert sign_in(browser(auth), "", WRONG).status_int == 401
    counted = auth._services.session_store.counters._rows
    assert not [key for key in counted if key.startswith("a:") and key.endswith(":lock")]
    assert events(auth, "locked") == []


def test_lk12_a_lock_touches_no_live_session_and_no_known_device(auth):
    owner = browser(auth)
    sign_in(owner, PEOPLE[0], PASSWORD)
    for _ in range(6):
        sign_in(browser(auth, "203.0.113.1"), PEOPLE[0], WRONG)
    assert owner.get("/page").status_int == 200
    owner.post("/-/auth/logout")
    assert sign_in(owner, PEOPLE[0], PASSWORD).status_int == 303
    assert sign_in(browser(auth, "203.0.113.2"), PEOPLE[0], PASSWORD).status_int == 429, "a new device waits"


def test_lk13_the_device_cookie_opens_nothing_and_is_set_only_when_kept(auth):
    persistent, unkept = browser(auth), browser(auth)
    sign_in(persistent, PEOPLE[0], PASSWORD)
    sign_in(unkept, PEOPLE[0], PASSWORD, remember=None)
    assert "nipo_device" not in unkept.cookies
    device = persistent.cookies["nipo_device"].strip('"')
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
        browser(auth).post("/-/auth/forgot", {"email": typed}, expect_errors=True)
        browser(auth).post_json("/-/auth/login", {"email": typed, "password": WRONG}, expect_errors=True)
    rows = auth._services.audit.events(limit=100)
    assert Counter(row.event for row in rows if not row.user_id) == {"sign_in_failed": 4, "password_reset_requested": 1}
    assert not re.search(PASSWORD, repr(rows))
