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
        self._takes = 0.0
        self._guard = threading.Lock()
        self._open()

    def _open(self) -> None:
        self._free = threading.BoundedSemaphore(self.slots)
        self._threads = ThreadPoolExecutor(self.slots, "nipo_auth_mw hash", _step_back)
        self._in_line = 0
        self._pid = os.getpid()

    def _renew(self) -> None:
        if self._pid != os.getpid():
            with self._guard:
                if self._pid != os.getpid():
                    self._open()

    @contextmanager
    def queue(self, wait: float) -> Iterator[None]:
        """Stand in line for a slot, from before the first thing that a check costs until after the last.

        Raises `Busy` at once where so many stand there that one more would wait longer than `wait` seconds, by what
        hashes took lately. In a flood they are most, and so they cost next to nothing.
        """
        self._renew()
        with self._guard:
            if self._in_line * self._takes > wait * self.slots:
                raise Busy
            self._in_line += 1
        try:
            yield
        finally:
            with self._guard:
                self._in_line -= 1

    @contextmanager
    def slot(self, deadline: float) -> Iterator[None]:
        """Hold one slot. Raises `Busy` when none is free by `deadline` (on `time.monotonic`)."""
        self._renew()
        free = self._free
        if not free.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Busy
        started = time.monotonic()
        try:
            yield
        finally:
            free.release()
            took = time.monotonic() - started
            self._takes += (took - self._takes) / (_REMEMBERED if self._takes else 1)

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
        self._renew()
        return self._threads.submit(call, *arguments).result()


def _step_back() -> None:
    """Let signed-in people's pages go first where they and hashes both want the processor."""
    if sys.platform == "linux":  # where this is of one thread, not of the process
        os.setpriority(os.PRIO_PROCESS, 0, 19)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
