"""The common base of the suites, and the races."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

RACERS = 8
"""The number of threads of a race."""

ODD_TEXTS = ("", "0", "-1", "+1", " 1", "1 ", "01", "1.0", "1e3", "1_0", "٣", "x", "1\0", "\ud800", "9" * 80, "%", "_")
"""Texts that no account has as its id or address, and no session as its key."""


class StoreContract:
    """The base class of the suites for stores."""

    def make_store(self) -> Any:
        """An empty store. The fixture calls its `close`, if it has one, after the test."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        store = self.make_store()
        yield store
        close = getattr(store, "close", None)
        if close is not None:
            close()


def at_once(work: Callable[[int], T], racers: int = RACERS) -> list[T | Exception]:
    """The results, or exceptions, of `work(0)`, `work(1)`, …, which one thread each starts at the same moment."""
    results: list[T | Exception] = []
    start = threading.Barrier(racers)

    def race(number: int) -> None:
        start.wait()
        try:
            results.append(work(number))
        except Exception as problem:
            results.append(problem)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
