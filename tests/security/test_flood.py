"""Rows BD2, PW14, PW15, LK14, LK15, PG2: what a flood may take, counted rather than timed.

`benchmarks.flood` prints the figures of the real thing.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import _lru_cache_wrapper
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from nipo_auth_mw._credentials.hash_pool import HashPool
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw.stores import _schema as schema
from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, WRONG, SpyHasher, events, middleware, person
from tests.security.tools import FORM, ask, login

START = 1_800_000_000
CAP = 64 * 1024


class Counting(io.RawIOBase):
    """A body of 100 MB that exists nowhere; it counts what is read of it."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        self.taken += size
        return b"a" * size


@pytest.fixture
def spy():
    return SpyHasher(fast_hasher())


@pytest.fixture
def auth(store, spy):
    auth = middleware(store=store, hasher=spy)
    person(auth)
    spy.verified.clear()
    return auth


def counters(auth) -> int:
    count = sa.select(sa.func.count()).select_from(schema.counter)
    return auth._services.session_store._db.ask(lambda connection: connection.execute(count).scalar())


@pytest.mark.parametrize("kind", [FORM, "application/json"])
@pytest.mark.parametrize("route", ["login", "forgot", "logout", "language", "reset/x", "account/password"])
def test_bd2_of_a_body_of_100_mb_nothing_beyond_the_cap_is_read(auth, route, kind):
    body = Counting()
    answer = ask(auth, "POST", f"/-/auth/{route}", CONTENT_TYPE=kind, CONTENT_LENGTH=str(10**8), **{"wsgi.input": body})
    assert body.taken <= CAP + 1
    assert answer.status in {401, 404, 413}


def test_pw14_a_password_of_10_mb_is_not_hashed(auth, spy):
    for password, status in (("x" * 10_000_000, 413), ("é" * 5_000_000, 413), ("x" * 60_000, 401), ("x" * 129, 401)):
        assert login(auth, "nobody@example.com", password).status == status
        assert (
            ask(auth, "POST", "/-/auth/login", data={"email": "x@example.com", "password": password}).status == status
        )
    assert spy.verified == []


def test_lk14_lk15_three_hundred_addresses_from_one_client_leave_what_its_limit_lets(auth, spy):
    limit = auth.config.lockout.client_failures
    with time_machine.travel(START, tick=False):
        for number in range(300):
            answer = login(auth, f"nobody{number}@example.com", WRONG)
        assert answer.status == 429
        assert len(spy.verified) == limit
        # Two for each address: its failure, and its slot, whose reservation ends after ten seconds.
        assert counters(auth) <= 2 * limit + 1
        assert len(events(auth, "sign_in_failed")) == limit
        assert len(events(auth)) <= limit + 5


def test_lk15_rows_of_many_clients_are_gone_after_the_window(auth):
    def wave(start: int, many: int) -> int:
        for number in range(start, start + many):
            client = f"10.0.{number >> 8}.{number & 255}"
            login(auth, f"nobody{number}@example.com", WRONG, REMOTE_ADDR=client)
        return counters(auth)

    with time_machine.travel(START, tick=False) as clock:
        first = wave(0, 300)
        assert 300 <= first <= 2 * 300 + 512
        clock.shift(timedelta(minutes=15, seconds=1))
        assert wave(300, 300) <= first + 512
        clock.shift(timedelta(minutes=15, seconds=1))
        assert wave(600, 100) <= 512


def caches() -> Iterator[_lru_cache_wrapper[Any]]:
    """Every cache of ours that is filled by calls."""
    # What was there before the first test is not listed otherwise.
    gc.unfreeze()
    for thing in gc.get_objects():
        if type(thing) is _lru_cache_wrapper and str(thing.__module__).startswith("nipo_auth_mw"):
            yield thing


def test_pg2_no_cache_grows_with_what_a_sender_makes_up(auth):
    def odd(number: int) -> None:
        word = f"x{number:06}"
        headers = {
            "HTTP_ACCEPT_LANGUAGE": f"{word}-{word};q=0.5",
            "HTTP_USER_AGENT": word * 20,
            "HTTP_ACCEPT": f"text/html;{word}",
            "HTTP_HOST": f"{word}.localhost",
        }
        ask(auth, path="/-/auth/login", query=f"next=/{word}", cookie=f"nipo_auth={word}; nipo_lang={word}", **headers)
        ask(auth, path=f"/-/auth/{word}", **headers)
        ask(auth, path=f"/-/auth/reset/{word}", **headers)

    def entries() -> int:
        queries = len(auth._services.session_store._db._queries)
        return queries + sum(cache.cache_info().currsize for cache in caches())

    for number in range(20):
        odd(number)
    before = entries()
    for number in range(20, 220):
        odd(number)
    # Another test's middleware may be collected meanwhile, with what it has cached.
    assert entries() <= before
    assert len(auth._services.sessions._last_seen.unwritten_keys()) == 0


def test_pg2_every_cache_is_bounded_or_keyed_by_us():
    # `_newest` is keyed by which filters are given, not by what they say; `_let_other_greenlets_run` by nothing.
    unbounded = {cache.__name__ for cache in caches() if cache.cache_info().maxsize is None}
    assert {"_newest"} <= unbounded <= {"_newest", "_let_other_greenlets_run"}


def test_pw15_hashes_are_made_on_as_many_threads_as_there_are_slots():
    """glibc keeps what a hash took for its thread: on hundreds of a server's own that would be 19 MiB each."""
    pool, seen = HashPool(2), set()
    with ThreadPoolExecutor(40) as server:
        for _ in server.map(lambda _: pool.run(lambda: seen.add(threading.get_ident())), range(200)):
            pass
    assert 1 <= len(seen) <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are of whole processes here")
def test_pw15_pages_go_before_hashes():
    def priority():
        return os.getpriority(os.PRIO_PROCESS, 0)

    before = priority()
    with ThreadPoolExecutor(1) as server:
        assert server.submit(HashPool(1).run, priority).result() == 10
    assert priority() == before, "of the thread that asks nothing changes"


def test_pw15_a_sign_in_hashes_on_such_a_thread(tmp_path):
    threads = []

    class Where(SpyHasher):
        def verify(self, hash, password):
            threads.append(threading.current_thread().name)
            return super().verify(hash, password)

    auth = middleware(hasher=Where(fast_hasher()))
    person(auth)
    with ThreadPoolExecutor(1, "server") as server:
        assert server.submit(login, auth, password=PASSWORD).result().status == 303
        assert server.submit(login, auth, password=WRONG).result().status == 401
    assert len(threads) == 2
    assert all(name.startswith("nipo_auth_mw hash") for name in threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_ws6_a_child_has_slots_and_threads_of_its_own():
    pool = HashPool(1)

    def check(_):
        with pool.queue(5), pool.slot(time.monotonic() + 5):
            return pool.run(lambda: 7)

    def all_in_threads():
        with ThreadPoolExecutor(2) as server:
            return list(server.map(check, range(4)))

    assert all_in_threads() == [7] * 4
    with pool.queue(5), pool.slot(time.monotonic()), pool._state.get().lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # whatever of the parent's it waits for, it waits for ever
            os._exit(0 if all_in_threads() == [7] * 4 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert all_in_threads() == [7] * 4


def test_ws6_what_each_process_has_one_of_is_made_once_however_many_ask():
    made, second = [], threading.Barrier(2)

    def make():
        with contextlib.suppress(threading.BrokenBarrierError):
            second.wait(0.2)  # for another that is made meanwhile
        made.append(object())
        return made[-1]

    owned = PerProcess(make)
    with ThreadPoolExecutor(8) as server:
        assert list(server.map(lambda _: owned.get(), range(8))) == made * 8
