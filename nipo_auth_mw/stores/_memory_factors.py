"""The factors and the backup codes of `MemoryStore`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from nipo_auth_mw.protocols import Factor


class MemoryFactors:
    """`AccountFactorStore` in dicts, under the lock of the store."""

    _lock: threading.RLock

    def __init__(self) -> None:
        super().__init__()
        self._factors: dict[str, Factor] = {}
        self._codes: dict[str, frozenset[str]] = {}

    def add_factor(self, factor: Factor) -> bool:
        """See `AccountFactorStore.add_factor`."""
        with self._lock:
            if factor.key in self._factors:
                return False
            self._factors[factor.key] = factor
            return True

    def find_factor(self, key: str) -> Factor | None:
        """See `AccountFactorStore.find_factor`."""
        with self._lock:
            return self._factors.get(key)

    def factors_of(self, user_id: str) -> Sequence[Factor]:
        """See `AccountFactorStore.factors_of`."""
        with self._lock:
            found = [factor for factor in self._factors.values() if factor.user_id == user_id]
        return sorted(found, key=lambda factor: (factor.created_at, factor.key))

    def update_factor(self, new: Factor, *, expected: str) -> bool:
        """See `AccountFactorStore.update_factor`."""
        with self._lock:
            stored = self._factors.get(new.key)
            if stored is None or stored.digest != expected:
                return False
            self._factors[new.key] = new._replace(
                user_id=stored.user_id, kind=stored.kind, created_at=stored.created_at
            )
            return True

    def remove_factor(self, key: str, user_id: str) -> Factor | None:
        """See `AccountFactorStore.remove_factor`."""
        with self._lock:
            stored = self._factors.get(key)
            return self._factors.pop(key) if stored is not None and stored.user_id == user_id else None

    def backup_codes(self, user_id: str) -> Sequence[str]:
        """See `AccountFactorStore.backup_codes`."""
        with self._lock:
            return sorted(self._codes.get(user_id, ()))

    def replace_backup_codes(self, user_id: str, digests: Sequence[str]) -> None:
        """See `AccountFactorStore.replace_backup_codes`."""
        with self._lock:
            self._codes[user_id] = frozenset(digests)

    def spend_backup_code(self, user_id: str, digest: str) -> bool:
        """See `AccountFactorStore.spend_backup_code`."""
        with self._lock:
            left = self._codes.get(user_id, frozenset())
            self._codes[user_id] = left - {digest}
            return digest in left

    def remove_factors(self, user_id: str) -> None:
        """See `AccountFactorStore.remove_factors`."""
        with self._lock:
            self._factors = {key: factor for key, factor in self._factors.items() if factor.user_id != user_id}
            self._codes.pop(user_id, None)
