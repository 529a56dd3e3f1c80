"""The store for tests: dicts that end with the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count, islice

from nipo_auth_mw.errors import EmailTaken
from nipo_auth_mw.models import (
    Account,
    AccountState,
    Event,
    StaffEntry,
    StaffPage,
    StaffQuery,
)
from nipo_auth_mw.stores._folding import words_of
from nipo_auth_mw.stores._memory_counters import MemoryCounters
from nipo_auth_mw.stores._memory_email_changes import MemoryEmailChanges
from nipo_auth_mw.stores._memory_factors import MemoryFactors
from nipo_auth_mw.stores._memory_outbox import MemoryOutbox
from nipo_auth_mw.stores._memory_sessions import MemorySessions
from nipo_auth_mw.stores._memory_staff import matches, page_of
from nipo_auth_mw.stores._memory_usage import MemoryUsage


class MemoryStore(MemorySessions, MemoryUsage, MemoryFactors, MemoryEmailChanges, MemoryOutbox):
    """Every protocol of a store except `SealableLog`, for one process; `nipo_auth_mw.protocols` specifies the methods.

    One lock guards the store. `transaction()` holds this lock, so other threads see all of a transaction or nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counters: MemoryCounters = MemoryCounters()
        self._depth = 0
        self._ids = count(1)
        self._events: list[Event] = []

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._accounts)} accounts, {len(self._sessions)} sessions)"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """An exception that leaves the outermost `with` rolls back this thread's writes, except those to counters."""
        with self._lock:
            if self._depth:
                yield
                return
            before = (dict(self._accounts), dict(self._states), dict(self._sessions), dict(self._last_used))
            changes, mails, written = dict(self._changes), dict(self._mails), len(self._events)
            proofs = (dict(self._factors), dict(self._codes))
            self._depth += 1
            try:
                yield
            except BaseException:
                self._accounts, self._states, self._sessions, self._last_used = before
                self._changes, self._mails = changes, mails
                self._factors, self._codes = proofs
                del self._events[written:]
                raise
            finally:
                self._depth -= 1

    # Accounts

    def get(self, user_id: str) -> Account | None:
        """See `UserStore.get`."""
        with self._lock:
            return self._accounts.get(user_id)

    def find_by_email(self, email: str) -> Account | None:
        """See `UserStore.find_by_email`."""
        with self._lock:
            return next((account for account in self._accounts.values() if account.email == email), None)

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """See `UserStore.set_password_hash`."""
        with self._lock:
            account = self._accounts.get(user_id)
            if account is None or account.password_hash != expected:
                return False
            self._accounts[user_id] = account._replace(password_hash=new)
            return True

    def set_email(self, user_id: str, new: str, *, expected: str) -> bool:
        """See `EmailStore.set_email`."""
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
        """See `StaffDirectory.create`."""
        with self._lock:
            if self.find_by_email(email) is not None:
                raise EmailTaken("another account has this address")
            account = Account(str(next(self._ids)), email, password_hash, active, name, role)
            self._accounts[account.id] = account
            return account

    def update(
        self, user_id: str, *, name: str | None = None, role: str | None = None, active: bool | None = None
    ) -> bool:
        """See `StaffDirectory.update`."""
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
        """See `StaffDirectory.delete`."""
        with self._lock:
            return self._accounts.pop(user_id, None) is not None

    def active_with_role(self, role: str) -> Sequence[str]:
        """See `RoleHolders.active_with_role`."""
        with self._lock:
            return [account.id for account in self._accounts.values() if account.active and account.role == role]

    def hash_unlike(self, beginnings: Sequence[str], *, start: str) -> str | None:
        """See `HashSamples.hash_unlike`."""
        with self._lock:
            hashes = [account.password_hash for account in self._accounts.values() if account.password_hash]
        unlike = (one for one in hashes if one.startswith(start) and not one.startswith(tuple(beginnings)))
        return next(unlike, None)

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        """See `StaffDirectory.search`. Finds readings too, whatever the width, the blanks and the variants of kanji."""
        words = words_of(text)
        with self._lock:
            found = [
                account
                for account in self._accounts.values()
                if (after is None or account.email > after) and matches(account, self.account_state(account.id), words)
            ]
        return sorted(found, key=lambda account: account.email)[: max(limit, 0)]

    def staff_page(self, query: StaffQuery) -> StaffPage:
        """See `JoinedStaffDirectory.staff_page`."""
        with self._lock:
            return page_of([self._entry(account) for account in self._accounts.values()], query)

    def _entry(self, account: Account) -> StaffEntry:
        sessions = self.sessions_of(account.id)
        return StaffEntry(account, self.account_state(account.id), sessions, self._last_used.get(account.id))

    # Account state

    def account_states(self, user_ids: Sequence[str]) -> Mapping[str, AccountState]:
        """See `AccountStateStore.account_states`."""
        with self._lock:
            return {user_id: self._states[user_id] for user_id in user_ids if user_id in self._states}

    def update_account_state(self, user_id: str, new: AccountState, *, expected: AccountState) -> bool:
        """See `AccountStateStore.update_account_state`."""
        with self._lock:
            stored = self.account_state(user_id)
            if stored.version != expected.version:
                return False
            self._states[user_id] = AccountState(stored.revocation_counter, stored.version + 1, new.attributes)
            return True

    def raise_revocation_counter(self, user_id: str) -> int:
        """See `AccountStateStore.raise_revocation_counter`."""
        with self._lock:
            stored = self.account_state(user_id)
            raised = stored.revocation_counter + 1
            self._states[user_id] = replace(stored, revocation_counter=raised)
            return raised

    # Audit log

    def append_event(self, event: Event) -> None:
        """See `AuditLog.append_event`."""
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
        """See `AuditLog.events`."""
        with self._lock:
            numbered = list(enumerate(self._events))
        newest = sorted(numbered, key=lambda pair: (pair[1].time, pair[0]), reverse=True)
        start = 0
        if after:
            start = next((n + 1 for n, (number, _) in enumerate(newest) if str(number) == after), len(newest))
        wanted = {"user_id": user_id, "email": email, "event": event}
        found = (
            replace(one, position=str(number))
            for number, one in newest[start:]
            if all(value is None or getattr(one, name) == value for name, value in wanted.items())
            and (since is None or one.time >= since)
            and (until is None or one.time < until)
        )
        return list(islice(found, max(limit, 0)))
