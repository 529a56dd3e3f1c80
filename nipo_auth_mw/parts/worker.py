"""One short-lived thread a process for what need not hold up an answer."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable

from nipo_auth_mw.errors import StoreUnavailable

_log = logging.getLogger("nipo_auth_mw")
_LINGERS = 1.0

Job = Callable[[], object]


class Worker:
    """Runs jobs, in the order they fall due, on a daemon thread that starts with the first and ends when idle for a
    second.

    Safe when built before a fork: a child inherits no threads, so it starts its own and leaves its parent's jobs alone.
    """

    def __init__(self) -> None:
        self._also: list[Callable[[], None]] = []
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        # Re-entrant, since a signal handler may flush while the same thread is in here.
        self._change = threading.Condition(threading.RLock())
        self._jobs: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count(1)
        self._now_below = 0
        self._at_work: int | None = None
        self._running = False

    def __len__(self) -> int:
        """How many jobs wait, the one at work included."""
        return 0 if self._pid != os.getpid() else len(self._jobs) + (self._at_work is not None)

    def whenever_busy(self, call: Callable[[], None]) -> None:
        """Call this too, at once, whenever a job is handed in: for what falls due while people are about."""
        self._also.append(call)

    def submit(self, job: Job, *, after: float = 0.0) -> None:
        """Run `job` in the background, not before `after` seconds."""
        if self._pid != os.getpid():
            self._fresh()
        with self._change:
            heapq.heappush(self._jobs, (time.monotonic() + after, next(self._numbers), job))
            if not self._running:
                threading.Thread(target=self._run, args=(self._change,), name="nipo_auth_mw", daemon=True).start()
                self._running = True
            self._change.notify_all()
        for call in self._also:
            call()

    def flush(self, timeout: float) -> bool:
        """Run what waits now, without its pause, each job once; False if any are left after `timeout` seconds."""
        if self._pid != os.getpid():
            return True
        with self._change:
            self._now_below = mark = next(self._numbers)
            self._change.notify_all()
            self._change.wait_for(lambda: not self._waiting(mark), timeout)
            return not len(self)

    def _waiting(self, mark: int) -> bool:
        return any(number < mark for _, number, _ in self._jobs) or (self._at_work or mark) < mark

    def _run(self, change: threading.Condition) -> None:
        while True:
            with change:
                job = self._next(change)
                if job is None:
                    self._running = False
                    return
            try:
                job()
            except StoreUnavailable:
                _log.warning("the store is out of reach; what was to be written in the background is lost")
            except Exception:
                _log.exception("a background job failed")
            with change:
                self._at_work = None
                change.notify_all()

    def _next(self, change: threading.Condition) -> Job | None:
        """The next job when it is due; None after a second without any."""
        while True:
            if not self._jobs and not change.wait_for(lambda: bool(self._jobs), _LINGERS):
                return None
            flushed = [entry for entry in self._jobs if entry[1] < self._now_below]
            due, number, job = entry = min(flushed, key=lambda one: one[1]) if flushed else self._jobs[0]
            if not flushed and (wait := due - time.monotonic()) > 0:
                change.wait(wait)
                continue
            self._jobs.remove(entry)
            heapq.heapify(self._jobs)
            self._at_work = number
            return job
