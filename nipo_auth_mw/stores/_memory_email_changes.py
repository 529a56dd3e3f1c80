"""The email changes of `MemoryStore`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from nipo_auth_mw.models import EmailChange


class MemoryEmailChanges:
    """`EmailChangeStore` in a dict, under the lock of the store."""

    _lock: threading.RLock

    def __init__(self) -> None:
        super().__init__()
        self._changes: dict[str, EmailChange] = {}

    def add_email_change(self, change: EmailChange) -> None:
        """See `EmailChangeStore.add_email_change`."""
        with self._lock:
            self._changes[change.key] = change

    def find_email_change(self, key: str) -> EmailChange | None:
        """See `EmailChangeStore.find_email_change`."""
        with self._lock:
            return self._changes.get(key)

    def email_changes_of(self, user_id: str) -> Sequence[EmailChange]:
        """See `EmailChangeStore.email_changes_of`."""
        with self._lock:
            return [change for change in self._changes.values() if change.user_id == user_id]

    def confirm_email_change(self, key: str, *, confirmed_at: float, expires_at: float) -> bool:
        """See `EmailChangeStore.confirm_email_change`."""
        with self._lock:
            change = self._changes.get(key)
            if change is None or change.confirmed_at is not None:
                return False
            self._changes[key] = replace(change, confirmed_at=confirmed_at, expires_at=expires_at)
            return True

    def cancel_email_change(self, key: str) -> EmailChange | None:
        """See `EmailChangeStore.cancel_email_change`."""
        with self._lock:
            return self._changes.pop(key, None)

    def void_email_changes(self, user_id: str) -> None:
        """See `EmailChangeStore.void_email_changes`."""
        with self._lock:
            self._drop(lambda change: change.user_id == user_id)

    def prune_email_changes(self, expired_before: float) -> None:
        """See `EmailChangeStore.prune_email_changes`."""
        with self._lock:
            self._drop(lambda change: change.expires_at < expired_before)

    def _drop(self, which: Callable[[EmailChange], bool]) -> None:
        for key in [key for key, change in self._changes.items() if which(change)]:
            del self._changes[key]
