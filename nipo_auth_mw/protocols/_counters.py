"""The counters of the lockout and of the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Counters(Protocol):
    """The counters of the lock-out and the rate limits (ASVS 5 6.3.1). Every synchronous `limits` storage has these
    methods."""

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` and return the sum, in one atomic step. No two callers get the same sum.

        The first call starts the counter at 0 with a lifetime of `expiry` seconds, which later calls do not prolong.
        """

    def get(self, key: str) -> int:
        """The count; 0 for a counter that does not exist or has expired."""

    def get_expiry(self, key: str) -> float:
        """The moment at which the counter expires, in seconds since 1970; the present moment without a counter."""

    def clear(self, key: str) -> None:
        """Remove one counter."""

    def check(self) -> bool:
        """Whether the storage answers."""


@runtime_checkable
class BatchCounters(Counters, Protocol):
    """Optional: counters that are read, raised and removed several at a time, as one sign-in needs them."""

    def read(self, lifetimes: Mapping[str, int]) -> Mapping[str, tuple[int, float]]:
        """The counters of these names that exist and have not expired: the count, and the seconds until it expires.

        `lifetimes` gives the lifetime of each counter in seconds. No counter lasts longer from now on, even if a clock
        that was ahead wrote it.
        """

    def add(self, changes: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """Raise each of these counters by an amount, with a lifetime in seconds, as `incr` does. Returns the sums.

        In one atomic step, and in the given order, so that two callers never wait for each other.
        """

    def end(self, keys: Sequence[str], less: Mapping[str, int]) -> None:
        """End the counters of `keys`, and take 1 from those of `less`, which gives their lifetimes. In one atomic step,
        and in that order. Inside `transaction()` it belongs to it."""

    def remove(self, keys: Sequence[str]) -> Mapping[str, int]:
        """Remove counters and return the counts of those that had not expired, in one atomic step: of several callers
        at once exactly one gets a counter."""
