"""How many passwords a process hashes at the same time, and on which threads."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, TypeVarTuple

from nipo_auth_mw._runtime.greenlets import gevent_replaces
from nipo_auth_mw._runtime.per_process import PerProcess

_AVERAGED_OVER = 8
"""Hashes over which the time of one is averaged."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Busy(Exception):
    """No slot was free in time, so no password was verified or hashed."""


class HashPool:
    """Lets a process run as many hashes at the same time as it may use cores.

    So a flood of sign-ins takes `slots` times 19 MiB, and pages of signed-in users still get the processor (ASVS 5
    15.2.2). Each process has its own slots: a child process does not inherit those that were held at the fork.
    """

    def __init__(self, slots: int | None = None) -> None:
        self.slots: int = slots or cores()
        self._state = PerProcess(lambda: _PoolState(self.slots))

    @contextmanager
    def queue(self, wait: float) -> Iterator[None]:
        """Wait in the queue for a slot; the block covers everything that a check does.

        Raises `Busy` at once if the queue is so long that a slot would take more than `wait` seconds, judged by the
        time of recent hashes. Most requests of a flood end here, and cost next to nothing.
        """
        state = self._state.get()
        with state.lock:
            if state.waiting * state.seconds_per_hash > wait * self.slots:
                raise Busy
            state.waiting += 1
        try:
            yield
        finally:
            with state.lock:
                state.waiting -= 1

    @contextmanager
    def slot(self, deadline: float) -> Iterator[None]:
        """Hold one slot for the block. Raises `Busy` if none is free by `deadline` (on `time.monotonic`)."""
        state = self._state.get()
        if not state.free_slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Busy
        started = time.monotonic()
        try:
            yield
        finally:
            state.free_slots.release()
            took = time.monotonic() - started
            with state.lock:
                state.average_in(took)

    def run(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Return or raise what `call` does, on one of the pool's threads. There are as many threads as slots.

        glibc keeps the memory of a hash for the thread that allocated it. On the server's own threads, each of them
        would come to keep 19 MiB. Under gevent, the call runs on one of gevent's real threads: on the hub's thread, a
        hash would delay every other request of the process by 20 ms.
        """
        if gevent_replaces("threading"):
            gevent: Any = sys.modules["gevent"]
            hashed: Any = gevent.get_hub().threadpool.spawn(call, *arguments)
            result: T = hashed.get()
            return result
        try:
            future = self._state.get().threads.submit(call, *arguments)
        except RuntimeError:
            # The interpreter ends while a server still answers its last requests: it starts no threads any more.
            return call(*arguments)
        return future.result()


class _PoolState:
    """The slots, the threads and the queue of one process. `lock` guards `waiting` and `seconds_per_hash`."""

    def __init__(self, slots: int) -> None:
        self.lock = threading.Lock()
        self.free_slots = threading.BoundedSemaphore(slots)
        self.threads = ThreadPoolExecutor(slots, "nipo_auth_mw hash", _lower_priority)
        self.waiting = 0
        self.seconds_per_hash = 0.0

    def average_in(self, seconds: float) -> None:
        """Update the moving average with one more hash."""
        weight = 1 / _AVERAGED_OVER if self.seconds_per_hash else 1
        self.seconds_per_hash += (seconds - self.seconds_per_hash) * weight


def _lower_priority() -> None:
    """Give this thread a lower priority, so that pages of signed-in users get the processor before hashes do.

    Not the lowest: a flood of pages could then hold up every hash until the request of its user ends.
    """
    if sys.platform == "linux":  # elsewhere, the call would change the whole process
        os.setpriority(os.PRIO_PROCESS, 0, 10)


@lru_cache(maxsize=16)
def cores(own: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """The cores that this process may use: by its affinity, and by the CPU quota of its control groups, rounded up.

    A container often has a quota and sees every core of the machine. `own` lists the groups of the process.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([count, *(max(1, math.ceil(quota)) for quota in _quotas(own, groups))])


def _quotas(own: Path, groups: Path) -> Iterator[float]:
    """The quotas, in cores, of the groups of this process and of all groups above them (cgroup v2 and v1)."""
    try:
        lines = own.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, _, names_and_path = line.partition(":")
        names, _, path = names_and_path.partition(":")
        if not names or "cpu" in names.split(","):
            inside = PurePosixPath(path.lstrip("/"))
            for group in (inside, *inside.parents):
                yield from _quota(groups / ("cpu" if names else "") / group)


def _quota(group: Path) -> Iterator[float]:
    """The quota of one group, if it has one. A container sees its own group as the root, so paths may be missing."""
    for files in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((group / name).read_text("ascii") for name in files).split()
            if int(quota) > 0 and int(period) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue
