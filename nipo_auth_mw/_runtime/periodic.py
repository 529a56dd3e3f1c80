"""Background jobs that a process repeats, such as sealing the audit log."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

from nipo_auth_mw._runtime.worker import Worker


class PeriodicJob:
    """Runs `job` in the background, `after` seconds after a trigger and at most once in `every` seconds.

    If `job` returns a true value, it runs again after another `after` seconds. Triggers in the first `every` - `after`
    seconds of a process are ignored, so that the first requests get the processor. The caller keeps a reference to the
    object; without one, its job runs no more.
    """

    def __init__(self, worker: Worker, job: Callable[[], object], *, after: float, every: float) -> None:
        self._worker = worker
        self._job = job
        self._after = after
        self._every = every
        self._not_before = time.monotonic() + every - after

    def trigger(self) -> None:
        """Ask for a run, because there is work for the job. Costs next to nothing if a run is not allowed yet."""
        now = time.monotonic()
        if now < self._not_before:
            return
        self._not_before = now + self._every
        self._submit()

    def _submit(self) -> None:
        # A weak reference, so that a middleware which a test or a reload has dropped runs no more jobs.
        run = weakref.WeakMethod(self._run)
        self._worker.submit(lambda: (alive := run()) and alive(), after=self._after)

    def _run(self) -> None:
        # Run again after some work was found: more may have come meanwhile, and the next trigger may be hours away.
        if self._job():
            self._submit()
