"""A bounded set of database connections for one process, each lent for one statement or one transaction."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw._runtime.per_process import PerProcess, at_fork
from nipo_auth_mw.errors import DatabaseUnavailable

WAIT_SECONDS = 2.0
"""How long a request waits for a connection that is lent to others."""
_LOCK_SECONDS = 5.0
_FORK_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_MAX_AGE = 300.0
"""Seconds until a connection is replaced. After a switch-over, an old one may still read from the former primary."""


class WriteLock:
    """Admits one writer of this process at a time. SQLite admits one in any case, and its waiting writers sleep and try
    again, which is slower and less fair than this queue."""

    def __init__(self) -> None:
        # Made at the first use: a server may replace threads with greenlets after the fork. A lock of threads would
        # stop all greenlets of the process, also the one that holds it.
        self._lock = PerProcess(threading.Lock)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises `StoreUnavailable` after 5 seconds of waiting."""
        lock = self._lock.get()
        if not lock.acquire(timeout=_LOCK_SECONDS):
            raise DatabaseUnavailable("the database is busy with other writers")
        try:
            yield
        finally:
            lock.release()


class PooledConnection:
    """One connection. `cursor` is the driver's, which spares the statements of every request SQLAlchemy's overhead.
    `begin` is the statement that opens a transaction; `embedded` says that the database is in this process.

    `prepared` holds what executes the statements that were prepared by name; None if none is to be.

    `failed`: a statement of its transaction failed, so the transaction can only be rolled back. `lost`: an outage broke
    the connection, so no later statement may use it.
    """

    __slots__ = (
        "begin",
        "connection",
        "cursor",
        "embedded",
        "failed",
        "generation",
        "lost",
        "opened_at",
        "pid",
        "prepared",
    )

    def __init__(self, connection: sa.Connection, cursor: Any, begin: str, *, embedded: bool = False) -> None:
        self.connection = connection
        self.embedded = embedded
        self.cursor = cursor
        self.begin = begin
        self.generation = 0
        self.opened_at = time.monotonic()
        self.pid = os.getpid()
        self.failed = self.lost = False
        self.prepared: dict[str, str] | None = None

    def close(self) -> None:
        """Close the connection in any state. The database rolls back an open transaction."""
        if self.embedded:
            # SQLite keeps a closed connection and its locks as long as a statement of it exists.
            with suppress(Exception):
                self.cursor.execute("ROLLBACK")
        with suppress(Exception):
            self.connection.invalidate()
            self.connection.close()


class _Opened:
    """How many connections a process has; `changed` guards the number."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.count = 0


class ConnectionPool:
    """At most `size` connections of a process, whatever threads and greenlets it has.

    `acquire` lends a connection, and its caller ends with `release` or `discard`. A caller that finds all of them lent
    waits 2 seconds and then gets `StoreUnavailable`, so a flood of requests cannot use up the connections that the
    database has for all its clients. The last one given back is lent first: a quiet process uses one.

    The parent and the child of a fork share no connection: idle ones close before the fork, and the next use opens new
    ones. A child of whose fork Python was not told knows by the process id of a connection that it is its parent's, and
    leaves it alone. SQLite's locks do not survive a fork, and two processes on one socket read each other's results. Do
    not fork inside a transaction.
    """

    def __init__(
        self, connect: Callable[[], PooledConnection], size: int, replaced: Callable[[], bool] | None = None
    ) -> None:
        self.size = size
        self._connect = connect
        self._replaced = replaced
        self._look_at = 0.0
        self._idle: list[PooledConnection] = []
        self._generation = 0
        self._waiting = 0
        # Made at the first use: a server may replace threads with greenlets after it has forked its workers.
        self._opened = PerProcess(_Opened)
        self._inherited: list[object] = []
        self._held: threading.Condition | None = None
        at_fork(self)

    def __len__(self) -> int:
        """The connections that are open now, lent ones included."""
        return self._opened.get().count

    def acquire(self, now: float) -> PooledConnection:
        """Lend a connection, opening one if there is none idle; `now` is on `time.monotonic`.

        Raises `StoreUnavailable` if all stay lent, and what the driver raises if none can be opened.
        """
        if now >= self._look_at:
            self._look(now)
        while True:
            try:
                current = self._idle.pop()
            except IndexError:
                current = self._open_or_wait()
            # The process id is compared, since a server that forks in C, as uWSGI does, calls no fork hook of Python.
            own = current.pid == os.getpid()
            if own and now - current.opened_at < _MAX_AGE and current.generation == self._generation:
                return current
            self.discard(current)

    def release(self, current: PooledConnection) -> None:
        """Return a lent connection that is in order and outside a transaction."""
        if current.generation != self._generation:
            self.discard(current)
            return
        self._idle.append(current)
        # A waiting caller first says so and then looks for an idle connection, so it is noticed here or finds this one.
        if self._waiting:
            changed = self._opened.get().changed
            with changed:
                changed.notify()

    def discard(self, current: PooledConnection) -> None:
        """Close a lent connection, and let another take its place."""
        if current.pid != os.getpid():
            # A child process must not close its parent's connection (sqlite.org/howtocorrupt.html, section 2.6).
            self._inherited.append(current)
            return
        current.close()
        self._less()

    def expire(self) -> None:
        """Replace every connection before its next use. After an outage each of them may lead to a server that only
        reads, or to none."""
        self._generation += 1
        self._close_idle()

    def close(self) -> None:
        """Close all connections, a lent one when it comes back. The next use opens new ones."""
        self.expire()

    def _open_or_wait(self) -> PooledConnection:
        opened = self._opened.get()
        deadline = time.monotonic() + WAIT_SECONDS
        with opened.changed:
            self._waiting += 1
            try:
                while opened.count >= self.size:
                    with suppress(IndexError):
                        return self._idle.pop()
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise DatabaseUnavailable(f"all {self.size} connections to the database are in use")
                    opened.changed.wait(left)
                opened.count += 1
            finally:
                self._waiting -= 1
        generation = self._generation
        try:
            current = self._connect()
        except BaseException:
            self._less()
            raise
        current.generation = generation
        return current

    def _look(self, now: float) -> None:
        """Once a second: do the connections still lead to the file of this name?"""
        self._look_at = now + _LOOK_SECONDS if self._replaced else math.inf
        if self._replaced and self._replaced():
            self.expire()

    def _less(self) -> None:
        opened = self._opened.get()
        with opened.changed:
            opened.count -= 1
            opened.changed.notify()

    def _close_idle(self) -> None:
        while True:
            try:
                current = self._idle.pop()
            except IndexError:
                return
            self.discard(current)

    def before_fork(self) -> None:
        """Close all connections, for up to a second also those that other threads have to give back first, and let no
        thread open one until the fork is over."""
        opened = self._opened.get()
        if not opened.changed.acquire(timeout=_FORK_SECONDS):
            return
        self._held = opened.changed
        self._waiting += 1
        ends = time.monotonic() + _FORK_SECONDS
        self._close_idle()
        while opened.count and (left := ends - time.monotonic()) > 0:
            opened.changed.wait(left)
            self._close_idle()
        self._waiting -= 1

    def after_fork(self) -> None:
        """See `ForkHooks`."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def in_child(self) -> None:
        """See `ForkHooks`."""
        self._inherited.extend(self._idle)
        self._idle = []
        self._waiting = 0
        self._held = None

    def __del__(self) -> None:
        while self._idle:
            current = self._idle.pop()
            if current.pid == os.getpid():
                current.close()
