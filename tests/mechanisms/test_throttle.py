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
from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw._flows.advance import SignedIn
from nipo_auth_mw._flows.login import sign_in
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._throttle import counters as module
from nipo_auth_mw._throttle.counters import CounterNames, open_counters, server_time
from nipo_auth_mw._throttle.lockout import Lockout
from nipo_auth_mw._throttle.slots import Locked, NoSlot
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import MemoryStore, SQLStore
from tests._services import needed
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
    assert last.detail == "lock_begun"
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
    auth = door(max_duration=HOUR)
    lock(auth)
    clock.shift(-back)
    for _ in range(3):
        assert attempt(auth).code == "locked"
        assert attempt(auth).retry_after <= 3600
    clock.shift(HOUR + SECOND)
    assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_wrong_passwords_are_forgotten_a_window_after_each(clock):
    auth = door(window=10 * MINUTE)
    for _ in range(4):
        attempt(auth)
    clock.shift(10 * MINUTE - SECOND)
    assert attempt(auth).detail == "lock_begun"
    clock.shift(5 * MINUTE + SECOND)
    for _ in range(4):
        attempt(auth)
    clock.shift(10 * MINUTE + SECOND)
    assert attempt(auth).detail != "lock_begun"


def test_a_lock_leaves_no_count_behind(clock):
    auth = door()
    lock(auth)
    clock.shift(5 * MINUTE + SECOND)
    assert [attempt(auth).detail == "lock_begun" for _ in range(5)] == [False] * 4 + [True]


def test_lk6_locks_are_in_a_row_until_a_day_and_two_of_the_longest_have_passed(clock):
    auth = door(max_duration=HOUR)
    assert lock(auth) == 300
    clock.shift(DAY + 2 * HOUR - SECOND)
    assert lock(auth) == 600
    clock.shift(DAY + 2 * HOUR)
    assert lock(auth) == 300


def test_lk6_a_lock_that_somebody_lifted_is_in_no_row(clock):
    auth = door(max_duration=HOUR)
    lock(auth)
    auth.accounts.unlock("1")
    assert lock(auth) == 300


def test_lk6_after_very_many_locks_in_a_row_the_longest_is_still_the_longest(clock):
    auth = door(max_duration=6 * HOUR)
    locks = []
    for _ in range(40):
        locks.append(lock(auth))
        clock.shift(6 * HOUR + SECOND)
    assert locks[6:] == [19200] + [21600] * 33


def test_lk6_passwords_that_nobody_looked_at_do_not_count_towards_giving_up(clock):
    auth = door(permanent_after=7)
    lockout, subject = lockout_of(auth)
    for _ in range(20):
        lockout.release(lockout.reserve(subject, 0), checked=False)
    lock(auth)
    clock.shift(5 * MINUTE + SECOND)
    assert [attempt(auth).code for _ in range(2)] == ["invalid_credentials"] * 2
    assert attempt(auth, PASSWORD) == Refused("locked", detail="for_good")


def test_lk6_a_right_password_begins_the_count_to_giving_up_afresh(clock):
    auth = door(permanent_after=5)
    for _ in range(5):
        for _ in range(4):
            attempt(auth)
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_lk6_a_check_that_lost_its_slot_to_another_takes_the_next_and_counts_once(tmp_path):
    """A known device counts for no client, so it has nothing else to give back."""
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    for permanent, row in ((None, {}), (7, {"d:x:row": 2})):
        policy = LockoutPolicy(permanent_after=permanent)
        lockout = Lockout(policy, store.counters, CounterNames(KeyedDigests(["k" * 32], "counters")))
        seen = lockout.look("d:x")
        slots = [lockout.reserve("d:x", 0, seen) for _ in range(2)]
        assert [slot.number for slot in slots] == [0, 1]
        counts = {name: count for name, (count, _) in lockout.look("d:x").counts.items()}
        assert counts == {"d:x:s:0": 2, "d:x:s:1": 1} | row
        for slot in slots:
            lockout.succeed(slot)
        assert lockout.look("d:x").counts == {}
    store.close()


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
    assert answers[-2].code == "locked"
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
    place = lockout.reserve(subject, 0)
    began = time.monotonic()
    with pytest.raises(NoSlot):
        lockout.reserve(subject, began + 0.1)
    assert 0.05 < time.monotonic() - began < 5
    lockout.release(place)
    assert lockout.reserve(subject, 0).number == 0


def test_every_place_is_given_to_one_at_a_time(clock):
    auth = door()
    lockout, subject = lockout_of(auth)
    places = [lockout.reserve(subject, 0) for _ in range(5)]
    assert {place.number for place in places} == set(range(5))
    with pytest.raises(NoSlot):
        lockout.reserve(subject, 0)
    lockout.fail(places[0])
    lockout.release(places[1])
    assert lockout.reserve(subject, 0).number == places[1].number
    with pytest.raises(NoSlot):
        lockout.reserve(subject, 0)


def test_a_check_that_took_the_whole_window_frees_no_slot_that_another_may_have_by_now(clock):
    auth = door(failures=1)
    lockout, subject = lockout_of(auth)
    slot = lockout.reserve(subject, 0)
    lockout.release(replace(slot, reserved_at=slot.reserved_at - 900 * 0.9))
    with pytest.raises(NoSlot):
        lockout.reserve(subject, 0)
    lockout.release(replace(slot, reserved_at=slot.reserved_at - 900 * 0.8))
    assert lockout.reserve(subject, 0)


def test_lk7_a_request_that_read_before_a_lock_gets_no_slot_of_it(clock):
    auth = door()
    lockout, subject = lockout_of(auth)
    seen = lockout.look(subject)
    lock(auth)
    assert lockout._reserve_one(subject, seen) is None


def test_lk5_two_attempts_at_once_after_a_lock_start_no_other(clock):
    auth = door()
    lockout, subject = lockout_of(auth)
    lock(auth)
    clock.shift(5 * MINUTE + SECOND)
    late = lockout.look(subject)
    assert lockout.ended(subject, late).refused == 0
    assert lockout.ended(subject, late) is None
    assert lockout.reserve(subject, time.monotonic() + 10, late).number == 0


def test_no_place_is_given_while_a_lock_stands(clock):
    auth = door()
    lockout, subject = lockout_of(auth)
    place = lockout.reserve(subject, 0)
    lock_began = [lockout.fail(lockout.reserve(subject, 0)) for _ in range(4)] + [lockout.fail(place)]
    assert lock_began == [None] * 4 + [Locked(300)]
    assert lockout.reserve(subject, 0) == Locked(300)
    assert lockout.clear(subject).refused == 0
    assert lockout.clear(subject) is None


# The limit per client address, and what anybody can cause.


def test_lk14_a_limit_lasts_a_window_from_the_first_failure_and_says_how_long(clock):
    auth = door(client_failures=10)
    for n in range(10):
        assert attempt(auth, email=f"nobody{n}@example.com").code == "invalid_credentials"
        clock.shift(MINUTE)
    assert attempt(auth, PASSWORD) == Refused("too_many_attempts", 300)
    clock.shift(timedelta(seconds=299.5))
    assert attempt(auth, PASSWORD) == Refused("too_many_attempts", 1)
    clock.shift(SECOND)
    assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_ip5_without_a_client_address_there_is_no_limit_and_no_row_of_one(clock):
    auth = door(client_failures=10)
    for n in range(12):
        attempt(auth, email=f"nobody{n}@example.com", client=Client(""))
    assert events(auth, "limited") == []


def test_cl1_a_clock_set_back_tells_nobody_to_wait_longer_than_a_window(clock):
    auth = door(client_failures=10)
    for n in range(10):
        attempt(auth, email=f"nobody{n}@example.com")
    clock.shift(-DAY)
    assert attempt(auth, PASSWORD) == Refused("too_many_attempts", 900)


@pytest.fixture
def checks(clock):
    """A client that may have ten failures, and checks of passwords of as many addresses as are asked for."""
    services = door(client_failures=10)._services
    client = services.client_limit.of(HERE)

    def begin(number, deadline=0.0):
        return services.lockout.reserve(services.lockout.address(f"n{number}@example.com"), deadline, None, client)

    return services, begin


def test_lk17_checks_in_progress_count_as_failures_until_they_end(clock, checks):
    services, begin = checks
    slots = [begin(number) for number in range(10)]
    with pytest.raises(NoSlot):
        begin(10)
    assert services.client_limit.limited(HERE) is None, "none of them has failed yet"
    assert services.client_limit.limited(HERE, full=True) == 900
    services.lockout.release(slots[0])
    services.lockout.succeed(slots[1])
    slots[:2] = begin(10), begin(11)
    with pytest.raises(NoSlot):
        begin(12)
    for slot in slots:
        services.lockout.fail(slot)
    assert [slot.limited for slot in slots] == [False] * 9 + [True]
    assert services.client_limit.limited(HERE) == 900
    clock.shift(900 * SECOND)
    assert services.client_limit.limited(HERE, full=True) is None


def test_lk17_of_two_checks_that_read_before_the_last_failure_one_begins(checks):
    services, begin = checks
    client, lockout = services.client_limit.of(HERE), services.lockout
    for number in range(9):
        lockout.fail(begin(number))
    subjects = [lockout.address(f"late{number}@example.com") for number in range(2)]
    seen = [lockout.look(subject, client.names) for subject in subjects]
    lockout.fail(lockout.reserve(subjects[0], 0, seen[0], client))
    assert lockout._reserve_one(subjects[1], seen[1], client) is None
    assert client.wait(services.counters.read(client.names)) == 900
    assert services.counters.get(client.key) % 10 == 0, "nothing of the checks is left"


def test_lk17_a_client_without_failures_left_waits_for_nothing(checks):
    services, begin = checks
    for number in range(10):
        services.lockout.fail(begin(number))
    started = time.monotonic()
    with pytest.raises(NoSlot):
        begin(10, started + 30)
    assert time.monotonic() - started < 5


def test_lk17_a_check_that_met_another_in_its_slot_is_taken_back(checks):
    services, begin = checks
    client, subject = services.client_limit.of(HERE), services.lockout.address("n0@example.com")
    seen = services.lockout.look(subject, client.names)
    assert begin(0).number == 0
    assert services.lockout.reserve(subject, 0, seen, client).number == 1
    assert services.counters.get(client.key) == 2


def test_lk17_no_check_is_taken_back_from_a_counter_that_is_about_to_end(clock, checks):
    """The next counter would begin below 0, and let an attacker have one more guess."""
    services, begin = checks
    client = services.client_limit.of(HERE)
    slot = begin(0)
    ended = replace(slot, client_ends=time.monotonic() + 9)
    assert ended.given_back == {}
    clock.shift(900 * SECOND)
    services.lockout.release(ended)
    assert services.counters.get(client.key) == 0
    assert slot.given_back == {client.key: 900}


@pytest.mark.parametrize(("address", "other"), [("192.0.2.1", "192.0.2.2"), ("", "192.0.2.2")])
def test_what_anybody_can_cause_is_written_once_a_minute_for_a_client_address(clock, address, other):
    once_a_minute = door()._services.quotas.once_a_minute
    assert [once_a_minute("link", address) for _ in range(3)] == [True, False, False]
    assert once_a_minute("link", other)
    assert once_a_minute("another thing", address)
    clock.shift(59)
    assert not once_a_minute("link", address)
    clock.shift(1)
    assert once_a_minute("link", address)


def test_ma5_mails_go_a_minute_apart_and_so_many_in_any_hour(clock):
    quotas = door()._services.quotas

    def may(user_id="1", what="reset"):
        return quotas.allow_about(user_id, what, an_hour=2)

    assert [may(), may()] == [True, False]
    assert may(what="lock mail")
    assert may(user_id="2")
    clock.shift(59)
    assert not may()
    clock.shift(1)
    assert may()
    clock.shift(MINUTE + SECOND)
    assert not may(), "two in this hour"
    clock.move_to(START + HOUR)
    assert may()


def test_counters_name_nobody():
    auth = door(client_failures=1000)
    attempt(auth)
    attempt(auth, email="nobody@example.com")
    names = " ".join(auth._services.counters._rows)
    assert names
    for told in ("tanaka", "nobody", "example", "192.0.2.1"):
        assert told not in names


# Where the counters are.


def test_counters_are_the_stores_unless_the_policy_names_others():
    own = MemoryStore().counters
    assert open_counters(LockoutPolicy(), own, memory_allowed=False) is own
    assert open_counters(LockoutPolicy(storage="memory://"), own, memory_allowed=True) is own


def test_counters_on_redis_are_asked_for_nothing_before_the_first_count():
    needed("redis")
    own = MemoryStore().counters
    redis = open_counters(LockoutPolicy(storage="redis://127.0.0.1:1"), own, memory_allowed=False)
    assert redis is not own


@pytest.mark.parametrize(
    ("counters", "own", "field", "problem", "hint"),
    [
        ("store", None, "store", "has no `counters`", 'Set lockout.storage to a "redis://" address.'),
        (
            "memory://",
            MemoryStore().counters,
            "lockout.storage",
            "memory:// is not shared by processes, so each process would allow its own number of guesses",
            'Use "store" or a "redis://" address. memory:// works with MemoryStore only.',
        ),
        (
            "redis://127.0.0.1:port",
            None,
            "lockout.storage",
            "the storage cannot be opened (ValueError)",
            "Install nipo_auth_mw[redis] and check the address.",
        ),
    ],
)
def test_counters_that_cannot_be_opened_are_an_error_that_gives_a_hint(counters, own, field, problem, hint):
    if counters.startswith("redis"):
        needed("redis")
    with pytest.raises(ConfigError) as caught:
        open_counters(LockoutPolicy(storage=counters), own, memory_allowed=False)
    assert caught.value.field == field
    assert caught.value.hint == hint
    assert str(caught.value) == f"{field}: {problem}. {hint}"
    assert ":port" not in str(caught.value), "the address may hold a password"


def test_fa3_a_redis_that_is_not_there_is_an_outage_and_no_password_is_checked():
    needed("redis")
    auth = door(storage="redis://127.0.0.1:1")
    reason = r"^the server of the counters cannot be used \(ConnectionError: nothing answers"
    with pytest.raises(StoreUnavailable, match=reason):
        attempt(auth, PASSWORD)


def test_mails_that_an_account_causes_are_counted_for_it_alone(clock):
    quotas = door()._services.quotas
    assert quotas.allow_about("1", "notice", an_hour=3)
    assert not quotas.allow_about("1", "notice", an_hour=3), "one a minute"
    assert quotas.allow_about("2", "notice", an_hour=3)
    assert quotas.allow_about("1", "another", an_hour=3)
    assert [quotas.allow_about("1", "often", an_hour=3, spaced=False) for _ in range(4)] == [
        True,
        True,
        True,
        False,
    ]
    clock.shift(HOUR + SECOND)
    assert quotas.allow_about("1", "often", an_hour=3, spaced=False)


def test_the_clock_is_the_one_of_the_counters_server_where_it_has_one():
    counters = door()._services.counters
    assert server_time(counters) is None
    with mock.patch.object(counters, "server", SimpleNamespace(time=lambda: (7, 250_000)), create=True):
        assert server_time(counters) == 7.25


def test_fa5_a_redis_that_never_answers_costs_seconds_not_minutes(monkeypatch):
    needed("redis")
    assert module._SOCKET_TIMEOUT <= 3
    monkeypatch.setattr(module, "_SOCKET_TIMEOUT", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        auth = door(storage=f"redis://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            attempt(auth, PASSWORD)
        # One step of an exchange is waited for, not two.
        assert time.monotonic() - began < 2


def test_ru24_what_a_user_causes_counts_together_and_begins_anew_after_an_hour(clock):
    allow = door()._services.quotas.allow_mails_by
    assert allow("1", "import", an_hour=5, mails=3)
    assert [allow("1", "import", an_hour=5) for _ in range(3)] == [True, True, False]
    assert allow("2", "import", an_hour=5)
    assert allow("1", "another", an_hour=5)
    clock.shift(3599)
    assert not allow("1", "import", an_hour=5)
    clock.shift(1)
    assert allow("1", "import", an_hour=5)


def test_what_may_be_used_once_is_used_once(clock):
    first_use = door()._services.quotas.first_use
    assert [first_use("a", lasts=90) for _ in range(3)] == [True, False, False]
    assert first_use("b", lasts=90)
    clock.shift(89)
    assert not first_use("a", lasts=90)
    clock.shift(1)
    assert first_use("a", lasts=90)
