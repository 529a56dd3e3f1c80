"""The lock (contract, section 6) on the flow itself, without HTTP."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw._flows import password_check
from nipo_auth_mw._flows.accept_link import Accepted
from nipo_auth_mw._flows.advance import SignedIn
from nipo_auth_mw._flows.login import sign_in
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_reset import reset_password
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.stores import _schema as schema
from nipo_auth_mw.testing import MemoryMailer, fast_hasher
from tests.kit import PASSWORD, WRONG, SpyHasher, events, middleware, person

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HERE = Client("192.0.2.1", "test")


@pytest.fixture
def door(each_store):
    """A middleware, a spy on its hasher, and one account."""

    def build(spy=None, **policy):
        spy = spy or SpyHasher(fast_hasher())
        auth = middleware(store=each_store, hasher=spy, lockout=LockoutPolicy(**policy))
        person(auth)
        spy.verified.clear()
        return auth, spy

    return build


def attempt(auth, password=WRONG, email="tanaka@example.com", client=HERE, device=None, remember=True):
    return sign_in(auth._services, email, password, remember=remember, client=client, device_cookie=device)


def reason(outcome):
    """The code of the refusal, "" for a user who was let in."""
    return outcome.code if isinstance(outcome, Refused) else ""


def refusals(auth, times, **kwargs):
    return [attempt(auth, **kwargs) for _ in range(times)]


def test_lk1_lk10_four_wrong_and_a_right_one_start_counting_afresh(door):
    auth, _ = door()
    for _ in range(3):
        refusals(auth, 4)
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


@pytest.mark.parametrize("email", ["tanaka@example.com", "nobody@example.com"])
def test_lk1_one_wrong_a_minute_locks_for_five_minutes_from_the_fifth(door, email):
    auth, spy = door()
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(5):
            last = attempt(auth, email=email)
            clock.shift(60)
        clock.shift(-60)
        assert last == Refused("invalid_credentials", 300, detail="lock_begun")
        clock.shift(1)
        assert attempt(auth, PASSWORD, email=email) == Refused("locked", 299)
        clock.shift(298)
        assert attempt(auth, WRONG, email=email) == Refused("locked", 1)
        assert len(spy.verified) == 5
        clock.shift(2)
        assert reason(attempt(auth, WRONG, email=email)) == "invalid_credentials"


def test_the_window_slides(door):
    auth, _ = door()
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(12):
            assert attempt(auth).detail != "lock_begun", "four wrong ones in any fifteen minutes lock no address"
            clock.shift(timedelta(minutes=3, seconds=46))


def test_lk15_attempts_while_locked_neither_hash_nor_prolong(door):
    auth, spy = door()
    with time_machine.travel(START, tick=False) as clock:
        refusals(auth, 5)
        spy.verified.clear()
        for _ in range(29):
            clock.shift(10)
            assert reason(attempt(auth, PASSWORD)) == "locked"
        assert spy.verified == []
        clock.shift(11)
        assert isinstance(attempt(auth, PASSWORD), SignedIn)
    (ended,) = events(auth, "unlocked")
    assert ended.details["refused"] == 29


@pytest.mark.parametrize("many", [None, pytest.param(100_000, marks=pytest.mark.long)])
def test_lk15_a_flood_of_addresses_leaves_bounded_rows(door, each_store, many):
    # A database is pruned every 256 counts, memory when it holds 1,024.
    many = many or 2_000
    many = many if isinstance(each_store, MemoryStore) else many * 3 // 10
    auth, _ = door(client_failures=1_000_000)
    rows = []
    with time_machine.travel(START, tick=False) as clock:
        for flood in "12":
            for number in range(many // 2):
                attempt(auth, email=f"nobody{number}-{flood}@example.com")
            rows.append(counter_rows(each_store))
            clock.shift(timedelta(minutes=15, seconds=1))
    assert rows[0] >= many // 2
    assert rows[1] < 1.5 * rows[0], "the second flood takes the place of the first"


def counter_rows(store):
    if isinstance(store, MemoryStore):
        return len(store.counters._rows)
    return store._db.ask(lambda c: c.execute(sa.select(sa.func.count()).select_from(schema.counter)).scalar())


def test_lk5_it_locks_again_after_a_lock(door):
    auth, _ = door()
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(3):
            assert refusals(auth, 5)[-1] == Refused("invalid_credentials", 300, detail="lock_begun")
            assert attempt(auth, PASSWORD) == Refused("locked", 300)
            clock.shift(301)
    assert len(events(auth, "locked")) == 3


def test_lk6_by_default_every_lock_lasts_the_same_and_none_is_for_good(door):
    auth, _ = door()
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(25):
            assert refusals(auth, 5)[-1] == Refused("invalid_credentials", 300, detail="lock_begun")
            clock.shift(301)
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_lk6_longer_locks_in_a_row_double_up_to_the_longest_and_a_success_resets_them(door):
    auth, _ = door(max_duration=timedelta(hours=1))
    with time_machine.travel(START, tick=False) as clock:
        waits = []
        for _ in range(6):
            waits.append(refusals(auth, 5)[-1].retry_after // 60)
            clock.shift(waits[-1] * 60 + 1)
        assert waits == [5, 10, 20, 40, 60, 60]
        assert isinstance(attempt(auth, PASSWORD), SignedIn)
        assert refusals(auth, 5)[-1].retry_after == 300


def test_lk6_give_up_after_bounds_all_guesses_until_somebody_unlocks(door):
    auth, spy = door(permanent_after=12)
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(40):
            attempt(auth)
            clock.shift(301)
        assert len(spy.verified) == 12
        assert attempt(auth, PASSWORD) == Refused("locked", detail="for_good")
        auth.accounts.unlock("1")
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


@pytest.mark.parametrize(("limit", "locks"), [(7, 1), (10, 1), (5, 0)])
def test_lk6_the_wrong_password_that_locks_for_good_is_answered_so_and_the_owner_is_told(each_store, limit, locks):
    """A time at which the lock would end would be wrong, also where the limit lies between two locks."""
    mailer = MemoryMailer()
    auth = middleware(store=each_store, mailer=mailer, lockout=LockoutPolicy(permanent_after=limit))
    person(auth)
    begun, warned = [], []
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(limit):
            answer = attempt(auth)
            warned += [answer.detail] * answer.detail.startswith("last_try")
            if answer.detail.startswith("lock_"):
                begun.append(answer)
                clock.shift(301)
        wrong = Refused("invalid_credentials", detail="lock_for_good")
        assert begun == [replace(wrong, retry_after=300, detail="lock_begun")] * locks + [wrong]
        assert warned == ["last_try"] * locks + ["last_try_for_good"]
        assert attempt(auth, PASSWORD) == Refused("locked", detail="for_good")
    seconds = [row.details["seconds"] for row in events(auth, "locked")]
    assert seconds == [300] * locks + [0]
    auth.flush_mail()
    subjects = [one.subject.split(": ")[1] for one in mailer.outbox]
    assert subjects == ["sign-in is locked for a while"] * locks + ["sign-in is stopped"]


def test_lk6_give_up_after_bounds_parallel_guesses_too_and_a_reset_lifts_it(door):
    auth, spy = door(permanent_after=7)
    with time_machine.travel(START, tick=False) as clock:
        for _ in range(3):
            together(20, lambda: attempt(auth))
            clock.shift(301)
        assert len(spy.verified) <= 7
        refusals(auth, 7)
        assert len(spy.verified) == 7
        assert attempt(auth, PASSWORD) == Refused("locked", detail="for_good")
        reset_password(auth._services, reset_token(auth), PASSWORD + "!", client=HERE)
        assert isinstance(attempt(auth, PASSWORD + "!"), SignedIn)


def reset_token(auth, user_id="1"):
    services = auth._services
    return services.reset_links.make(services.users.get(user_id), services.account_states.account_state(user_id))


def test_lk4_all_spellings_of_an_address_share_one_count(door):
    auth, _ = door()
    spellings = [
        "Tanaka@example.com",
        " tanaka@EXAMPLE.com",
        "TANAKA@example.com ",
        "tanaka@example.com",
        "tanaka@Example.Com",
    ]
    answers = [attempt(auth, email=spelling) for spelling in spellings]
    assert answers[-1].detail == "lock_begun"


def test_pw2_an_unusable_password_counts_as_wrong_and_hashes_nothing(door):
    auth, spy = door()
    for text in ["", "x" * 129, "a\u0300" * 200_000, "", ""]:
        last = attempt(auth, text)
    assert last.detail == "lock_begun"
    assert spy.verified == []


def test_lk9_rubbish_addresses_lock_nobody_and_count_for_the_client_only(door):
    auth, spy = door(client_failures=10)
    for text in ["", "@", "no-address", "a" * 10_000, "x" * 300 + "@example.com"] * 2:
        assert attempt(auth, email=text) == Refused("invalid_credentials")
    assert reason(attempt(auth, email="")) == "too_many_attempts"
    assert isinstance(attempt(auth, PASSWORD, client=Client("192.0.2.2")), SignedIn)
    assert len(spy.verified) == 1


def test_lk10_lk14_the_limit_per_client_address_spans_accounts_and_no_success_clears_it(door):
    auth, _ = door(client_failures=10)
    for n in range(9):
        attempt(auth, email=f"nobody{n}@example.com")
        assert isinstance(attempt(auth, PASSWORD), SignedIn)
    attempt(auth, email="nobody9@example.com")
    assert reason(attempt(auth, PASSWORD)) == "too_many_attempts"
    assert isinstance(attempt(auth, PASSWORD, client=Client("192.0.2.2")), SignedIn)
    assert len(events(auth, "limited")) == 1


def test_lk14_ipv6_is_limited_by_its_64_and_mapped_ipv4_is_ipv4(door):
    auth, _ = door(client_failures=10)
    for n in range(10):
        attempt(auth, email=f"n{n}@example.com", client=Client(f"2001:db8:0:1::{n:x}"))
    assert reason(attempt(auth, PASSWORD, client=Client("2001:DB8:0:1:ffff::1"))) == "too_many_attempts"
    assert isinstance(attempt(auth, PASSWORD, client=Client("2001:db8:0:2::1")), SignedIn)
    for n in range(10):
        attempt(auth, email=f"m{n}@example.com", client=Client("::ffff:198.51.100.9"))
    assert reason(attempt(auth, PASSWORD, client=Client("198.51.100.9"))) == "too_many_attempts"


def test_without_a_client_address_there_is_no_shared_limit(door):
    auth, _ = door(client_failures=10)
    for n in range(30):
        attempt(auth, email=f"n{n}@example.com", client=Client(""))
    assert isinstance(attempt(auth, PASSWORD, client=Client("")), SignedIn)


def test_lk12_a_known_device_is_bound_neither_by_the_lock_nor_by_the_limit(door):
    auth, _ = door(client_failures=10)
    other = person(auth, "suzuki@example.com")
    device = attempt(auth, PASSWORD).device
    strange = attempt(auth, PASSWORD, email=other.email).device
    for n in range(3):
        refusals(auth, 5, email=f"n{n}@example.com")
    refusals(auth, 5, client=Client("198.51.100.1"))
    assert reason(attempt(auth, PASSWORD, client=Client("198.51.100.2"))) == "locked"
    assert reason(attempt(auth, PASSWORD, device=strange, client=Client("198.51.100.2"))) == "locked"
    assert reason(attempt(auth, PASSWORD, device=device[:-1] + "_", client=Client("198.51.100.2"))) == "locked"
    assert isinstance(attempt(auth, PASSWORD, device=device), SignedIn)


def test_lk12_lk13_a_known_device_has_a_lock_of_its_own(door):
    auth, _ = door()
    device, other = (attempt(auth, PASSWORD).device for _ in range(2))
    assert refusals(auth, 5, device=device)[-1].detail == "lock_begun"
    assert reason(attempt(auth, PASSWORD, device=device)) == "locked"
    for untouched in (None, other):
        assert isinstance(attempt(auth, PASSWORD, device=untouched), SignedIn)


def by_an_administrator(auth):
    auth.accounts.set_password("1", PASSWORD + "!")


def by_a_reset(auth):
    assert isinstance(reset_password(auth._services, reset_token(auth), PASSWORD + "!", client=HERE), Accepted)


@pytest.mark.parametrize("change", [by_an_administrator, by_a_reset])
def test_lk13_a_shared_tablet_is_known_to_each_of_its_people_until_their_password_changes(door, change):
    auth, _ = door()
    other = person(auth, "suzuki@example.com")
    device = attempt(auth, PASSWORD).device
    device = attempt(auth, PASSWORD, email=other.email, device=device).device
    refusals(auth, 5, client=Client("198.51.100.1"))
    refusals(auth, 5, email=other.email, client=Client("198.51.100.1"))
    for email in (other.email, "tanaka@example.com"):
        assert isinstance(attempt(auth, PASSWORD, email=email, device=device), SignedIn)
    change(auth)
    refusals(auth, 5, client=Client("198.51.100.1"))
    assert reason(attempt(auth, PASSWORD + "!", device=device)) == "locked"
    assert isinstance(attempt(auth, PASSWORD, email=other.email, device=device), SignedIn), "the other's goes on"


def test_lk13_an_unticked_box_makes_no_known_device(door):
    auth, _ = door()
    assert attempt(auth, PASSWORD, remember=False).device is None


def test_lk12_a_reset_by_mail_lifts_the_lock(door):
    auth, _ = door()
    refusals(auth, 5)
    assert reason(attempt(auth, PASSWORD)) == "locked"
    assert isinstance(reset_password(auth._services, reset_token(auth), PASSWORD + "!", client=HERE), Accepted)
    assert isinstance(attempt(auth, PASSWORD + "!"), SignedIn)


def test_lk12_a_lock_touches_no_live_session(door):
    auth, _ = door()
    session = attempt(auth, PASSWORD).session
    refusals(auth, 5)
    assert auth._services.sessions.find(session) is not None


def test_cl1_a_clock_set_back_lengthens_no_lock(door):
    auth, _ = door()
    with time_machine.travel(START, tick=False) as clock:
        refusals(auth, 5)
        clock.shift(timedelta(days=-1))
        assert attempt(auth, PASSWORD) == Refused("locked", 300)
        clock.shift(301)
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


def together(count, action):
    """Start `count` threads at one moment; what each returned."""
    barrier, results = threading.Barrier(count), []

    def run():
        barrier.wait()
        results.append(action())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Slow(SpyHasher):
    """Takes its time over a hash, as real ones do, so that all others are under way meanwhile."""

    def __init__(self, seconds):
        super().__init__(fast_hasher())
        self.seconds = seconds

    def verify(self, hash, password):
        threading.Event().wait(self.seconds)
        return super().verify(hash, password)


def test_lk7_fifty_parallel_wrong_passwords_reach_the_hasher_at_most_five_times(door):
    auth, spy = door(Slow(0.02))
    answers = together(50, lambda: attempt(auth))
    assert len(spy.verified) <= 5
    counted = Counter(reason(answer) for answer in answers)
    assert counted["invalid_credentials"] <= 5
    assert set(counted) <= {"invalid_credentials", "locked", "busy"}
    assert reason(attempt(auth, PASSWORD)) == "locked"
    assert len(events(auth, "locked")) == 1


def test_lk8_ten_parallel_right_passwords_all_get_in(door):
    auth, _ = door(Slow(0.005))
    refusals(auth, 4)
    answers = together(10, lambda: attempt(auth, PASSWORD))
    assert [type(answer) for answer in answers] == [SignedIn] * 10


def test_lk7_a_check_that_died_counts_as_a_wrong_password(door, monkeypatch):
    """Its password may have been verified: an attacker who ends processes would get more guesses otherwise."""
    monkeypatch.setattr(password_check, "_WAIT", 0.2)
    auth, spy = door()
    lockout = auth._services.lockout
    with time_machine.travel(START, tick=False) as clock:
        lockout.reserve(lockout.address("tanaka@example.com"), 0)
        clock.shift(11)
        refusals(auth, 3)
        assert isinstance(attempt(auth, PASSWORD), SignedIn), "one more may be checked, and clears the count"
        for _ in range(5):
            lockout.reserve(lockout.address("tanaka@example.com"), 0)
        assert attempt(auth, PASSWORD) == Refused("busy", 1)
        clock.shift(11)
        spy.verified.clear()
        assert attempt(auth).code == "locked"
        assert spy.verified == []
        clock.shift(301)
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


@pytest.mark.parametrize("limit", ["of the address", "of the client"])
def test_lk18_realms_of_one_store_share_the_counts(each_store, limit):
    """They share the accounts, so a realm of its own gives no further guesses, and an unlock lifts every lock."""
    spy = SpyHasher(fast_hasher())
    first, second = (middleware(store=each_store, hasher=spy, realm=realm) for realm in ("", "other"))
    person(first)
    spy.verified.clear()
    for number in range(120):
        email = f"a{number}@example.com" if limit == "of the client" else "tanaka@example.com"
        attempt((first, second)[number % 2], email=email)
    assert len(spy.verified) == (50 if limit == "of the client" else 5)
    if limit == "of the address":
        second.accounts.unlock("1")
        assert isinstance(attempt(first, PASSWORD), SignedIn)
