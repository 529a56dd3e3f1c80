"""The sessions of `MemoryStore`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import islice

from nipo_auth_mw.models import Account, AccountState, StoredSession

_NO_STATE = AccountState()


class MemorySessions:
    """`SessionStore` and the optional protocols beside it, in a dict."""

    _lock: threading.RLock

    def __init__(self) -> None:
        super().__init__()
        self._accounts: dict[str, Account] = {}
        self._states: dict[str, AccountState] = {}
        self._sessions: dict[str, StoredSession] = {}
        self._last_used: dict[str, float] = {}

    def account_state(self, user_id: str) -> AccountState:
        """See `AccountStateStore.account_state`."""
        with self._lock:
            return self._states.get(user_id, _NO_STATE)

    def open_session(self, session: StoredSession) -> None:
        """See `SessionStore.open_session`."""
        with self._lock:
            self._sessions[session.key] = session

    def find_session(self, key: str) -> tuple[StoredSession, AccountState] | None:
        """See `SessionStore.find_session`."""
        with self._lock:
            session = self._sessions.get(key)
            return None if session is None else (session, self.account_state(session.user_id))

    def find_session_with_account(self, key: str) -> tuple[StoredSession, AccountState, Account | None] | None:
        """See `JoinedSessionStore.find_session_with_account`."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            return session, self.account_state(session.user_id), self._accounts.get(session.user_id)

    def touch_session(self, key: str, seen_at: float) -> None:
        """See `SessionStore.touch_session`."""
        with self._lock:
            session = self._sessions.get(key)
            if session is not None and session.seen_at < seen_at:
                self._sessions[key] = session._replace(seen_at=seen_at)

    def mark_session_sent(self, key: str, sent_at: float) -> bool:
        """See `SessionStore.mark_session_sent`."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return False
            self._sessions[key] = session._replace(sent_at=sent_at)
            return True

    def end_session(self, key: str) -> StoredSession | None:
        """See `SessionStore.end_session`."""
        with self._lock:
            ended = self._sessions.pop(key, None)
            if ended is not None:
                self._last_used[ended.user_id] = max(ended.seen_at, self._last_used.get(ended.user_id, 0.0))
            return ended

    def sessions_of(self, user_id: str) -> Sequence[StoredSession]:
        """See `SessionStore.sessions_of`."""
        with self._lock:
            found = [session for session in self._sessions.values() if session.user_id == user_id]
        return sorted(found, key=lambda session: session.seen_at, reverse=True)

    def surplus_sessions(self, user_id: str, *, keep: int) -> Sequence[StoredSession]:
        """See `SurplusSessions.surplus_sessions`."""
        return self.sessions_of(user_id)[keep:]

    def expired_sessions(
        self, *, persistent_before: float, browser_before: float, created_before: float, limit: int
    ) -> Sequence[StoredSession]:
        """See `SessionStore.expired_sessions`."""
        with self._lock:
            late = (
                session
                for session in self._sessions.values()
                if session.seen_at < (persistent_before if session.persistent else browser_before)
                or session.created_at < created_before
            )
            return list(islice(late, max(limit, 0)))

    def confirm_session(self, key: str, confirmed_at: float) -> bool:
        """See `SessionStore.confirm_session`."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return False
            self._sessions[key] = session._replace(confirmed_at=confirmed_at)
            return True

    def confirm_second(self, key: str, *, means: str, confirmed_at: float, second_at: float) -> bool:
        """See `SecondStepSessions.confirm_second`."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return False
            self._sessions[key] = session._replace(means=means, confirmed_at=confirmed_at, second_at=second_at)
            return True

    def restamp_session(self, key: str, stamp: str, *, expected: str) -> bool:
        """See `RestampableSessions.restamp_session`."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None or session.stamp != expected:
                return False
            self._sessions[key] = session._replace(stamp=stamp)
            return True

    def sessions_after(self, key: str, *, limit: int) -> Sequence[StoredSession]:
        """See `RestampableSessions.sessions_after`."""
        with self._lock:
            return sorted(one for one in self._sessions.values() if one.key > key)[: max(limit, 0)]
