"""One kept connection a thread, and none over a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.forks import at_fork

_TURN_SECONDS = 5.0
_FORK_SECONDS = 1.0


class Turn:
    """One writer at a time in this process. SQLite lets no more in anyway, and a queue here is quicker and fairer than
    its way of sleeping and trying again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        at_fork(in_child=self._renew)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Raises `StoreUnavailable` when others keep it for 5 seconds."""
        lock = self._lock
        if not lock.acquire(timeout=_TURN_SECONDS):
            raise StoreUnavailable("the database is busy with other writers")
        try:
            yield
        finally:
            lock.release()

    def _renew(self) -> None:
        self._lock = threading.Lock()


class Kept:
    """The connection of one thread, opened when it is first used. Whoever uses it holds `lock`.

    `within` tells that a transaction is open, `failed` that it can only be rolled back.
    """

    connection: sa.Connection
    cursor: Any
    """The driver's own, for statements that are too frequent to pay for more."""

    def __init__(self, opened: Callable[[], sa.Connection], inherited: list[sa.Connection]) -> None:
        self.lock = threading.RLock()
        self.is_open = self.within = self.failed = False
        self._opened = opened
        self._inherited = inherited

    def open(self) -> None:
        self.connection = self._opened()
        self.cursor = self.connection.connection.cursor()
        self._pid = os.getpid()
        self.is_open = True

    def close(self) -> None:
        """Close it, whatever state it is in; what was not committed is rolled back."""
        if not self.is_open:
            return
        connection = self.connection
        self.is_open = False
        del self.connection, self.cursor
        if self._pid != os.getpid():
            # A child must not even close it: https://www.sqlite.org/howtocorrupt.html, section 2.6.
            self._inherited.append(connection)
            return
        with suppress(Exception):
            connection.invalidate()
            connection.close()

    def __del__(self) -> None:
        self.close()


class _Nobodys:
    """Stands in for a thread's values where none may be used."""

    __slots__ = ()


_NOBODYS: Any = _Nobodys()


class KeptConnections:
    """A `Kept` for each thread that asks, closed when the thread ends.

    Parent and child of a fork share none: all are closed just before it and opened again on demand. SQLite's locks
    do not survive a fork, and two processes on one socket would read each other's answers. Do not fork inside a
    transaction.
    """

    def __init__(self, opened: Callable[[], sa.Connection]) -> None:
        self._opened = opened
        self._local = threading.local()
        self._is_child = False
        self._guard = threading.Lock()
        self._all: weakref.WeakSet[Kept] = weakref.WeakSet()
        self._inherited: list[sa.Connection] = []
        self._held: list[Kept] = []
        at_fork(before=self._before_fork, in_parent=self._after_fork, in_child=self._in_child)

    def mine(self) -> Kept:
        """The calling thread's."""
        try:
            kept: Kept = self._local.kept
        except AttributeError:
            with self._guard:
                if self._is_child:
                    self._local, self._is_child = threading.local(), False
                kept = self._local.kept = Kept(self._opened, self._inherited)
                self._all.add(kept)
        return kept

    def close(self) -> None:
        """Close all threads' connections; one that is in use is waited for. They open again when used again."""
        with self._guard:
            everyone = list(self._all)
        for kept in everyone:
            with kept.lock:
                kept.close()

    def _before_fork(self) -> None:
        self._guard.acquire()
        for kept in list(self._all):
            if kept.lock.acquire(timeout=_FORK_SECONDS):
                self._held.append(kept)
                if not kept.within:
                    kept.close()

    def _after_fork(self) -> None:
        while self._held:
            self._held.pop().lock.release()
        self._guard.release()

    def _in_child(self) -> None:
        for kept in list(self._all):
            kept.close()
            kept.within = False
        # A server that forks workers may put greenlets in the place of threads only afterwards: what is kept apart by
        # thread must then be kept apart by greenlet.
        self._local, self._is_child = _NOBODYS, True
        self._after_fork()
