"""The store for tests: everything in dicts, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, islice

from nipo_auth_mw.errors import EmailTaken
from nipo_auth_mw.models import Account, AccountNotes, Event, StoredSession
from nipo_auth_mw.stores.memory_counters import MemoryCounters


class MemoryStore:
    """All of a store's protocols, for one process; see `nipo_auth_mw.protocols` for what each method promises.

    One lock guards it, and `transaction()` holds that lock, so other threads see all of a transaction or nothing.
    """

    def __init__(self) -> None:
        self.counters = MemoryCounters()
        self._lock = threading.RLock()
        self._depth = 0
        self._ids = count(1)
        self._accounts: dict[str, Account] = {}
        self._notes: dict[str, AccountNotes] = {}
        self._sessions: dict[str, StoredSession] = {}
        self._events: list[Event] = []

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._accounts)} accounts, {len(self._sessions)} sessions)"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What this thread writes inside is undone if an exception leaves the outermost `with`. Counters are not part
        of it: what was counted stays counted."""
        with self._lock:
            before = (dict(self._accounts), dict(self._notes), dict(self._sessions), len(self._events))
            self._depth += 1
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._accounts, self._notes, self._sessions, kept = before
                    del self._events[kept:]
                raise
            finally:
                self._depth -= 1

    # Accounts

    def get(self, user_id: str) -> Account | None:
        with self._lock:
            return self._accounts.get(user_id)

    def find_by_email(self, email: str) -> Account | None:
        with self._lock:
            return next((account for account in self._accounts.values() if account.email == email), None)

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        with self._lock:
            account = self._accounts.get(user_id)
            if account is None or account.password_hash != expected:
                return False
            self._accounts[user_id] = account._replace(password_hash=new)
            return True

    def set_email(self, user_id: str, new: str, *, expected: str) -> bool:
        with self._lock:
            account = self._accounts.get(user_id)
            if account is None or account.email != expected:
                return False
            owner = self.find_by_email(new)
            if owner is not None and owner.id != user_id:
                raise EmailTaken("another account has this address")
            self._accounts[user_id] = account._replace(email=new)
            return True

    def create(self, *, email: str, password_hash: str | None, name: str, role: str, active: bool) -> Account:
        with self._lock:
            if self.find_by_email(email) is not None:
                raise EmailTaken("another account has this address")
            account = Account(str(next(self._ids)), email, password_hash, active, name, role)
            self._accounts[account.id] = account
            return account

    def update(
        self, user_id: str, *, name: str | None = None, role: str | None = None, active: bool | None = None
    ) -> bool:
        with self._lock:
            account = self._accounts.get(user_id)
            if account is None:
                return False
            self._accounts[user_id] = account._replace(
                name=account.name if name is None else name,
                role=account.role if role is None else role,
                active=account.active if active is None else active,
            )
            return True

    def delete(self, user_id: str) -> bool:
        with self._lock:
            return self._accounts.pop(user_id, None) is not None

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        wanted = text.casefold()
        with self._lock:
            found = [
                account
                for account in self._accounts.values()
                if (after is None or account.email > after)
                and (wanted in account.email.casefold() or wanted in account.name.casefold())
            ]
        return sorted(found, key=lambda account: account.email)[: max(limit, 0)]

    # Sessions, and the notes beside an account

    def open_session(self, session: StoredSession) -> None:
        with self._lock:
            self._sessions[session.key] = session

    def find_session(self, key: str) -> tuple[StoredSession, AccountNotes] | None:
        with self._lock:
            session = self._sessions.get(key)
            return None if session is None else (session, self.notes_of(session.user_id))

    def find_session_with_account(self, key: str) -> tuple[StoredSession, AccountNotes, Account | None] | None:
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            return session, self.notes_of(session.user_id), self._accounts.get(session.user_id)

    def touch_session(self, key: str, seen_at: float) -> None:
        with self._lock:
            session = self._sessions.get(key)
            if session is not None and session.seen_at < seen_at:
                self._sessions[key] = session._replace(seen_at=seen_at)

    def mark_session_sent(self, key: str, sent_at: float) -> bool:
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return False
            self._sessions[key] = session._replace(sent_at=sent_at)
            return True

    def end_session(self, key: str) -> StoredSession | None:
        with self._lock:
            return self._sessions.pop(key, None)

    def sessions_of(self, user_id: str) -> Sequence[StoredSession]:
        with self._lock:
            found = [session for session in self._sessions.values() if session.user_id == user_id]
        return sorted(found, key=lambda session: session.seen_at, reverse=True)

    def expired_sessions(
        self, *, kept_before: float, browser_before: float, created_before: float, limit: int
    ) -> Sequence[StoredSession]:
        with self._lock:
            late = (
                session
                for session in self._sessions.values()
                if session.seen_at < (kept_before if session.kept else browser_before)
                or session.created_at < created_before
            )
            return list(islice(late, max(limit, 0)))

    def notes_of(self, user_id: str) -> AccountNotes:
        with self._lock:
            return self._notes.get(user_id, AccountNotes())

    def raise_epoch(self, user_id: str) -> int:
        with self._lock:
            notes = self.notes_of(user_id)
            self._notes[user_id] = notes._replace(epoch=notes.epoch + 1)
            return notes.epoch + 1

    def set_lineage(self, user_id: str, new: str, *, expected: str) -> bool:
        with self._lock:
            notes = self.notes_of(user_id)
            if notes.lineage != expected:
                return False
            self._notes[user_id] = notes._replace(lineage=new)
            return True

    def set_profile(self, user_id: str, *, language: str | None, notify_email: str | None) -> None:
        with self._lock:
            self._notes[user_id] = self.notes_of(user_id)._replace(language=language, notify_email=notify_email)

    # The history

    def append_event(self, event: Event) -> None:
        with self._lock:
            self._events.append(replace(event, details=dict(event.details)))

    def events(self, *, user_id: str | None = None, limit: int = 50) -> Sequence[Event]:
        with self._lock:
            newest = (e for e in reversed(self._events) if user_id is None or e.user_id == user_id)
            return list(islice(newest, max(limit, 0)))
