"""What the tests let several processes do at once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

PROCESSES = 4


def forked(work: Callable[[], object], fork: Callable[[], int] = os.fork) -> int:
    """Do the work in a child, which ends with 0 if there was no exception. Returns the child's id."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        # From Python 3.12 on it warns of the threads that pytest-xdist has.
        child = fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as problem:
            os.write(2, repr(problem).encode())
        finally:
            os._exit(1)
    return child


def in_children(work: Callable[[], object], fork: Callable[[], int] = os.fork) -> int:
    """Fork four children that work at once; how many did so without an exception."""
    start, starter = os.pipe()

    def waits() -> None:
        os.close(starter)
        os.read(start, 1)
        work()

    children = [forked(waits, fork) for _ in range(PROCESSES)]
    os.close(starter)
    try:
        return sum(os.waitpid(child, 0)[1] == 0 for child in children)
    finally:
        os.close(start)
