"""The end of a process: what is done before it, on every way out that Python can see."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_log = logging.getLogger("nipo_auth_mw")


def warn_without_threads() -> None:
    """Warn if uWSGI runs Python without threads, which is its default: then no background job runs."""
    uwsgi: Any = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", {})
    if uwsgi is not None and not {"enable-threads", "threads", b"enable-threads", b"threads"} & options.keys():
        _log.warning("uWSGI runs without threads, so no mail will be sent. Set enable-threads = true.")


def call_at_exit(finish: Callable[[], bool]) -> None:
    """Call this method when the process exits, and on SIGTERM if that would end the process without `atexit`.

    Keeps no reference to the method's object. The method returns False if mails were left.
    """
    weak_finish = weakref.WeakMethod(finish)

    def flush() -> None:
        alive = weak_finish()
        if alive is not None and not alive():
            _log.error("the process ends before all mails were sent")

    atexit.register(flush)
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGTERM)
    # A server with a handler of its own exits by itself, and then `atexit` calls `flush`.
    if previous is signal.SIG_DFL or isinstance(previous, _FlushThenTerminate):
        # A sub-interpreter (mod_wsgi, uWSGI) may not set handlers; ending it calls `atexit`.
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, _FlushThenTerminate(flush, previous))


class _FlushThenTerminate:
    """A handler of SIGTERM: it sends the waiting mails, then calls the previous handler or ends the process."""

    def __init__(self, flush: Callable[[], None], previous: Any) -> None:
        self._flush = flush
        self._previous = previous

    def __call__(self, number: int, frame: Any) -> None:
        self._flush()
        if callable(self._previous):
            self._previous(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
