"""How many passwords are hashed at once, and on which thread."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

from nipo_auth_mw.forks import PerProcess

_REMEMBERED = 8
"""Over how many hashes the time that one takes is averaged."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Busy(Exception):
    """No slot for hashing came free in time; nothing was checked."""


class Gate:
    """Bounds how many hashes run at once to the number of cores, so that a flood of sign-ins costs slots x 19 MiB and
    leaves the processor to signed-in people (ASVS 5 15.2.2).

    Each process has slots of its own: those that were taken at a fork are nobody's in the child.
    """

    def __init__(self, slots: int | None = None) -> None:
        self.slots = slots or _cores()
        self._hall = PerProcess(lambda: _Hall(self.slots))

    @contextmanager
    def queue(self, wait: float) -> Iterator[None]:
        """Stand in line for a slot, from before the first thing that a check costs until after the last.

        Raises `Busy` at once where so many stand there that one more would wait longer than `wait` seconds, by what
        hashes took lately. In a flood they are most, and so they cost next to nothing.
        """
        hall = self._hall.mine()
        with hall.guard:
            if hall.in_line * hall.takes > wait * self.slots:
                raise Busy
            hall.in_line += 1
        try:
            yield
        finally:
            with hall.guard:
                hall.in_line -= 1

    @contextmanager
    def slot(self, deadline: float) -> Iterator[None]:
        """Hold one slot. Raises `Busy` when none is free by `deadline` (on `time.monotonic`)."""
        hall = self._hall.mine()
        if not hall.free.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Busy
        started = time.monotonic()
        try:
            yield
        finally:
            hall.free.release()
            took = time.monotonic() - started
            with hall.guard:
                hall.takes += (took - hall.takes) / (_REMEMBERED if hall.takes else 1)

    def apart(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """What `call` returns or raises, on one of as many threads as there are slots.

        glibc keeps what a hash took for the thread that took it, so on the server's own threads each of them would come
        to keep 19 MiB. Where gevent has put greenlets in the place of threads, it is one of gevent's real threads: a
        hash of 20 ms on the hub's would hold up every other request of the process.
        """
        monkey: Any = sys.modules.get("gevent.monkey")
        if monkey is not None and monkey.is_module_patched("threading"):
            threads: Any = sys.modules["gevent"].get_hub().threadpool
            result: T = threads.apply(call, arguments)
            return result
        if threading.current_thread() is threading.main_thread():
            # A server that answers there has one request at a time, and one thread to keep memory for.
            return call(*arguments)
        return self._hall.mine().threads.submit(call, *arguments).result()


class _Hall:
    """Who waits and who hashes, in one process. `takes`: seconds that a hash took lately."""

    def __init__(self, slots: int) -> None:
        self.guard = threading.Lock()
        self.free = threading.BoundedSemaphore(slots)
        self.threads = ThreadPoolExecutor(slots, "nipo_auth_mw hash", _step_back)
        self.in_line = 0
        self.takes = 0.0


def _step_back() -> None:
    """Let signed-in people's pages go first where they and hashes both want the processor."""
    if sys.platform == "linux":  # where this is of one thread, not of the process
        os.setpriority(os.PRIO_PROCESS, 0, 19)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
