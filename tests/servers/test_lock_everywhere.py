"""The promises of the lock on every storage of counters, with two middleware objects that share it."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw._flows import password_check
from nipo_auth_mw._flows.advance import SignedIn
from nipo_auth_mw._flows.login import sign_in
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_reset import reset_password
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests._services import database
from tests.kit import PASSWORD, WRONG, SpyHasher, events, middleware, person

EMAIL = "tanaka@example.com"


@pytest.fixture(params=["memory", "sqlite", "postgres", "mariadb", "redis"])
def stored(request, tmp_path):
    """A store, and where the counters are."""
    if request.param == "memory":
        yield MemoryStore(), "store"
    elif request.param in {"postgres", "mariadb"}:
        with database(request.param, "lock") as url, opened(url) as store:
            yield store, "store"
    else:
        counters = request.getfixturevalue("redis_uri") if request.param == "redis" else "store"
        with opened(f"sqlite:///{tmp_path / 'auth.db'}") as store:
            yield store, counters


class opened:
    def __init__(self, url):
        self.store = SQLStore(url)

    def __enter__(self):
        self.store.create_schema()
        return self.store

    def __exit__(self, *problem):
        self.store.close()


class House:
    """Two middleware objects, one spy on what reaches their hasher, one account."""

    def __init__(self, store, counters, **policy):
        self.spy = SpyHasher(fast_hasher())
        lockout = LockoutPolicy(storage=counters, **{"client_failures": 1000, **policy})
        self.doors = [middleware(store=store, hasher=self.spy, lockout=lockout) for _ in range(2)]
        self.user = person(self.doors[0])
        self.spy.verified.clear()
        self.write_lock = 0

    def attempt(self, password=WRONG, email=EMAIL, address="192.0.2.1", device=None):
        self.write_lock += 1
        services = self.doors[self.write_lock % 2]._services
        return sign_in(services, email, password, remember=True, client=Client(address), device_cookie=device)

    def together(self, *passwords, emails=None):
        """One attempt for each, begun at the same moment."""
        barrier = threading.Barrier(len(passwords))

        def run(password, email):
            barrier.wait()
            return self.attempt(password, email)

        with ThreadPoolExecutor(len(passwords)) as pool:
            return list(pool.map(run, passwords, emails or [EMAIL] * len(passwords)))

    def killed(self, email):
        """An attempt of a process that is killed while it verifies the password."""
        child = os.fork()
        if child == 0:
            self.spy.verify = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
            self.attempt(email=email)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.fixture
def house(stored):
    return lambda **policy: House(*stored, **policy)


def test_lk7_of_thirty_wrong_passwords_at_once_five_are_looked_at_and_one_begins_the_lock(house):
    it = house()
    outcomes = it.together(*[WRONG] * 30)
    assert 1 <= len(it.spy.verified) <= 5
    assert sum(outcome.detail == "lock_begun" for outcome in outcomes) <= 1
    assert {outcome.code for outcome in outcomes} <= {"invalid_credentials", "locked", "busy"}
    while (last := it.attempt()).detail != "lock_begun" and last.code != "locked":
        pass
    assert len(it.spy.verified) == 5
    assert len(events(it.doors[0], "locked")) == 1


def test_lk8_ten_right_passwords_at_once_all_get_in(house):
    outcomes = house().together(*[PASSWORD] * 10)
    assert [type(outcome) for outcome in outcomes] == [SignedIn] * 10


def test_lk7_right_ones_among_the_wrong_give_the_wrong_no_more_looks(house):
    it = house()
    outcomes = it.together(*[WRONG] * 20, *[PASSWORD] * 2)
    inside = sum(isinstance(outcome, SignedIn) for outcome in outcomes)
    # Each right one clears the count, as it may; between two of them no more than five are looked at.
    assert len(it.spy.verified) - inside <= 5 * (inside + 1)


def test_lk2_a_lock_looks_at_nothing_and_treats_right_and_wrong_alike(house):
    it = house()
    waits = [it.attempt().retry_after for _ in range(5)]
    assert waits == [None] * 4 + [300]
    it.spy.verified.clear()
    outcomes = it.together(*[PASSWORD] * 5, *[WRONG] * 5)
    assert {outcome.code for outcome in outcomes} == {"locked"}
    assert max(outcome.retry_after for outcome in outcomes) - min(outcome.retry_after for outcome in outcomes) <= 1
    assert it.spy.verified == []


@pytest.mark.parametrize("how", ["a right password", "a reset by mail", "an administrator"])
def test_lk1_count_and_lock_are_cleared_by(house, how):
    it = house()
    wrong = 4 if how == "a right password" else 5
    for _ in range(wrong):
        it.attempt()
    password = PASSWORD
    if how == "an administrator":
        it.doors[1].accounts.unlock(it.user.id)
    elif how == "a reset by mail":
        services, password = it.doors[1]._services, "midori-no-oka-to-kaze"
        account = services.users.get(it.user.id)
        token = services.reset_links.make(account, services.account_states.account_state(account.id))
        reset_password(services, token, password, client=Client("192.0.2.1"))
    assert isinstance(it.attempt(password), SignedIn)
    assert [it.attempt().detail == "lock_begun" for _ in range(4)] == [False] * 4, "the count began afresh"


def test_lk12_a_known_device_is_bound_neither_by_the_lock_nor_by_the_limit(house):
    it = house(client_failures=5)
    device = it.attempt(PASSWORD).device
    for _ in range(5):
        it.attempt()
    assert it.attempt(PASSWORD).code == "too_many_attempts"
    assert it.attempt(PASSWORD, address="198.51.100.1").code == "locked"
    assert isinstance(it.attempt(PASSWORD, device=device), SignedIn)


def test_lk13_a_known_device_has_a_lock_of_its_own(house):
    it = house()
    device = it.attempt(PASSWORD).device
    assert [it.attempt(device=device).detail == "lock_begun" for _ in range(5)] == [False] * 4 + [True]
    assert it.attempt(PASSWORD, device=device).code == "locked"
    assert isinstance(it.attempt(PASSWORD), SignedIn)


def test_lk10_a_success_never_clears_the_limit_of_a_client_address(house):
    it = house(client_failures=6)
    for number in range(3):
        assert isinstance(it.attempt(email=f"nobody{number}@example.com"), Refused)
    assert isinstance(it.attempt(PASSWORD), SignedIn)
    seen = Counter(it.attempt(email=f"nobody{number}@example.com").code for number in range(3, 9))
    assert seen == {"invalid_credentials": 3, "too_many_attempts": 3}


def nobodies(many):
    return [f"nobody{number}@example.com" for number in range(many)]


def test_lk17_of_thirty_wrong_passwords_at_once_for_as_many_addresses_five_are_looked_at(house):
    it = house(client_failures=5)
    outcomes = it.together(*[WRONG] * 30, emails=nobodies(30))
    assert {outcome.code for outcome in outcomes} <= {"invalid_credentials", "too_many_attempts", "busy"}
    assert len(it.spy.verified) == 5
    assert it.attempt(PASSWORD).code == "too_many_attempts"
    assert len(events(it.doors[0], "limited")) == 1


def test_lk17_right_passwords_at_once_of_more_users_than_the_limit_all_get_in(house):
    it = house(client_failures=5)
    people = [person(it.doors[0], email).email for email in nobodies(12)]
    outcomes = it.together(*[PASSWORD] * 12, emails=people)
    assert [type(outcome) for outcome in outcomes] == [SignedIn] * 12
    assert [it.attempt(email=email).code for email in people[:6]] == ["invalid_credentials"] * 5 + ["too_many_attempts"]


# The counters of memory end with their process.
@pytest.mark.parametrize("stored", ["sqlite", "postgres", "mariadb", "redis"], indirect=True)
def test_lk17_a_check_that_was_killed_counts_for_its_client_as_a_failure(house, stored, monkeypatch):
    monkeypatch.setattr(password_check, "_WAIT", 0.1)
    it = house(client_failures=5)
    assert all(it.killed(email) for email in nobodies(4))
    assert isinstance(it.attempt(PASSWORD), SignedIn)
    assert it.killed("nobody4@example.com")
    refused = it.attempt(PASSWORD)
    assert refused.code == "too_many_attempts"
    assert 0 < refused.retry_after <= 900


def test_counters_are_raised_and_ended_together(stored):
    counters = House(*stored).doors[0]._services.counters
    assert counters.add({"a": (1, 60), "b": (7, 60)}) == {"a": 1, "b": 7}
    assert counters.add({"b": (2, 60), "a": (1, 60)}) == {"b": 9, "a": 2}
    counters.end(["a", "never"], {"b": 60})
    assert {name: count for name, (count, _) in counters.read({"a": 60, "b": 60, "never": 60}).items()} == {"b": 8}
    assert counters.add({"a": (1, 60)}) == {"a": 1}
    counters.end([], {})
    assert counters.get("a") == 1
