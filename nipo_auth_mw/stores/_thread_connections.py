"""One database connection for each thread, and none across a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw._runtime.per_process import at_fork
from nipo_auth_mw.errors import StoreUnavailable

_WAIT_SECONDS = 5.0
_FORK_SECONDS = 1.0


class WriteLock:
    """Admits one writer of this process at a time. SQLite admits one in any case, and its waiting writers sleep and try
    again, which is slower and less fair than this queue."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        at_fork(in_child=self._renew)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises `StoreUnavailable` after 5 seconds of waiting."""
        lock = self._lock
        if not lock.acquire(timeout=_WAIT_SECONDS):
            raise StoreUnavailable("the database is busy with other writers")
        try:
            yield
        finally:
            lock.release()

    def _renew(self) -> None:
        self._lock = threading.Lock()


class ThreadConnection:
    """The connection of one thread. Its user holds `lock`; the first use opens the connection.

    `in_transaction`: a transaction is open. `failed`: this transaction can only be rolled back.
    """

    connection: sa.Connection
    cursor: Any
    """The driver's cursor, for the statements of every request: it spares them SQLAlchemy's overhead."""

    def __init__(self, connect: Callable[[], sa.Connection], inherited: list[sa.Connection]) -> None:
        self.lock = threading.RLock()
        self.is_open = self.in_transaction = self.failed = False
        self._connect = connect
        self._inherited = inherited

    def open(self) -> None:
        self.connection = self._connect()
        self.cursor = self.connection.connection.cursor()
        self._pid = os.getpid()
        self.is_open = True

    def close(self) -> None:
        """Close the connection in any state. The database rolls back an open transaction."""
        if not self.is_open:
            return
        connection = self.connection
        self.is_open = False
        del self.connection, self.cursor
        if self._pid != os.getpid():
            # A child process must not close its parent's connection (sqlite.org/howtocorrupt.html, section 2.6).
            self._inherited.append(connection)
            return
        with suppress(Exception):
            connection.invalidate()
            connection.close()

    def __del__(self) -> None:
        self.close()


class _NoLocal:
    """Takes the place of a `threading.local` in a forked child until the child's first use: it has no attributes."""

    __slots__ = ()


_NO_LOCAL: Any = _NoLocal()


class ThreadConnections:
    """A `ThreadConnection` for each thread, closed when the thread ends.

    The parent and the child of a fork share no connection: all of them close before the fork, and the next use opens
    new ones. SQLite's locks do not survive a fork, and two processes on one socket read each other's results. Do not
    fork inside a transaction. `local.connection` is the connection of a thread that has asked before: reading it costs
    a request less than a call of `get`.
    """

    def __init__(self, connect: Callable[[], sa.Connection]) -> None:
        self._connect = connect
        self.local: Any = threading.local()
        self._is_child = False
        self._guard = threading.Lock()
        self._all: weakref.WeakSet[ThreadConnection] = weakref.WeakSet()
        self._inherited: list[sa.Connection] = []
        self._held: list[ThreadConnection] = []
        at_fork(before=self._before_fork, in_parent=self._after_fork, in_child=self._in_child)

    def get(self) -> ThreadConnection:
        """The connection of the calling thread."""
        try:
            current: ThreadConnection = self.local.connection
        except AttributeError:
            with self._guard:
                if self._is_child:
                    self.local, self._is_child = threading.local(), False
                current = self.local.connection = ThreadConnection(self._connect, self._inherited)
                self._all.add(current)
        return current

    def close(self) -> None:
        """Close the connections of all threads, waiting for those in use. The next use opens them again."""
        with self._guard:
            connections = list(self._all)
        for each in connections:
            with each.lock:
                each.close()

    def _before_fork(self) -> None:
        self._guard.acquire()
        for each in list(self._all):
            if each.lock.acquire(timeout=_FORK_SECONDS):
                self._held.append(each)
                if not each.in_transaction:
                    each.close()

    def _after_fork(self) -> None:
        while self._held:
            self._held.pop().lock.release()
        self._guard.release()

    def _in_child(self) -> None:
        for each in list(self._all):
            each.close()
            each.in_transaction = False
        # gunicorn's gevent worker patches `threading` after the fork: the first use must make a `threading.local`
        # that distinguishes greenlets.
        self.local, self._is_child = _NO_LOCAL, True
        self._after_fork()
