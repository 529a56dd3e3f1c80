"""A background thread in each process, for jobs that no response should wait for."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from nipo_auth_mw._runtime.at_exit import at_exit
from nipo_auth_mw._runtime.failures import without_message
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw.errors import StoreUnavailable

_log = logging.getLogger("nipo_auth_mw")
_IDLE_SECONDS = 1.0
_EXIT_SECONDS = 1.0

Job = Callable[[], object]


class Worker:
    """Runs jobs in the order of their due times, on one daemon thread.

    The thread starts with the first job and ends after one second without a job. From Python 3.12 on no thread starts
    while the interpreter ends: then `flush` runs the jobs on its own thread, and the others are dropped. A worker may
    be built before a fork: each process has its own thread and its own jobs. A job that raises anything is logged and
    dropped, and nothing ends the work on the other jobs: a host app's mailer or store may raise
    `asyncio.CancelledError`, or leave a `gevent.Timeout` behind that strikes later.
    """

    def __init__(self) -> None:
        self._submit_callbacks: list[Callable[[], None]] = []
        self._jobs = PerProcess(_Jobs)
        at_exit(self._stop)

    def __len__(self) -> int:
        """The number of waiting jobs, including the one that runs now."""
        return len(self._jobs.get())

    def on_submit(self, call: Callable[[], None]) -> None:
        """Call this at every `submit`, on the thread that submits. For work that is due while requests arrive."""
        self._submit_callbacks.append(call)

    def submit(self, job: Job, *, after: float = 0.0) -> None:
        """Run `job` in the background, `after` seconds from now or later."""
        self._jobs.get().add(job, after)
        for call in self._submit_callbacks:
            call()

    def flush(self, timeout: float) -> bool:
        """Run every waiting job once, now, without its delay. False if a job is left, also after `timeout` seconds."""
        return self._jobs.get().flush(timeout)

    def _stop(self) -> None:
        """End the thread: a sub-interpreter (mod_wsgi, uWSGI) that ends with a thread aborts the process."""
        self._jobs.get().stop(_EXIT_SECONDS)


class _Jobs:
    """The jobs and the thread of one process. Jobs are numbered in the order of their submission."""

    def __init__(self) -> None:
        # Re-entrant, because a signal handler may flush while its thread holds the lock.
        self._change = threading.Condition(threading.RLock())
        self._waiting: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count(1)
        self._flush_below = 0
        self._current: int | None = None
        self._running = False
        self._thread: threading.Thread | None = None
        self._stopping = False

    def __len__(self) -> int:
        return len(self._waiting) + (self._current is not None)

    def add(self, job: Job, after: float) -> None:
        with self._change:
            heapq.heappush(self._waiting, (time.monotonic() + after, next(self._numbers), job))
            if not self._running:
                self._start()
            self._change.notify_all()

    def flush(self, timeout: float) -> bool:
        with self._change:
            self._flush_below = limit = next(self._numbers)
            if self._waiting and not self._running:
                self._start()
            self._change.notify_all()
            if self._running:
                self._change.wait_for(lambda: not self._any_below(limit), timeout)
                return not len(self)
        ends = time.monotonic() + timeout
        while time.monotonic() < ends and (job := self._flushed()) is not None:
            self._do(job)
        return not len(self)

    def stop(self, timeout: float) -> None:
        with self._change:
            self._stopping = True
            self._change.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _any_below(self, limit: int) -> bool:
        """Whether a job with a lower number waits or runs."""
        return any(number < limit for _, number, _ in self._waiting) or (self._current or limit) < limit

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="nipo_auth_mw", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter ends.
            return
        self._thread, self._running = thread, True

    def _flushed(self) -> Job | None:
        """The oldest job that was submitted before the flush."""
        with self._change:
            flushed = [entry for entry in self._waiting if entry[1] < self._flush_below]
            if not flushed:
                return None
            _, self._current, job = entry = min(flushed, key=lambda one: one[1])
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)
            return job

    def _run(self) -> None:
        try:
            while (job := self._taken()) is not None:
                self._do(job)
        except BaseException:
            # A gevent.Timeout that a job has left behind strikes between two jobs.
            _log.exception("the background thread was interrupted, and another takes its place")
            with self._change:
                self._current, self._running = None, False
                if self._waiting and not self._stopping:
                    self._start()
                self._change.notify_all()

    def _taken(self) -> Job | None:
        """The next job. None ends the thread, in one step with the decision: a later job starts another thread."""
        with self._change:
            job = self._next()
            self._running = job is not None
            return job

    def _do(self, job: Job) -> None:
        try:
            job()
        except StoreUnavailable:
            _log.warning("the store cannot be reached, so a background job could not write its changes")
        except BaseException as problem:
            # Without its message: an exception of a host app's store may quote a field.
            _log.error("a background job failed with %s", without_message(problem))
        with self._change:
            self._current = None
            self._change.notify_all()

    def _next(self) -> Job | None:
        """Wait until a job is due and return it; None after one second without a job, and at the process's end."""
        while not self._stopping:
            if not self._waiting:
                if not self._change.wait_for(lambda: self._waiting or self._stopping, _IDLE_SECONDS):
                    return None
                continue
            if (job := self._flushed()) is not None:
                return job
            due, number, job = self._waiting[0]
            if (wait := due - time.monotonic()) > 0:
                self._change.wait(wait)
                continue
            heapq.heappop(self._waiting)
            self._current = number
            return job
        return None
