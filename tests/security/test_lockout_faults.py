"""The lock with wrong clocks, slow hashes and outages in between (rows RU6, RU7, RU23, RU32)."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from nipo_auth_mw import LockoutPolicy, StoreUnavailable
from nipo_auth_mw._credentials import hash_pool
from nipo_auth_mw._flows import password_check
from nipo_auth_mw._flows.advance import SignedIn
from nipo_auth_mw._flows.login import sign_in
from nipo_auth_mw._flows.password_reset import reset_password
from nipo_auth_mw._throttle import lockout as lockouts
from nipo_auth_mw._throttle.counters import OneByOne
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, middleware, person
from tests.kit import sign_in as enter
from tests.security.tools import ask, login

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HERE = Client("192.0.2.1", "test")
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as clock:
        yield clock


@pytest.fixture(params=["memory", "sqlite", "one by one"])
def store(request, tmp_path):
    """Counters of each kind; those of `limits` are read and removed one by one."""
    if request.param == "sqlite":
        store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
        store.create_schema()
        yield store
        store.close()
        return
    store = MemoryStore()
    if request.param == "one by one":
        own = store.counters
        store.counters = OneByOne(lambda: own)
    yield store


def door(store=None, **policy):
    spy = SpyHasher(fast_hasher())
    auth = middleware(store=store or MemoryStore(), hasher=spy, lockout=LockoutPolicy(**policy))
    person(auth)
    spy.verified.clear()
    return auth, spy


def attempt(auth, password=WRONG, email="tanaka@example.com", device=None):
    return sign_in(auth._services, email, password, remember=True, client=HERE, device_cookie=device)


# Clocks


@pytest.mark.parametrize("ahead", [2 * MINUTE, 3 * DAY, 740 * DAY])
def test_ru6_nothing_that_a_clock_ahead_wrote_lasts_longer_than_its_own_length(clock, ahead, tmp_path):
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    auth, _ = door(store, client_failures=10)
    clock.shift(ahead)
    for _ in range(5):
        attempt(auth)
    for number in range(5):
        attempt(auth, email=f"nobody{number}@example.com")
    assert ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"}).status == 429
    clock.move_to(START)
    assert attempt(auth, PASSWORD).retry_after <= 900
    clock.shift(901 * SECOND)
    assert isinstance(attempt(auth, PASSWORD), SignedIn)
    store.close()


@pytest.mark.parametrize("apart", [0.03, 0.2, 2.0, 45.0])
@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)
def test_ru6_machines_whose_clocks_differ_check_no_more_than_one_would(clock, store, apart):
    """One is behind: a fresh lock looks longer to it than a lock can be."""
    one, spy = door(store)
    two = middleware(store=store, hasher=spy)
    for _ in range(20):
        attempt(one)
        clock.shift(-timedelta(seconds=apart))
        attempt(two)
        clock.shift(timedelta(seconds=apart))
    assert len(spy.verified) == 5


def test_ru6_a_lock_ends_for_a_clock_that_is_behind_too(clock, tmp_path):
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    auth, _ = door(store)
    clock.shift(45 * SECOND)
    for _ in range(5):
        attempt(auth)
    clock.shift(-45 * SECOND)
    assert attempt(auth).retry_after == 300
    clock.shift(346 * SECOND)
    assert isinstance(attempt(auth, PASSWORD), SignedIn)
    store.close()


# Slow checks


class Held(SpyHasher):
    """A hasher whose checks wait until a test lets them go on."""

    def __init__(self):
        super().__init__(fast_hasher())
        self.inside, self.go_on = threading.Semaphore(0), threading.Event()
        self.held = False

    def verify(self, hash, password):
        if self.held:
            self.inside.release()
            self.go_on.wait(20)
        return super().verify(hash, password)


@pytest.mark.parametrize("step", [11, 120, 600])
def test_ru6_ru7_neither_a_slow_check_nor_a_stepped_clock_frees_its_slot(step, monkeypatch):
    monkeypatch.setattr(password_check, "_WAIT", 0.2)
    hasher = Held()
    with time_machine.travel(START, tick=False) as clock:
        auth = middleware(hasher=hasher, lockout=LockoutPolicy(failures=2))
        person(auth)
        auth._services.hashing.hash_pool.slots = 4
        auth._services.hashing.hash_pool._state._value = hash_pool._PoolState(4)
        hasher.held = True
        hasher.verified.clear()
        guesses = [threading.Thread(target=attempt, args=(auth,)) for _ in range(2)]
        for one in guesses:
            one.start()
        for _ in guesses:
            hasher.inside.acquire(timeout=10)
        clock.shift(step)
        assert attempt(auth).code == "locked"
        hasher.go_on.set()
        for one in guesses:
            one.join(10)
        assert len(hasher.verified) == 2


def test_ru7_the_result_of_a_check_that_stood_still_for_a_window_is_given_to_nobody(monkeypatch):
    auth, spy = door()
    real, moved = time.monotonic, [0.0]
    monkeypatch.setattr(lockouts.time, "monotonic", lambda: real() + moved[0])

    def frozen(hash, password):
        moved[0] += 900
        return spy.inner.verify(hash, password)

    monkeypatch.setattr(spy, "verify", frozen)
    assert attempt(auth, PASSWORD).code == "busy"
    assert attempt(auth).code == "busy"


def test_ru7_a_password_whose_failure_could_not_be_recorded_counts_as_wrong(clock, store, monkeypatch):
    """The outage begins after each check, and is over before the next: an attacker gets five guesses, not more."""
    monkeypatch.setattr(password_check, "_WAIT", 0.05)
    auth, spy = door(store)

    def unrecorded(slot):
        raise StoreUnavailable("the counters cannot be reached")

    monkeypatch.setattr(auth._services.lockout.__class__, "fail", lambda self, slot: unrecorded(slot))
    for _ in range(8):
        with suppress(StoreUnavailable):
            attempt(auth)
        clock.shift(11)
    assert len(spy.verified) == 5
    assert attempt(auth, PASSWORD).code == "locked"


@pytest.mark.parametrize("password", [WRONG, PASSWORD])
@pytest.mark.parametrize("nth", range(12))
@pytest.mark.parametrize("wrong_before", [0, 4])
def test_ru7_an_outage_at_any_statement_leaves_a_lock_or_a_free_slot(clock, wrong_before, nth, password, monkeypatch):
    monkeypatch.setattr(password_check, "_WAIT", 0.05)
    auth, spy = door()
    for _ in range(wrong_before):
        attempt(auth)
    counters, calls = auth._services.counters, []

    def failing(real):
        def call(*given):
            calls.append(real)
            if len(calls) == nth + 1:
                raise StoreUnavailable("the counters cannot be reached")
            return real(*given)

        return call

    whole = {name: getattr(counters, name) for name in ("incr", "add", "read", "end", "remove")}
    for name, real in whole.items():
        setattr(counters, name, failing(real))
    with suppress(StoreUnavailable):
        attempt(auth, password)
    for name, real in whole.items():
        setattr(counters, name, real)
    clock.shift(11)
    spy.verified.clear()
    after = attempt(auth, PASSWORD)
    assert isinstance(after, SignedIn) or after.code == "locked"
    clock.shift(301)
    assert isinstance(attempt(auth, PASSWORD), SignedIn)


# Unlocking


def test_ru23_an_unlock_lifts_the_lock_of_a_known_device(store):
    auth, _ = door(store, failures=3, permanent_after=3)
    device = attempt(auth, PASSWORD).device
    for _ in range(3):
        attempt(auth, device=device)
    assert attempt(auth, PASSWORD, device=device).code == "locked"
    boss = person(auth, "kanri@example.com", role="admin")
    staff = browser(auth)
    enter(staff, boss.email)
    page = staff.get("/-/auth/staff/1")
    assert any(form.startswith("staff-unlock") for form in page.forms if isinstance(form, str))
    staff.post("/-/auth/staff/1/unlock", {}, status=303)
    assert isinstance(attempt(auth, PASSWORD, device=device), SignedIn)
    assert not auth._services.lockout.device_locked("1")


@pytest.mark.parametrize("sets", ["a link", "an administrator"])
def test_ru32_a_new_password_lifts_the_lock_of_a_known_device(store, sets):
    auth, _ = door(store, failures=3, permanent_after=3)
    device = attempt(auth, PASSWORD).device
    for _ in range(3):
        attempt(auth, device=device)
    assert attempt(auth, PASSWORD, device=device).code == "locked"
    if sets == "a link":
        services = auth._services
        token = services.reset_links.make(services.users.get("1"), services.account_states.account_state("1"))
        device = reset_password(services, token, PASSWORD + "!", client=HERE, device_cookie=device).device
    else:
        auth.accounts.set_password("1", PASSWORD + "!")
        device = attempt(auth, PASSWORD + "!", device=device).device
    assert isinstance(attempt(auth, PASSWORD + "!", device=device), SignedIn)


def test_ru23_an_unlock_does_not_end_what_a_device_is_known_by(store):
    auth, _ = door(store)
    device = attempt(auth, PASSWORD).device
    auth.accounts.unlock("1")
    for _ in range(5):
        login(auth, password=WRONG)
    assert isinstance(attempt(auth, PASSWORD, device=device), SignedIn)


def test_ru7_a_slow_server_of_counters_holds_up_no_writer_of_the_store(tmp_path):
    """It is asked to clear the count after the transaction; then an outage of it undoes no sign-in."""
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    auth, _ = door(store)
    own, seen = store.counters, []
    counters = OneByOne(lambda: own)
    for user in (auth._services.lockout, auth._services.client_limit, auth._services.quotas):
        user._counters = counters

    def end(*given):
        seen.append(store._db.in_transaction)
        raise StoreUnavailable("the counters cannot be reached")

    counters.end = end
    assert isinstance(attempt(auth, PASSWORD), SignedIn)
    assert seen == [False]
    store.close()
