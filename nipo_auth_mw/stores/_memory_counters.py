"""The counters of one process, for `MemoryStore`."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

_FIRST_PRUNING = 1024


class MemoryCounters:
    """Counters in a dict, with the methods of a `limits` storage; see `protocols.BatchCounters`.

    `incr` adds and reads under one lock, so no two callers get the same sum. The `MemoryStorage` of limits releases its
    lock before it reads the sum: two guesses of an attacker can then share one attempt slot. Starts no thread: `incr`
    removes expired counters when the dict has doubled.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[int, float]] = {}
        self._prune_at = _FIRST_PRUNING

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` and return the sum. The first call starts the counter at 0 with a lifetime of `expiry` seconds,
        which later calls do not prolong."""
        return self.add({key: (amount, expiry)})[key]

    def add(self, changes: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """See `BatchCounters.add`."""
        sums = {}
        with self._lock:
            now = time.time()
            for key, (amount, lifetime) in changes.items():
                count, expires = self._rows.get(key, (0, now))
                if expires <= now:
                    count, expires = 0, now + lifetime
                sums[key] = count + amount
                self._rows[key] = sums[key], min(expires, now + lifetime)
            if len(self._rows) >= self._prune_at:
                self._prune(now)
        return sums

    def end(self, keys: Sequence[str], less: Mapping[str, int]) -> None:
        """See `BatchCounters.end`."""
        with self._lock:
            for key in keys:
                self._rows.pop(key, None)
            for key in less.keys() & self._rows.keys():
                count, expires = self._rows[key]
                self._rows[key] = count - 1, expires

    def get(self, key: str) -> int:
        """The count; 0 for a counter that does not exist or has expired."""
        count, expires = self._rows.get(key, (0, 0.0))
        return count if expires > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """The moment at which the counter expires, in seconds since 1970; the present moment without a counter."""
        now = time.time()
        return max(now, self._rows.get(key, (0, now))[1])

    def check(self) -> bool:
        """See `Counters.check`."""
        return True

    def reset(self) -> int:
        """Remove all counters; returns their number."""
        with self._lock:
            count = len(self._rows)
            self._rows.clear()
        return count

    def clear(self, key: str) -> None:
        """Remove one counter."""
        with self._lock:
            self._rows.pop(key, None)

    def read(self, lifetimes: Mapping[str, int]) -> Mapping[str, tuple[int, float]]:
        """See `BatchCounters.read`."""
        with self._lock:
            now = time.time()
            for key in lifetimes.keys() & self._rows.keys():
                count, expires = self._rows[key]
                if expires > now + lifetimes[key]:
                    self._rows[key] = count, now + lifetimes[key]
            found = {key: self._rows[key] for key in lifetimes.keys() & self._rows.keys()}
        return {key: (count, expires - now) for key, (count, expires) in found.items() if expires > now}

    def remove(self, keys: Sequence[str]) -> Mapping[str, int]:
        """See `BatchCounters.remove`."""
        with self._lock:
            now = time.time()
            removed = {key: self._rows.pop(key) for key in keys if key in self._rows}
        return {key: count for key, (count, expires) in removed.items() if expires > now}

    def _prune(self, now: float) -> None:
        self._rows = {key: row for key, row in self._rows.items() if row[1] > now}
        self._prune_at = max(_FIRST_PRUNING, 2 * len(self._rows))
