"""What a fork must not split: locks, threads and connections that belong to one process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """One `T` for each process. A child's is not its parent's, whose threads it has not, and whose locks they may have
    held at the fork.

    It is made by whoever asks first, not at the fork: a server that forks workers may put greenlets in the place of
    threads only afterwards, and locks must then be those of greenlets.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._pid = 0
        # Re-entrant, since a signal handler may ask while the same thread is in here.
        self._guard = threading.RLock()
        at_fork(before=self._close, in_parent=self._open, in_child=self._open)

    def mine(self) -> T:
        """This process's."""
        if self._pid != os.getpid():
            with self._guard:
                if self._pid != os.getpid():
                    self._value = self._make()
                    self._pid = os.getpid()
        return self._value

    def _close(self) -> None:
        self._guard.acquire()

    def _open(self) -> None:
        self._guard.release()


def at_fork(
    *,
    before: Callable[[], None] | None = None,
    in_parent: Callable[[], None] | None = None,
    in_child: Callable[[], None] | None = None,
) -> None:
    """Call these methods at each fork for as long as their object lives."""

    def weakly(method: Callable[[], None] | None) -> Callable[[], None]:
        reference = weakref.WeakMethod(method) if method else None

        def call() -> None:
            alive = reference() if reference else None
            if alive is not None:
                alive()

        return call

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=weakly(before), after_in_parent=weakly(in_parent), after_in_child=weakly(in_child))
