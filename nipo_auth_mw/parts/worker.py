"""One short-lived thread a process for what need not hold up an answer."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable

from nipo_auth_mw.errors import StoreUnavailable

_log = logging.getLogger("nipo_auth_mw")
_LINGERS = 1.0

Job = Callable[[], None]


class Worker:
    """Runs jobs in order on a daemon thread that starts with the first and ends when idle for a second.

    Safe when built before a fork: a child inherits no threads, so it starts its own and leaves its parent's jobs alone.
    """

    def __init__(self) -> None:
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._change = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._running = False

    def submit(self, job: Job) -> None:
        if self._pid != os.getpid():
            self._fresh()
        with self._change:
            self._jobs.append(job)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, args=(self._change,), name="nipo_auth_mw", daemon=True).start()
            self._change.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all jobs are done; False if they are not after `timeout` seconds."""
        if self._pid != os.getpid():
            return True
        with self._change:
            return self._change.wait_for(lambda: not self._jobs, timeout)

    def _run(self, change: threading.Condition) -> None:
        while True:
            with change:
                if not change.wait_for(lambda: bool(self._jobs), _LINGERS):
                    self._running = False
                    return
                job = self._jobs[0]
            try:
                job()
            except StoreUnavailable:
                _log.warning("the store is out of reach; what was to be written in the background is lost")
            except Exception:
                _log.exception("a background job failed")
            with change:
                self._jobs.popleft()
                change.notify_all()
