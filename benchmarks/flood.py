"""Whether floods stay bounded: `python -m benchmarks.flood [--quick] [--threads 600]`.

* 500 sign-ins at once with real hashes, each from a client address of its own, while signed-in users request pages.
  gunicorn serves both on loopback, with one worker of `--threads` threads; a thread that waits for its hash is not free
  for a page. Each round is compared with the rate of pages in the calm rounds before and after it.
* Bodies of 100 MB and passwords of 10 MB, in this process and over the wire.
* A million addresses from one client address, without HTTP, on MemoryStore; a tenth of that on SQLite. A hundredth,
  each from a client address of its own, with the clock moved past the window in between.
* 10,000 odd values of Accept-Language.

Prints each figure beside its bound and exits 1 when one is over. `--quick` runs a tenth. Reads Linux's /proc.
"""

from __future__ import annotations

import argparse
import http.client
import io
import itertools
import os
import random
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import sqlalchemy as sa

from benchmarks import served
from benchmarks.request import Answer, environ
from benchmarks.spies import SpyHasher
from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw._credentials.hashing import MEMORY_KIB
from nipo_auth_mw._flows.login import admit, sign_in
from nipo_auth_mw._web.body import MOST_BYTES
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.stores import _schema as schema
from nipo_auth_mw.testing import MemoryStore, fast_hasher, in_memory

MIB = 2**20
WRONG = "akai-yama-to-kuroi-kawa"
_FORM = "application/x-www-form-urlencoded"


class Report:
    """Prints each figure beside its bound."""

    def __init__(self) -> None:
        self.over = 0

    def most(self, name: str, value: float, bound: float, unit: str = "") -> None:
        """Report a figure that must not exceed the bound."""
        self._line(name, value, f"at most {bound:,.10g}", unit, value <= bound)

    def least(self, name: str, value: float, bound: float, unit: str = "") -> None:
        """Report a figure that must reach the bound."""
        self._line(name, value, f"at least {bound:,.10g}", unit, value >= bound)

    def _line(self, name: str, value: float, bound: str, unit: str, fits: bool) -> None:
        """Print one figure, and count it if it misses its bound."""
        self.over += not fits
        print(f"{'ok  ' if fits else 'OVER'} {name:58} {value:12,.5g} {unit:5} {bound}", flush=True)


class Memory:
    """The memory of a process by its /proc, in MiB since the last `mark`."""

    def __init__(self, pid: int | str = "self") -> None:
        self._proc = Path(f"/proc/{pid}")
        self.mark()

    def mark(self) -> None:
        """Start to measure anew."""
        (self._proc / "clear_refs").write_text("5")  # resets the peak, VmHWM
        self._before = self._read("VmRSS")

    @property
    def grown(self) -> float:
        """By how many MiB the peak exceeds the memory at the last `mark`."""
        return (self._read("VmHWM") - self._before) / 1024

    def _read(self, name: str) -> int:
        """One figure of /proc, in KiB."""
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


# 500 sign-ins at once


@contextmanager
def gunicorn(folder: Path, threads: int) -> Iterator[int]:
    """Run gunicorn with one worker; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--threads", str(threads), "-b", f"127.0.0.1:{port}"]
    command += ["--worker-connections", "2000", "--log-level", "error", "benchmarks.served:application()"]
    environment = os.environ | {served.FOLDER: str(folder)}
    # On a slow machine the server's log would be a flood too.
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            yield port
        finally:
            server.terminate()


class Renderer:
    """Signed-in users who request one page after the other, on connections that stay open."""

    def __init__(self, port: int, cookie: str, people: int = 2) -> None:
        self.asked = 0
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port, cookie)) for _ in range(people)]
        for thread in self._threads:
            thread.start()

    def _ask(self, port: int, cookie: str) -> None:
        """Request pages until the end."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not self._ends.is_set():
            connection.request("GET", "/page", headers={"Cookie": cookie})
            answer = connection.getresponse()
            if not answer.read().startswith(b"1 "):
                sys.exit(f"not measured: a signed-in page answered {answer.status}")
            self.asked += 1
        connection.close()

    @contextmanager
    def counted(self, rates: list[float]) -> Iterator[None]:
        """Append the pages a second within the `with` statement."""
        before, started = self.asked, time.perf_counter()
        yield
        rates.append((self.asked - before) / (time.perf_counter() - started))

    def end(self) -> None:
        """Stop the users."""
        self._ends.set()
        for thread in self._threads:
            thread.join()


def sign_ins_at_once(port: int, numbers: range, password: str = WRONG) -> Counter[int]:
    """Send wrong passwords of so many addresses from as many client addresses at once; counts the statuses."""
    statuses: Counter[int] = Counter()
    with selectors.DefaultSelector() as waiting:
        for number in numbers:
            body = urlencode({"email": f"nobody{number}@example.com", "password": password})
            connection = socket.create_connection(("127.0.0.1", port), 60)
            connection.sendall(
                f"POST /-/auth/login HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {_client(number)}\r\n"
                f"Content-Type: {_FORM}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
            )
            waiting.register(connection, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select(60):
                connection = key.fileobj  # type: ignore[assignment]
                statuses[int(connection.recv(65536)[9:12] or b"0")] += 1
                waiting.unregister(connection)
                connection.close()
    return statuses


def flood_of_sign_ins(report: Report, folder: Path, many: int, threads: int, rounds: int) -> None:
    """Measure memory and the rate of signed-in pages during a flood of sign-ins."""
    auth = served.middleware(folder)
    user = auth.accounts.create(email="tanaka@example.com", password="aoi-umi-to-shiroi-kumo")
    account = auth._services.users.get(user.id)
    assert account is not None
    cookie = admit(auth._services, account, client=Client("127.0.0.1", "benchmark"))
    header = f"{auth._web.session_cookie.name}={cookie}"
    waves, statuses = (range(start, start + many) for start in itertools.count(0, many)), Counter[int]()
    calm: list[float] = []
    flooded: list[float] = []
    # The flood comes from another process: in this one it would delay the users who request pages, not the server.
    with gunicorn(folder, threads) as port, ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
        memory = Memory(_pid_of_worker(port, header))
        elsewhere.submit(sign_ins_at_once, port, next(waves)[:5]).result()
        # The same with a password that is too long to be hashed, so that the memory of the server's threads for
        # connections does not count as memory of the hashes.
        for _ in range(3):
            elsewhere.submit(sign_ins_at_once, port, next(waves), "x" * 200).result()
        _bodies_over_the_wire(report, port, memory)
        pages, grown = Renderer(port, header), 0.0
        for _ in range(rounds):
            with pages.counted(calm):
                time.sleep(2)
            memory.mark()
            with pages.counted(flooded):
                statuses += elsewhere.submit(sign_ins_at_once, port, next(waves)).result()
            grown = max(grown, memory.grown)
        with pages.counted(calm):
            time.sleep(2)
        slots = auth._services.hashing.hash_pool.slots
        report.most(f"memory of {many} sign-ins at once", grown, slots * MEMORY_KIB / 1024 + 30, "MiB")
        pages.end()
    print(f"     answers: {dict(statuses)}; pages a second: {_shown(calm)} calm, {_shown(flooded)} in the flood")
    ratios = [2 * rate / (calm[n] + calm[n + 1]) for n, rate in enumerate(flooded)]
    report.least("rate of signed-in pages meanwhile", 100 * statistics.median(ratios), 50, "%")
    report.most("answers to it except 401 and 503", sum(statuses.values()) - statuses[401] - statuses[503], 0)
    auth._services.session_store.close()  # type: ignore[attr-defined]


def _pid_of_worker(port: int, header: str) -> str:
    """The process id of the worker, once the server answers."""
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/page", headers={"Cookie": header})
            return connection.getresponse().read().decode().split()[1]
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit("not measured: the server did not start")


def _shown(rates: list[float]) -> str:
    """The rates as one text."""
    return "/".join(f"{rate:.0f}" for rate in rates)


def _client(number: int) -> str:
    """The client address with this number."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


# Bodies and passwords


def _bodies_over_the_wire(report: Report, port: int, memory: Memory, size: int = 100 * MIB) -> None:
    """Send bodies of 100 MB to the server."""
    memory.mark()
    statuses = Counter[int]()
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", port), 60)
        head = (
            f"POST /-/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: {_FORM}\r\nContent-Length: {size}\r\n\r\n"
        )
        connection.sendall(head.encode())
        try:
            for _ in range(size // MIB):
                connection.sendall(b"a" * MIB)
        except OSError:
            pass  # refused before all of it was sent
        try:
            statuses[int(connection.recv(65536)[9:12] or b"0")] += 1
        except OSError:
            statuses[413] += 1  # the connection was reset, and the answer was lost
        connection.close()
    report.most("answers to bodies of 100 MB over the wire except 413", 3 - statuses[413], 0)
    report.most("memory of bodies of 100 MB over the wire", memory.grown, 5, "MiB")


class Endless(io.RawIOBase):
    """A body without end that counts how much of it is read."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        if size < 0:
            sys.exit("a body was read to its end, which never comes")
        self.taken += size
        return b"a" * size


def big_bodies(report: Report, many: int) -> None:
    """Send bodies of 100 MB to every form, in this process."""
    auth = AuthMiddleware(served.page, **in_memory())
    memory, body, statuses = Memory(), Endless(), Counter[str]()
    for route in ("login", "forgot", "logout", "language") * many:
        for kind in (_FORM, "application/json"):
            request = environ(f"/-/auth/{route}") | {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind}
            request |= {"CONTENT_LENGTH": str(100 * MIB), "wsgi.input": body}
            statuses[status_of(auth, request)] += 1
    report.most("bytes read of each body of 100 MB", body.taken / statuses.total(), MOST_BYTES + 1)
    report.most("answers to bodies of 100 MB except 413", statuses.total() - statuses["413"], 0)
    report.most("memory of bodies of 100 MB", memory.grown, 5, "MiB")


def big_passwords(report: Report) -> None:
    """Send passwords of 10 MB."""
    hasher = SpyHasher(fast_hasher())
    auth = AuthMiddleware(served.page, **{**in_memory(), "hasher": hasher})
    hasher.asked.clear()
    statuses: Counter[str] = Counter()
    for password in ("x" * 10_000_000, "é" * 5_000_000, "x" * 60_000, "x" * 129):
        body = urlencode({"email": "tanaka@example.com", "password": password}).encode()
        statuses[status_of(auth, environ("/-/auth/login", body=body) | {"wsgi.input": io.BytesIO(body)})] += 1
    report.most("hashes of passwords of 10 MB, and of 129 characters", len(hasher.asked), 0)
    report.most("answers to them except 413 and 401", statuses.total() - statuses["413"] - statuses["401"], 0)


def status_of(auth: AuthMiddleware, request: dict[str, Any]) -> str:
    """The status of the answer to a request."""
    answer = Answer()
    answer.of(auth, request)
    return answer.status[:3]


# Addresses


class Counted:
    """A middleware, the row counts of its store, and a clock that stands still."""

    def __init__(self, store: SQLStore | MemoryStore) -> None:
        self.store = store
        self.auth = AuthMiddleware(served.page, **{**in_memory(), "store": store})
        self.now = time.time()
        self.outcomes: Counter[str] = Counter()

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Let the package read this clock within the `with` statement."""
        with mock.patch.object(time, "time", self.time):
            yield

    def time(self) -> float:
        """The time of this clock."""
        return self.now

    def attempt(self, email: str, client: str) -> None:
        """Sign in with a wrong password, as the view does."""
        outcome = sign_in(self.auth._services, email, WRONG, remember=True, client=Client(client, "benchmark"))
        self.outcomes[str(getattr(outcome, "reason", "signed in"))] += 1

    @property
    def counters(self) -> int:
        """How many rows the counters have."""
        return len(self.store.counters._rows) if isinstance(self.store, MemoryStore) else self._rows(schema.counter)

    @property
    def history(self) -> int:
        """How many rows the audit log has."""
        return len(self.store._events) if isinstance(self.store, MemoryStore) else self._rows(schema.event)

    def _rows(self, table: sa.Table) -> int:
        """How many rows a table has."""
        assert isinstance(self.store, SQLStore)
        return int(self.store._db.read(sa.select(sa.func.count()).select_from(table))[0][0])


def addresses(report: Report, folder: Path, many: int) -> None:
    """Measure floods of addresses on both stores."""
    in_memory = Counted(MemoryStore())
    with in_memory.clock():
        one_client(report, in_memory, many)
    store = SQLStore(f"sqlite:///{folder / 'addresses.db'}")
    store.create_schema()
    on_file = Counted(store)
    with on_file.clock():
        one_client(report, on_file, many // 10)
        many_clients(report, on_file, many // 100)
    store.close()


def one_client(report: Report, house: Counted, many: int) -> None:
    """Many addresses from one client address."""
    for number in range(1000):
        house.attempt(f"somebody{number}@example.com", "192.0.2.1")
    memory, started = Memory(), time.perf_counter()
    for number in range(many):
        house.attempt(f"nobody{number}@example.com", "192.0.2.2")
    took, kind = time.perf_counter() - started, type(house.store).__name__
    print(f"     {many:,} addresses from one client address on {kind} in {took:.0f} s: {dict(house.outcomes)}")
    # Two clients have reached the client limit. Each wrong password has one counter, and so has each client.
    bound = 3 * (house.auth.config.lockout.client_failures + 1)
    report.most("rows of counters of both clients", house.counters, bound)
    report.most("rows of the audit log of both clients", house.history, bound)
    report.most("memory of these addresses", memory.grown, 10, "MiB")


def many_clients(report: Report, house: Counted, many: int) -> None:
    """Many addresses, each from a client address of its own."""
    memory, window = Memory(), house.auth.config.lockout.window.total_seconds()
    house.now += window + 1
    wave = []
    for start in (0, many):
        before = house.history
        for number in range(start, start + many):
            house.attempt(f"p{number}@example.com", _client(number))
        wave.append(house.counters)
        report.most(f"rows of the audit log of {many:,} clients, one each", house.history - before, many)
        house.now += window + 1
    report.most(f"rows of counters of {many:,} clients, three each", wave[0], 3 * many + 512)
    report.most("the same after another wave, a window later", wave[1], 3 * many + 512)
    for number in range(300):
        house.attempt(f"later{number}@example.com", _client(number))
    report.most("rows of counters a window later, after 300 attempts", house.counters, 3 * 300 + 512)
    report.most("memory of these clients", memory.grown, 10, "MiB")


# Languages


def languages(report: Report, many: int) -> None:
    """Many values of Accept-Language."""
    auth, numbers = AuthMiddleware(served.page, **in_memory()), random.Random(1)

    def wish(number: int) -> None:
        tags = [f"{numbers.choice('xyz')}{numbers.randrange(10**9)}-{number};q=0.{number % 10}" for _ in range(20)]
        answer = status_of(auth, environ("/-/auth/login") | {"HTTP_ACCEPT_LANGUAGE": ",".join(tags)})
        if answer != "200":
            sys.exit(f"not measured: the sign-in page answered {answer}")

    for number in range(500):
        wish(-number)
    memory = Memory()
    for number in range(many):
        wish(number)
    report.most(f"memory of {many:,} values of Accept-Language", memory.grown, 5, "MiB")


def main() -> int:
    """Run all floods. Returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--threads", type=int, default=600)
    given = options.parse_args()
    share = 10 if given.quick else 1
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        big_bodies(report, 50 // share)
        big_passwords(report)
        languages(report, 10_000 // share)
        addresses(report, Path(name), 1_000_000 // share)
        flood_of_sign_ins(report, Path(name), 500 // share, given.threads, rounds=1 if given.quick else 3)
    return 1 if report.over else 0


if __name__ == "__main__":
    sys.exit(main())
