"""The limit of wrong passwords per client address, over all accounts.

It stops one client that tries a few passwords on each of many accounts (password spraying, credential stuffing). A
successful sign-in never clears it: otherwise an attacker with one account of their own could go on forever. ASVS 5
6.3.1.
"""

from __future__ import annotations

import math
import time

from nipo_auth_mw._throttle.counters import CounterNames, outages
from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.protocols import Counters


class ClientLimit:
    """Counts failures per client and refuses a client that has reached `client_failures` within `window`.

    The window starts at the first failure. Every method raises `StoreUnavailable` if the counters cannot be reached;
    the caller then checks no password.
    """

    def __init__(self, policy: LockoutPolicy, counters: Counters, names: CounterNames) -> None:
        self._failures = policy.client_failures
        self._window = int(policy.window.total_seconds())
        self._counters = counters
        self._names = names

    def limited(self, client_address: str) -> int | None:
        """Whole seconds until this client may try again, or None if it may try now.

        Never more than the window, even if the clock was set back. A client without an IP address has no limit.
        """
        if key := self._names.client(client_address):
            with outages():
                if self._counters.get(key) >= self._failures:
                    left = self._counters.get_expiry(key) - time.time()
                    return max(1, min(math.ceil(left), self._window))
        return None

    def count_against(self, client_address: str) -> bool:
        """Count one failure of this client. Returns True for the one failure that reaches the limit."""
        if key := self._names.client(client_address):
            with outages():
                return self._counters.incr(key, self._window) == self._failures
        return False
