"""The suite for counters: what the lock asks of a `limits` storage, beyond what limits promises."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from limits.storage import Storage

from nipo_auth_mw.testing.contracts.base import RACERS, at_once

Clock = Callable[[float], None]


class _Counters:
    def make_counters(self) -> Any:
        """Counters that stand at nothing."""
        raise NotImplementedError

    @pytest.fixture
    def counters(self) -> Any:
        return self.make_counters()


class CounterContract(_Counters):
    """Override `make_counters`."""

    def test_are_a_storage_of_limits(self, counters: Any) -> None:
        assert isinstance(counters, Storage)
        assert counters.check() is True

    def test_count_from_one(self, counters: Any) -> None:
        assert [counters.incr("a", 60) for _ in range(3)] == [1, 2, 3]
        assert counters.incr("b", 60) == 1
        assert (counters.get("a"), counters.get("b"), counters.get("c")) == (3, 1, 0)

    def test_names_are_told_apart_exactly(self, counters: Any) -> None:
        for name in ("a:1", "A:1", "a:1 ", "a%", "a_"):
            assert counters.incr(name, 60) == 1, name

    def test_count_by_any_amount_and_give_back(self, counters: Any) -> None:
        assert counters.incr("a", 60, 5) == 5
        assert counters.incr("a", 60, -1) == 4
        assert counters.incr("b", 60, -1) == -1

    def test_are_forgotten_when_cleared(self, counters: Any) -> None:
        counters.incr("a", 60)
        counters.incr("b", 60)
        counters.clear("a")
        counters.clear("never")
        assert (counters.get("a"), counters.get("b")) == (0, 1)
        assert counters.incr("a", 60) == 1

    def test_all_are_forgotten_by_reset(self, counters: Any) -> None:
        counters.incr("a", 60)
        counters.incr("b", 60)
        counters.reset()
        assert (counters.get("a"), counters.get("b")) == (0, 0)

    def test_tell_when_they_end(self, counters: Any) -> None:
        counters.incr("a", 60)
        assert abs(counters.get_expiry("a") - time.time() - 60) < 5
        assert abs(counters.get_expiry("never") - time.time()) < 5

    def test_no_two_callers_are_told_the_same_number(self, counters: Any) -> None:
        results = at_once(lambda number: [counters.incr("a", 60) for _ in range(25)])
        told = [number for result in results if isinstance(result, list) for number in result]
        assert sorted(told) == list(range(1, 25 * RACERS + 1))
        assert counters.get("a") == 25 * RACERS


class CounterClockContract(_Counters):
    """For counters that expire by `time.time()`, as Redis's do not. Override `make_counters`."""

    @pytest.fixture
    def later(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        """Move the clock on."""
        real, moved = time.time, [0.0]
        monkeypatch.setattr(time, "time", lambda: real() + moved[0])

        def move(seconds: float) -> None:
            moved[0] += seconds

        return move

    def test_end_when_their_time_is_over(self, counters: Any, later: Clock) -> None:
        counters.incr("a", 60)
        later(59)
        assert counters.get("a") == 1
        later(2)
        assert counters.get("a") == 0
        assert abs(counters.get_expiry("a") - time.time()) < 5

    def test_are_not_prolonged_by_counting_on(self, counters: Any, later: Clock) -> None:
        counters.incr("a", 60)
        later(40)
        assert counters.incr("a", 60) == 2
        assert counters.get_expiry("a") - time.time() < 25
        later(21)
        assert counters.get("a") == 0

    def test_start_again_with_their_time_after_they_ended(self, counters: Any, later: Clock) -> None:
        counters.incr("a", 60, 5)
        later(61)
        assert counters.incr("a", 30) == 1
        assert 20 < counters.get_expiry("a") - time.time() < 31
