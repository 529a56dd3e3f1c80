"""A store of factors in memory, for tests of the mechanisms above it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from nipo_auth_mw.protocols._factors import AccountFactorStore, Factor


class FactorStore(AccountFactorStore):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.factors: dict[str, Factor] = {}
        self.codes: dict[str, list[str]] = {}

    def add_factor(self, factor: Factor) -> bool:
        with self.lock:
            return self.factors.setdefault(factor.key, factor) is factor

    def find_factor(self, key: str) -> Factor | None:
        return self.factors.get(key)

    def factors_of(self, user_id: str) -> Sequence[Factor]:
        return sorted((f for f in self.factors.values() if f.user_id == user_id), key=lambda f: (f.created_at, f.key))

    def update_factor(self, new: Factor, *, expected: str) -> bool:
        with self.lock:
            if new.key not in self.factors or self.factors[new.key].digest != expected:
                return False
            self.factors[new.key] = new
            return True

    def remove_factor(self, key: str, user_id: str) -> Factor | None:
        with self.lock:
            found = self.factors.get(key)
            return self.factors.pop(key) if found and found.user_id == user_id else None

    def backup_codes(self, user_id: str) -> Sequence[str]:
        return list(self.codes.get(user_id, []))

    def replace_backup_codes(self, user_id: str, digests: Sequence[str]) -> None:
        self.codes[user_id] = list(digests)

    def spend_backup_code(self, user_id: str, digest: str) -> bool:
        with self.lock:
            stored = self.codes.get(user_id, [])
            if digest not in stored:
                return False
            stored.remove(digest)
            return True

    def remove_factors(self, user_id: str) -> None:
        with self.lock:
            self.factors = {key: f for key, f in self.factors.items() if f.user_id != user_id}
            self.codes.pop(user_id, None)
