"""Counters of one process, for `MemoryStore`."""

from __future__ import annotations

import threading
import time

from limits.storage import Storage

_FIRST_PRUNING = 1024


class MemoryCounters(Storage):
    """A `limits` storage in a dict.

    `incr` returns the value that it made, under one lock, so no two callers are told the same one; limits' own
    `MemoryStorage` reads it again after letting its lock go, and a lock on passwords cannot be built on that. Starts
    no thread: what has expired is removed when the table has doubled.
    """

    STORAGE_SCHEME = None  # No URI leads here: counters belong to their store.

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[int, float]] = {}
        self._prune_at = _FIRST_PRUNING

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` and return the sum. A counter starts at 0, with `expiry` seconds to live, which later
        increments do not prolong."""
        with self._lock:
            now = time.time()
            count, expires = self._rows.get(key, (0, now))
            if expires <= now:
                count, expires = 0, now + expiry
            self._rows[key] = count + amount, expires
            if len(self._rows) >= self._prune_at:
                self._prune(now)
            return count + amount

    def get(self, key: str) -> int:
        """The count; 0 when there is none or it has expired."""
        count, expires = self._rows.get(key, (0, 0.0))
        return count if expires > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the counter ends, in seconds since the epoch; now, when there is none."""
        now = time.time()
        return max(now, self._rows.get(key, (0, now))[1])

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        """Forget all counters; returns how many there were."""
        with self._lock:
            count = len(self._rows)
            self._rows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one counter."""
        with self._lock:
            self._rows.pop(key, None)

    def _prune(self, now: float) -> None:
        self._rows = {key: row for key, row in self._rows.items() if row[1] > now}
        self._prune_at = max(_FIRST_PRUNING, 2 * len(self._rows))
