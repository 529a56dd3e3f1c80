"""The limit of wrong passwords per client address, over all accounts.

It stops one client that tries a few passwords on each of many accounts (password spraying, credential stuffing). A
successful sign-in never clears it: otherwise an attacker with one account of their own could go on forever. ASVS 5
6.3.1.
"""

from __future__ import annotations

import math

from nipo_auth_mw._throttle.counters import CounterNames, Reading, outages
from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.models import Client
from nipo_auth_mw.protocols import BatchCounters

_TIMES_SHARED = 5


class ClientLimit:
    """Counts failures per client and refuses a client that has reached `client_failures` within `window`.

    The window starts at the first failure. Every method raises `StoreUnavailable` if the counters cannot be reached;
    the caller then checks no password.
    """

    def __init__(self, policy: LockoutPolicy, counters: BatchCounters, names: CounterNames) -> None:
        self._failures = policy.client_failures
        self._window = int(policy.window.total_seconds())
        self._counters = counters
        self._names = names

    def names(self, client: Client) -> dict[str, int]:
        """The client's counter and its lifetime, to be read together with others."""
        return {self._limit_of(client)[0]: self._window}

    def limited(self, client: Client, seen: Reading | None = None) -> int | None:
        """Whole seconds until this client may try again, or None if it may try now.

        `seen` holds the client's counter; without it, the method reads the counter. Never more than the window, even if
        the clock was set back.
        """
        key, most = self._limit_of(client)
        with outages():
            counts = seen.counts if seen is not None else self._counters.read({key: self._window})
        count, left = counts.get(key, (0, 0.0))
        return max(1, math.ceil(left)) if count >= most else None

    def count_against(self, client: Client) -> bool:
        """Count one failure of this client. Returns True for the one failure that reaches the limit."""
        key, most = self._limit_of(client)
        with outages():
            return self._counters.incr(key, self._window) == most

    def _limit_of(self, client: Client) -> tuple[str, int]:
        """The counter of a client, and how many failures it may have.

        Requests without an address share one counter, and a front end sends the requests of many users. Both may have
        more failures: one user who mistypes must not lock out the others, and an attacker must not go on forever.
        """
        key = self._names.client(client.address)
        most = self._failures * _TIMES_SHARED if key is None or client.front_end else self._failures
        return key or "c:unknown", most
