"""The store for tests: everything in dicts, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count, islice

from nipo_auth_mw.errors import EmailTaken
from nipo_auth_mw.models import Account, AccountNotes, EmailChange, Event, StoredSession
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
        self._memos: dict[str, str] = {}
        self._sessions: dict[str, StoredSession] = {}
        self._changes: dict[str, EmailChange] = {}
        self._events: list[Event] = []

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._accounts)} accounts, {len(self._sessions)} sessions)"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What this thread writes inside is undone if an exception leaves the outermost `with`. Counters are not part
        of it: what was counted stays counted."""
        with self._lock:
            before = (dict(self._accounts), dict(self._notes), dict(self._memos), dict(self._sessions))
            changes, written = dict(self._changes), len(self._events)
            self._depth += 1
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._accounts, self._notes, self._memos, self._sessions = before
                    self._changes = changes
                    del self._events[written:]
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

    def active_with_role(self, role: str) -> Sequence[str]:
        with self._lock:
            return [account.id for account in self._accounts.values() if account.active and account.role == role]

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

    def set_change_by(self, user_id: str, change_by: float | None) -> None:
        with self._lock:
            self._notes[user_id] = self.notes_of(user_id)._replace(change_by=change_by)

    def confirm_session(self, key: str, confirmed_at: float) -> bool:
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return False
            self._sessions[key] = session._replace(confirmed_at=confirmed_at)
            return True

    def memos_of(self, user_ids: Sequence[str]) -> Mapping[str, str]:
        with self._lock:
            return {user_id: self._memos[user_id] for user_id in user_ids if user_id in self._memos}

    def set_memo(self, user_id: str, memo: str) -> None:
        with self._lock:
            self._memos[user_id] = memo
            if not memo:
                del self._memos[user_id]

    # Changes of address

    def add_email_change(self, change: EmailChange) -> None:
        with self._lock:
            self._changes[change.key] = change

    def find_email_change(self, key: str) -> EmailChange | None:
        with self._lock:
            return self._changes.get(key)

    def confirm_email_change(self, key: str, *, confirmed_at: float, expires_at: float) -> bool:
        with self._lock:
            change = self._changes.get(key)
            if change is None or change.confirmed_at is not None:
                return False
            self._changes[key] = replace(change, confirmed_at=confirmed_at, expires_at=expires_at)
            return True

    def cancel_email_change(self, key: str) -> EmailChange | None:
        with self._lock:
            change = self._changes.pop(key, None)
            if change is not None:
                self._drop(lambda c: c.user_id == change.user_id and c.requested_at >= change.requested_at)
            return change

    def void_email_changes(self, user_id: str) -> None:
        with self._lock:
            self._drop(lambda change: change.user_id == user_id)

    def prune_email_changes(self, expired_before: float) -> None:
        with self._lock:
            self._drop(lambda change: change.expires_at < expired_before)

    def _drop(self, which: Callable[[EmailChange], bool]) -> None:
        for key in [key for key, change in self._changes.items() if which(change)]:
            del self._changes[key]

    # The history

    def append_event(self, event: Event) -> None:
        with self._lock:
            self._events.append(replace(event, details=dict(event.details)))

    def events(
        self,
        *,
        user_id: str | None = None,
        email: str | None = None,
        event: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int = 50,
    ) -> Sequence[Event]:
        with self._lock:
            numbered = list(enumerate(self._events))
        newest = sorted(numbered, key=lambda pair: (pair[1].time, pair[0]), reverse=True)
        placed = [replace(one, position=str(number)) for number, one in newest]
        start = 0
        if after:
            start = next((n + 1 for n, one in enumerate(placed) if one.position == after), len(placed))
        wanted = {"user_id": user_id, "email": email, "event": event}
        found = (
            one
            for one in placed[start:]
            if all(value is None or getattr(one, name) == value for name, value in wanted.items())
            and (since is None or one.time >= since)
            and (until is None or one.time < until)
        )
        return list(islice(found, max(limit, 0)))
