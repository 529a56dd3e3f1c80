"""One short-lived thread a process for what need not hold up an answer."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.forks import PerProcess

_log = logging.getLogger("nipo_auth_mw")
_LINGERS = 1.0

Job = Callable[[], object]


class Worker:
    """Runs jobs, in the order they fall due, on a daemon thread that starts with the first and ends when idle for a
    second.

    Safe when built before a fork: a child starts a thread of its own and leaves its parent's jobs alone.
    """

    def __init__(self) -> None:
        self._also: list[Callable[[], None]] = []
        self._jobs = PerProcess(_Jobs)

    def __len__(self) -> int:
        """How many jobs wait, the one at work included."""
        return len(self._jobs.mine())

    def whenever_busy(self, call: Callable[[], None]) -> None:
        """Call this too, at once, whenever a job is handed in: for what falls due while people are about."""
        self._also.append(call)

    def submit(self, job: Job, *, after: float = 0.0) -> None:
        """Run `job` in the background, not before `after` seconds."""
        self._jobs.mine().add(job, after)
        for call in self._also:
            call()

    def flush(self, timeout: float) -> bool:
        """Run what waits now, without its pause, each job once; False if any are left after `timeout` seconds."""
        return self._jobs.mine().flush(timeout)


class _Jobs:
    """What waits, and the thread that does it."""

    def __init__(self) -> None:
        # Re-entrant, since a signal handler may flush while the same thread is in here.
        self._change = threading.Condition(threading.RLock())
        self._waiting: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count(1)
        self._now_below = 0
        self._at_work: int | None = None
        self._running = False

    def __len__(self) -> int:
        return len(self._waiting) + (self._at_work is not None)

    def add(self, job: Job, after: float) -> None:
        with self._change:
            heapq.heappush(self._waiting, (time.monotonic() + after, next(self._numbers), job))
            if not self._running:
                threading.Thread(target=self._run, name="nipo_auth_mw", daemon=True).start()
                self._running = True
            self._change.notify_all()

    def flush(self, timeout: float) -> bool:
        with self._change:
            self._now_below = mark = next(self._numbers)
            self._change.notify_all()
            self._change.wait_for(lambda: not self._any_below(mark), timeout)
            return not len(self)

    def _any_below(self, mark: int) -> bool:
        return any(number < mark for _, number, _ in self._waiting) or (self._at_work or mark) < mark

    def _run(self) -> None:
        while True:
            with self._change:
                job = self._next()
                if job is None:
                    self._running = False
                    return
            try:
                job()
            except StoreUnavailable:
                _log.warning("the store is out of reach; what was to be written in the background is lost")
            except Exception:
                _log.exception("a background job failed")
            with self._change:
                self._at_work = None
                self._change.notify_all()

    def _next(self) -> Job | None:
        """The next job when it is due; None after a second without any."""
        while True:
            if not self._waiting and not self._change.wait_for(lambda: bool(self._waiting), _LINGERS):
                return None
            flushed = [entry for entry in self._waiting if entry[1] < self._now_below]
            due, number, job = entry = min(flushed, key=lambda one: one[1]) if flushed else self._waiting[0]
            if not flushed and (wait := due - time.monotonic()) > 0:
                self._change.wait(wait)
                continue
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)
            self._at_work = number
            return job
