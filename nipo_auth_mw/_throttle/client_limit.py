"""The limit of wrong passwords per client address, over all accounts.

It stops one client that tries a few passwords on each of many accounts (password spraying, credential stuffing). A
successful sign-in never clears it: otherwise an attacker with one account of their own could go on forever. ASVS 5
6.3.1.

A check counts *before* it verifies, as it does for the lockout. So a client never gets more than its number of wrong
passwords verified, however many of its requests run at once, also if their processes die.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nipo_auth_mw._throttle.counters import CounterNames, outages
from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.models import Client
from nipo_auth_mw.protocols import BatchCounters

_TIMES_SHARED = 5
_FAILURE = 1_000_000
"""What a failure adds to the counter. A check without a result adds 1, and of these there are fewer than half of it."""

Counts = Mapping[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class ClientCounter:
    """The counter of one client, its lifetime in seconds, and how many failures the client may have."""

    key: str
    lifetime: int
    most: int

    @property
    def names(self) -> dict[str, int]:
        """The name of the counter and its lifetime, to be read together with others."""
        return {self.key: self.lifetime}

    @property
    def check(self) -> dict[str, tuple[int, int]]:
        """The change of the counter when a check begins."""
        return {self.key: (1, self.lifetime)}

    @property
    def failure(self) -> dict[str, tuple[int, int]]:
        """The change of the counter when a check has failed."""
        return {self.key: (_FAILURE - 1, self.lifetime)}

    def wait(self, counts: Counts) -> int | None:
        """Whole seconds until the client may try again, or None if it has failures left."""
        count, left = counts.get(self.key, (0, 0.0))
        return self._seconds(left) if _failures(count) >= self.most else None

    def wait_if_full(self, counts: Counts) -> int | None:
        """The same, where a check without a result counts as a failure: it may become one."""
        count, left = counts.get(self.key, (0, 0.0))
        return self._seconds(left) if _with_checks(count) >= self.most else None

    def exceeded(self, count: int) -> bool:
        """Whether the check that raised the counter to this count is one too many."""
        return _with_checks(count) > self.most

    def reached(self, count: int) -> bool:
        """Whether the failure that raised the counter to this count was the client's last one."""
        return _failures(count) == self.most

    def _seconds(self, left: float) -> int:
        return max(1, math.ceil(left))


class ClientLimit:
    """Counts failures per client and refuses a client that has reached `client_failures` within `window`.

    The window starts at the first check. Every method raises `StoreUnavailable` if the counters cannot be reached; the
    caller then checks no password.
    """

    def __init__(self, policy: LockoutPolicy, counters: BatchCounters, names: CounterNames) -> None:
        self._failures = policy.client_failures
        self._window = int(policy.window.total_seconds())
        self._counters = counters
        self._names = names

    def of(self, client: Client) -> ClientCounter:
        """The counter of a client.

        Requests without an address share one counter, and a front end sends the requests of many users. Both may have
        more failures: one user who mistypes must not lock out the others, and an attacker must not go on forever.
        """
        key = self._names.client(client.address)
        most = self._failures * _TIMES_SHARED if key is None or client.front_end else self._failures
        return ClientCounter(key or "c:unknown", self._window, most)

    def limited(self, client: Client, *, full: bool = False) -> int | None:
        """Whole seconds until this client may try again, or None if it may try now. With `full`, checks without a
        result count as failures. Never more than the window, even if the clock was set back."""
        counter = self.of(client)
        with outages():
            counts = self._counters.read(counter.names)
        return counter.wait_if_full(counts) if full else counter.wait(counts)

    def count_against(self, client: Client) -> bool:
        """Count one failure of this client that no check counted. Returns True for the failure that reaches the
        limit."""
        counter = self.of(client)
        with outages():
            return counter.reached(self._counters.incr(counter.key, counter.lifetime, _FAILURE))


def _failures(count: int) -> int:
    # Rounded: a check that outlives the counter may leave the new one a little below its failures.
    return (count + _FAILURE // 2) // _FAILURE


def _with_checks(count: int) -> int:
    failures = _failures(count)
    return failures + max(0, count - failures * _FAILURE)
