"""What the suites share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

RACERS = 8
"""How many threads a race has."""

ODD_TEXTS = ("", "0", "-1", "+1", " 1", "1 ", "01", "1.0", "1e3", "1_0", "٣", "x", "1\0", "\ud800", "9" * 80, "%", "_")
"""Texts that are nobody's id, key or address."""


class StoreContract:
    """The root of the suites for stores."""

    def make_store(self) -> Any:
        """A store with nothing in it. Its `close`, if it has one, is called when the test is over."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        store = self.make_store()
        yield store
        close = getattr(store, "close", None)
        if close is not None:
            close()


def at_once(work: Callable[[int], T], racers: int = RACERS) -> list[T | Exception]:
    """What `work(0)`, `work(1)`, … give, or raise, when threads start them at the same moment."""
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
