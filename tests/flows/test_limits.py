"""The figures of the lock and of the limits: how long, how often, and when a count is forgotten."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
import time_machine

from nipo_auth_mw import ConfigError, LockoutPolicy, StoreUnavailable
from nipo_auth_mw.flows.signin import Refused, SignedIn, sign_in
from nipo_auth_mw.models import Client
from nipo_auth_mw.parts.lockout import Locked, NoPlace, open_counters
from nipo_auth_mw.stores import MemoryStore
from tests.kit import PASSWORD, WRONG, events, middleware, person

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HERE = Client("192.0.2.1", "test")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def door(**policy):
    auth = middleware(lockout=LockoutPolicy(**policy))
    person(auth)
    return auth


def attempt(auth, password=WRONG, email="tanaka@example.com", client=HERE):
    return sign_in(auth._services, email, password, remember=False, client=client)


def lock(auth):
    """Five wrong passwords; how long the lock is that they begin."""
    last = [attempt(auth) for _ in range(5)][-1]
    assert last.began
    return last.retry_after


def lockout_of(auth):
    lockout = auth._services.lockout
    return lockout, lockout.address("tanaka@example.com")


# The lock.


def test_a_lock_ends_on_the_second_and_says_one_second_until_then(clock):
    auth = door()
    lock(auth)
    clock.shift(timedelta(seconds=299.5))
    assert attempt(auth, PASSWORD) == Refused("locked", 1)
    clock.shift(timedelta(seconds=0.5))
    assert isinstance(attempt(auth, PASSWORD), SignedIn)


@pytest.mark.parametrize("back", [SECOND, MINUTE, DAY])
def test_cl1_on_a_clock_set_back_a_lock_is_over_after_its_own_length(clock, back):
    auth = door(longest=HOUR)
    lock(auth)
    clock.shift(-back)
    for _ in range(3):
        assert attempt(auth).reason == "locked"
        assert attempt(auth).retry_after <= 3600
    clock.shift(HOUR + SECOND)
    assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_wrong_passwords_are_forgotten_a_window_after_each(clock):
    auth = door(window=10 * MINUTE)
    for _ in range(4):
        attempt(auth)
    clock.shift(10 * MINUTE - SECOND)
    assert attempt(auth).began
    clock.shift(5 * MINUTE + SECOND)
    for _ in range(4):
        attempt(auth)
    clock.shift(10 * MINUTE + SECOND)
    assert not attempt(auth).began


def test_a_lock_leaves_no_count_behind(clock):
    auth = door()
    lock(auth)
    clock.shift(5 * MINUTE + SECOND)
    assert [attempt(auth).began for _ in range(5)] == [False] * 4 + [True]


def test_lk6_locks_are_in_a_row_until_a_day_and_two_of_the_longest_have_passed(clock):
    auth = door(longest=HOUR)
    assert lock(auth) == 300
    clock.shift(DAY + 2 * HOUR - SECOND)
    assert lock(auth) == 600
    clock.shift(DAY + 2 * HOUR)
    assert lock(auth) == 300


def test_lk6_a_lock_that_somebody_lifted_is_in_no_row(clock):
    auth = door(longest=HOUR)
    lock(auth)
    auth.accounts.unlock("1")
    assert lock(auth) == 300


def test_lk6_after_very_many_locks_in_a_row_the_longest_is_still_the_longest(clock):
    auth = door(longest=6 * HOUR)
    locks = []
    for _ in range(40):
        locks.append(lock(auth))
        clock.shift(6 * HOUR + SECOND)
    assert locks[6:] == [19200] + [21600] * 33


def test_lk6_passwords_that_nobody_looked_at_do_not_count_towards_giving_up(clock):
    auth = door(give_up_after=7)
    lockout, subject = lockout_of(auth)
    for _ in range(20):
        lockout.give_back(lockout.take(subject, 0), checked=False)
    lock(auth)
    clock.shift(5 * MINUTE + SECOND)
    assert [attempt(auth).reason for _ in range(2)] == ["invalid_credentials"] * 2
    assert attempt(auth, PASSWORD) == Refused("locked", None)


def test_lk6_a_right_password_begins_the_count_to_giving_up_afresh(clock):
    auth = door(give_up_after=5)
    for _ in range(5):
        for _ in range(4):
            attempt(auth)
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_the_row_of_an_ended_lock_says_how_many_it_turned_away_and_is_written_once(clock):
    auth = door()
    lock(auth)
    for _ in range(3):
        attempt(auth)
    clock.shift(DAY)
    attempt(auth)
    attempt(auth)
    (row,) = events(auth, "unlocked")
    assert row.details["refused"] == 3
    clock.shift(HOUR)
    lock(auth)
    auth.accounts.unlock("1")
    assert [row.details.get("refused") for row in events(auth, "unlocked")] == [3, 0]
    attempt(auth)
    assert len(events(auth, "unlocked")) == 2


def test_lk13_on_a_shared_tablet_each_person_has_a_lock_of_their_own(clock):
    auth = door()
    person(auth, "suzuki@example.com")
    device = None
    for email in ("tanaka@example.com", "suzuki@example.com"):
        entered = sign_in(auth._services, email, PASSWORD, remember=True, client=HERE, device_cookie=device)
        device = entered.device
    answers = [
        sign_in(auth._services, email, password, remember=True, client=HERE, device_cookie=device)
        for email, password in [("tanaka@example.com", WRONG)] * 5
        + [("tanaka@example.com", PASSWORD), ("suzuki@example.com", PASSWORD)]
    ]
    assert answers[-2].reason == "locked"
    assert isinstance(answers[-1], SignedIn)


def test_every_lock_that_was_lifted_has_its_row_however_soon(clock):
    auth = door()
    for _ in range(3):
        lock(auth)
        auth.accounts.unlock("1")
    assert len(events(auth, "unlocked")) == 3


# Places.


def test_a_place_is_waited_for_until_the_deadline_and_no_longer():
    auth = door(failures=1)
    lockout, subject = lockout_of(auth)
    place = lockout.take(subject, 0)
    began = time.monotonic()
    with pytest.raises(NoPlace):
        lockout.take(subject, began + 0.1)
    assert 0.05 < time.monotonic() - began < 5
    lockout.give_back(place)
    assert lockout.take(subject, 0).number == 0


def test_every_place_is_given_to_one_at_a_time(clock):
    auth = door()
    lockout, subject = lockout_of(auth)
    places = [lockout.take(subject, 0) for _ in range(5)]
    assert {place.number for place in places} == set(range(5))
    with pytest.raises(NoPlace):
        lockout.take(subject, 0)
    lockout.burn(places[0])
    lockout.give_back(places[1])
    assert lockout.take(subject, 0).number == places[1].number
    with pytest.raises(NoPlace):
        lockout.take(subject, 0)


def test_whoever_took_too_long_frees_no_place_that_is_somebody_elses_by_now(clock):
    auth = door(failures=1)
    lockout, subject = lockout_of(auth)
    place = lockout.take(subject, 0)
    lockout.give_back(replace(place, taken=place.taken - 9))
    with pytest.raises(NoPlace):
        lockout.take(subject, 0)
    lockout.give_back(replace(place, taken=place.taken - 8))
    assert lockout.take(subject, 0)


def test_no_place_is_given_while_a_lock_stands(clock):
    auth = door()
    lockout, subject = lockout_of(auth)
    place = lockout.take(subject, 0)
    lock_began = [lockout.burn(lockout.take(subject, 0)) for _ in range(4)] + [lockout.burn(place)]
    assert lock_began == [None] * 4 + [Locked(300)]
    assert lockout.take(subject, 0) == Locked(300)
    assert lockout.clear(subject).refused == 0
    assert lockout.clear(subject) is None


# The limit per client address, and what anybody can cause.


def test_lk14_a_limit_lasts_a_window_from_the_first_failure_and_says_how_long(clock):
    auth = door(address_failures=10)
    for n in range(10):
        assert attempt(auth, email=f"nobody{n}@example.com").reason == "invalid_credentials"
        clock.shift(MINUTE)
    assert attempt(auth, PASSWORD) == Refused("too_many_attempts", 300)
    clock.shift(timedelta(seconds=299.5))
    assert attempt(auth, PASSWORD) == Refused("too_many_attempts", 1)
    clock.shift(SECOND)
    assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_ip5_without_a_client_address_there_is_no_limit_and_no_row_of_one(clock):
    auth = door(address_failures=10)
    for n in range(12):
        attempt(auth, email=f"nobody{n}@example.com", client=Client(""))
    assert events(auth, "limited") == []


def test_cl1_a_clock_set_back_tells_nobody_to_wait_longer_than_a_window(clock):
    auth = door(address_failures=10)
    for n in range(10):
        attempt(auth, email=f"nobody{n}@example.com")
    clock.shift(-DAY)
    assert attempt(auth, PASSWORD) == Refused("too_many_attempts", 900)


@pytest.mark.parametrize(("address", "other"), [("192.0.2.1", "192.0.2.2"), ("", "192.0.2.2")])
def test_what_anybody_can_cause_is_written_once_a_minute_for_a_client_address(clock, address, other):
    seldom = door()._services.lockout.seldom
    assert [seldom("link", address) for _ in range(3)] == [True, False, False]
    assert seldom("link", other)
    assert seldom("another thing", address)
    clock.shift(59)
    assert not seldom("link", address)
    clock.shift(1)
    assert seldom("link", address)


def test_ma5_mails_go_a_minute_apart_and_so_many_in_any_hour(clock):
    lockout = door()._services.lockout

    def may(email="tanaka@example.com", what="reset"):
        return lockout.may_mail(email, what, an_hour=2)

    assert [may(), may()] == [True, False]
    assert may(what="lock mail")
    assert may(email="suzuki@example.com")
    clock.shift(59)
    assert not may()
    clock.shift(1)
    assert may()
    clock.shift(MINUTE + SECOND)
    assert not may(), "two in this hour"
    clock.move_to(START + HOUR)
    assert may()


def test_counters_name_nobody():
    auth = door(address_failures=1000)
    attempt(auth)
    attempt(auth, email="nobody@example.com")
    names = " ".join(auth._services.lockout._counters._rows)
    assert names
    for told in ("tanaka", "nobody", "example", "192.0.2.1"):
        assert told not in names


# Where the counters are.


def test_counters_are_the_stores_unless_the_policy_names_others():
    own = MemoryStore().counters
    assert open_counters(LockoutPolicy(), own, memory_allowed=False) is own
    assert open_counters(LockoutPolicy(counters="memory://"), own, memory_allowed=True) is own
    redis = open_counters(LockoutPolicy(counters="redis://127.0.0.1:1"), own, memory_allowed=False)
    assert redis is not own, "it is asked for nothing before the first count"


@pytest.mark.parametrize(
    ("counters", "own", "field", "problem", "mend"),
    [
        ("store", None, "store", "has no `counters`", 'Set lockout.counters to a "redis://" address.'),
        (
            "memory://",
            MemoryStore().counters,
            "lockout.counters",
            "memory:// is not shared by processes, so each would allow its own number of guesses",
            'Use "store" or a "redis://" address; memory:// goes with MemoryStore only.',
        ),
        (
            "redis://127.0.0.1:port",
            None,
            "lockout.counters",
            "the storage cannot be opened (ValueError)",
            "Install nipo_auth_mw[redis] and check the address.",
        ),
    ],
)
def test_counters_that_cannot_be_opened_are_an_error_that_names_the_mend(counters, own, field, problem, mend):
    with pytest.raises(ConfigError) as caught:
        open_counters(LockoutPolicy(counters=counters), own, memory_allowed=False)
    assert caught.value.field == field
    assert caught.value.mend == mend
    assert str(caught.value) == f"{field}: {problem}. {mend}"
    assert ":port" not in str(caught.value), "the address may hold a password"


def test_fa3_a_redis_that_is_not_there_is_an_outage_and_no_password_is_checked():
    auth = door(counters="redis://127.0.0.1:1")
    with pytest.raises(StoreUnavailable, match=r"^the counters cannot be reached$"):
        attempt(auth, PASSWORD)


def test_mails_that_an_account_causes_are_counted_for_it_alone(clock):
    lockout, _ = lockout_of(door())
    assert lockout.may_tell("1", "notice", an_hour=3)
    assert not lockout.may_tell("1", "notice", an_hour=3), "one a minute"
    assert lockout.may_tell("2", "notice", an_hour=3)
    assert lockout.may_tell("1", "another", an_hour=3)
    assert [lockout.may_tell("1", "often", an_hour=3, spaced=False) for _ in range(4)] == [True, True, True, False]
    clock.shift(HOUR + SECOND)
    assert lockout.may_tell("1", "often", an_hour=3, spaced=False)


def test_the_clock_is_the_one_of_the_counters_server_where_it_has_one():
    auth = door()
    lockout, _ = lockout_of(auth)
    assert lockout.now() is None
    with mock.patch.object(lockout._counters, "storage", SimpleNamespace(time=lambda: (7, 250_000)), create=True):
        assert lockout.now() == 7.25


def test_fa5_a_redis_that_never_answers_costs_seconds_not_minutes():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        auth = door(counters=f"redis://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            attempt(auth, PASSWORD)
        assert time.monotonic() - began < 6
