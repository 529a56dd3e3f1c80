"""The suites for `Counters`: they demand more atomicity of a `limits` storage than limits does."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from nipo_auth_mw.protocols import Counters
from nipo_auth_mw.testing.contracts.base import RACERS, at_once

Clock = Callable[[float], None]


class _Counters:
    def make_counters(self) -> Any:
        """Counters without any count."""
        raise NotImplementedError

    @pytest.fixture
    def counters(self) -> Any:
        return self.make_counters()


class CounterContract(_Counters):
    """Override `make_counters`."""

    def test_has_the_protocols_methods(self, counters: Any) -> None:
        assert isinstance(counters, Counters)
        assert counters.check() is True

    def test_a_counter_counts_from_one(self, counters: Any) -> None:
        assert [counters.incr("a", 60) for _ in range(3)] == [1, 2, 3]
        assert counters.incr("b", 60) == 1
        assert (counters.get("a"), counters.get("b"), counters.get("c")) == (3, 1, 0)

    def test_keys_are_compared_exactly(self, counters: Any) -> None:
        for name in ("a:1", "A:1", "a:1 ", "a%", "a_"):
            assert counters.incr(name, 60) == 1, name

    def test_a_counter_adds_any_amount_also_a_negative_one(self, counters: Any) -> None:
        assert counters.incr("a", 60, 5) == 5
        assert counters.incr("a", 60, -1) == 4
        assert counters.incr("b", 60, -1) == -1

    def test_clear_removes_one_counter(self, counters: Any) -> None:
        counters.incr("a", 60)
        counters.incr("b", 60)
        counters.clear("a")
        counters.clear("never")
        assert (counters.get("a"), counters.get("b")) == (0, 1)
        assert counters.incr("a", 60) == 1

    def test_reset_removes_all_counters(self, counters: Any) -> None:
        counters.incr("a", 60)
        counters.incr("b", 60)
        counters.reset()
        assert (counters.get("a"), counters.get("b")) == (0, 0)

    def test_a_counter_has_a_moment_of_expiry(self, counters: Any) -> None:
        counters.incr("a", 60)
        assert abs(counters.get_expiry("a") - time.time() - 60) < 5
        assert abs(counters.get_expiry("never") - time.time()) < 5

    def test_no_two_callers_get_the_same_sum(self, counters: Any) -> None:
        results = at_once(lambda number: [counters.incr("a", 60) for _ in range(25)])
        sums = [number for result in results if isinstance(result, list) for number in result]
        assert sorted(sums) == list(range(1, 25 * RACERS + 1))
        assert counters.get("a") == 25 * RACERS


class CounterClockContract(_Counters):
    """For counters that expire by `time.time()`; those of Redis use the server's clock. Override `make_counters`."""

    @pytest.fixture
    def later(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        """Advances the clock by seconds."""
        real, moved = time.time, [0.0]
        monkeypatch.setattr(time, "time", lambda: real() + moved[0])

        def move(seconds: float) -> None:
            moved[0] += seconds

        return move

    def test_a_counter_expires_after_its_lifetime(self, counters: Any, later: Clock) -> None:
        counters.incr("a", 60)
        later(59)
        assert counters.get("a") == 1
        later(2)
        assert counters.get("a") == 0
        assert abs(counters.get_expiry("a") - time.time()) < 5

    def test_later_calls_do_not_prolong_a_counter(self, counters: Any, later: Clock) -> None:
        counters.incr("a", 60)
        later(40)
        assert counters.incr("a", 60) == 2
        assert counters.get_expiry("a") - time.time() < 25
        later(21)
        assert counters.get("a") == 0

    def test_an_expired_counter_starts_again_with_a_new_lifetime(self, counters: Any, later: Clock) -> None:
        counters.incr("a", 60, 5)
        later(61)
        assert counters.incr("a", 30) == 1
        assert 20 < counters.get_expiry("a") - time.time() < 31
