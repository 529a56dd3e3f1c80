"""What a process does now and then of its own accord."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

from nipo_auth_mw.parts.worker import Worker


class Chore:
    """Runs `job` in the background `after` seconds after it first fell due, and not again within `every` seconds of
    that, but while it finds something to do. The first `every` - `after` seconds of a process belong to visitors."""

    def __init__(self, worker: Worker, job: Callable[[], object], *, after: float, every: float) -> None:
        self._worker = worker
        self._job = job
        self._after = after
        self._every = every
        self._not_before = time.monotonic() + every - after

    def due(self) -> None:
        """Something has happened that makes the job worth running. Costs next to nothing when it is not time yet."""
        now = time.monotonic()
        if now < self._not_before:
            return
        self._not_before = now + self._every
        self._hand_in()

    def _hand_in(self) -> None:
        # Weakly: a middleware that is gone, as in a test or after a reload, has no chores left.
        run = weakref.WeakMethod(self._run)
        self._worker.submit(lambda: (alive := run()) and alive(), after=self._after)

    def _run(self) -> None:
        # What came while it ran, such as the row of a transaction that ended late, may be the last for hours.
        if self._job():
            self._hand_in()
