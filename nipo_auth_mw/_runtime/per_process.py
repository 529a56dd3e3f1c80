"""Locks, threads and connections that belong to one process and must not be shared across a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds one `T` for each process.

    A child process cannot use its parent's value: the parent's threads do not run in the child, and one of them may
    have held a lock at the fork. The first call of `get` in a process makes the value, not the fork: a server may
    replace threads with greenlets after it has forked its workers, and the locks must then be those of greenlets.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._pid = 0
        # Re-entrant, because a signal handler may call `get` while its thread is inside `get`.
        self._lock = threading.RLock()
        at_fork(before=self._acquire, in_parent=self._release, in_child=self._release)

    def get(self) -> T:
        """This process's value; made once, however many threads call."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._value = self._make()
                    self._pid = os.getpid()
        return self._value

    def _acquire(self) -> None:
        self._lock.acquire()

    def _release(self) -> None:
        self._lock.release()


def at_fork(
    *,
    before: Callable[[], None] | None = None,
    in_parent: Callable[[], None] | None = None,
    in_child: Callable[[], None] | None = None,
) -> None:
    """Call these methods at each fork. Holds no reference: it stops when the methods' object is gone.

    Does nothing on a platform without forks.
    """

    def weakly(method: Callable[[], None] | None) -> Callable[[], None]:
        reference = weakref.WeakMethod(method) if method else None

        def call() -> None:
            alive = reference() if reference else None
            if alive is not None:
                alive()

        return call

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=weakly(before), after_in_parent=weakly(in_parent), after_in_child=weakly(in_child))
