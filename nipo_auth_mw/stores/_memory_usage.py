"""The days of use of `MemoryStore`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date

from nipo_auth_mw.protocols import DayOfUse


class MemoryUsage:
    """`UsageStore` in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[tuple[str, date], DayOfUse] = {}
        self._usage_lock = threading.Lock()

    def note_use(self, user_id: str, day: date, at: float) -> None:
        """See `UsageStore.note_use`."""
        with self._usage_lock:
            use = self._usage.get((user_id, day), DayOfUse(user_id, day, at, at))
            self._usage[user_id, day] = use._replace(first_at=min(at, use.first_at), last_at=max(at, use.last_at))

    def users_of_days(self, days: Sequence[date], *, after: str, limit: int) -> Sequence[str]:
        """See `UsageStore.users_of_days`."""
        with self._usage_lock:
            return sorted({user_id for user_id, day in self._usage if day in days and user_id > after})[:limit]

    def days_of_use(self, user_ids: Sequence[str], first: date, last: date) -> Sequence[DayOfUse]:
        """See `UsageStore.days_of_use`."""
        with self._usage_lock:
            return [use for use in self._usage.values() if use.user_id in user_ids and first <= use.day <= last]

    def prune_usage(self, before: date) -> None:
        """See `UsageStore.prune_usage`."""
        with self._usage_lock:
            self._usage = {key: use for key, use in self._usage.items() if use.day >= before}
