"""Locks, threads and connections that belong to one process and must not be shared across a fork."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Generic, Protocol, TypeVar

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
        at_fork(self)

    def get(self) -> T:
        """This process's value; made once, however many threads call."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._value = self._make()
                    self._pid = os.getpid()
        return self._value

    def before_fork(self) -> None:
        """See `ForkHooks`."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """See `ForkHooks`."""
        self._lock.release()

    def in_child(self) -> None:
        """See `ForkHooks`."""
        self._lock.release()


class ForkHooks(Protocol):
    """An object whose methods `at_fork` calls."""

    def before_fork(self) -> None:
        """A thread of this process is about to fork."""

    def after_fork(self) -> None:
        """The fork is over; this is the parent."""

    def in_child(self) -> None:
        """The fork is over; this is the child."""


def at_fork(owner: ForkHooks) -> None:
    """Call the object's methods at each fork, before it the last object first. Holds no reference: the calls stop when
    the object is gone.

    Does nothing on a platform without forks.
    """
    number = next(_numbers)
    _owners[number] = weakref.ref(owner, lambda _: _owners.pop(number, None))


_owners: dict[int, weakref.ref[ForkHooks]] = {}
_numbers = itertools.count()
_forking: dict[int, list[ForkHooks]] = {}
"""By thread: the objects that its fork has called. One that is made meanwhile is not called afterwards."""


def _before_fork() -> None:
    found = [reference() for reference in _owners.copy().values()]
    called = _forking[threading.get_ident()] = [owner for owner in found if owner is not None]
    _call_last_first([owner.before_fork for owner in called])


def _after_fork() -> None:
    called = _forking.pop(threading.get_ident(), [])
    _call_last_first([owner.after_fork for owner in reversed(called)])


def _in_child() -> None:
    called = _forking.pop(threading.get_ident(), [])
    # Forks of other threads do not go on here.
    _forking.clear()
    _call_last_first([owner.in_child for owner in reversed(called)])


def _call_last_first(methods: Sequence[Callable[[], None]]) -> None:
    """Call all of them, also after one that raised."""
    with ExitStack() as stack:
        for method in methods:
            stack.callback(method)


if hasattr(os, "register_at_fork"):
    # Once: Python keeps such functions until the process ends.
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
