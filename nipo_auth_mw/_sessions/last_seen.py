"""When sessions and accounts were last used, written in the background, so that no request waits for it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw.models import StoredSession
from nipo_auth_mw.protocols import SessionStore, UsageStore


class LastSeen:
    """Writes "last seen" of sessions and the days on which accounts were used. `zone` says which day it is.

    Until a time is written this process remembers it, so that it neither writes it again nor ends the session.
    """

    def __init__(self, store: SessionStore, worker: Worker, zone: ZoneInfo) -> None:
        self._store = store
        self._usage = store if offers(store, UsageStore) else None
        self._worker = worker
        self._zone = zone
        self.unwritten: dict[str, float] = {}
        """The times that are not written yet, by the key of the session. Read one before the row of its session: it may
        be written in between."""

    def unwritten_keys(self) -> frozenset[str]:
        """The keys of the sessions whose time is not written yet. Read them before the rows."""
        return frozenset(self.unwritten)

    def note(self, user_id: str, now: float) -> None:
        """Write the use of the account on this day at once. Raises `StoreUnavailable`."""
        if self._usage is not None:
            self._usage.note_use(user_id, datetime.fromtimestamp(now, self._zone).date(), now)

    def touch(self, stored: StoredSession, now: float) -> None:
        """Write "last seen" and the day in the background."""
        key = stored.key
        self.unwritten[key] = now

        def write() -> None:
            try:
                self._store.touch_session(key, now)
                self.note(stored.user_id, now)
            finally:
                if self.unwritten.get(key) == now:
                    self.unwritten.pop(key, None)

        self._worker.submit(write)
