"""The end of a process: what is done before it, on every way out that Python can see."""

from __future__ import annotations

import atexit
import itertools
import os
import signal
import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

_methods: dict[int, weakref.WeakMethod[Callable[[], object]]] = {}
_numbers = itertools.count()


def at_exit(method: Callable[[], object]) -> None:
    """Call this method when the process exits, the last registered method first.

    Holds no reference to the method's object: nothing is called and nothing is kept when the object is gone.
    """
    number = next(_numbers)
    _methods[number] = weakref.WeakMethod(method, lambda _: _methods.pop(number, None))


def exit_at_sigterm() -> None:
    """Let SIGTERM do the same if it would end the process without `atexit`."""
    if threading.current_thread() is not threading.main_thread():
        return
    # A server with a handler of its own exits by itself, and then `atexit` does the work.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # A sub-interpreter (mod_wsgi, uWSGI) may not set handlers; ending it calls `atexit`.
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, _terminate)


def _call_all() -> None:
    found = [method() for method in _methods.copy().values()]
    with ExitStack() as stack:
        # The stack ends with the last one, and goes on after one that raised.
        for method in found:
            if method is not None:
                stack.callback(method)


def _terminate(number: int, _frame: Any) -> None:
    try:
        _call_all()
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # The first process of a container survives its own signal (man 7 pid_namespaces), with no thread for mails.
        os._exit(128 + number)


# Once: Python keeps such functions until the process ends.
atexit.register(_call_all)
