"""What the middleware asks of its collaborators. The docstrings are the specification; the suites in
`nipo_auth_mw.testing.contracts` prove an implementation.

All of them may be called from several threads at once. "Not found" is a value, never an exception. An outage (the
database is down, full, locked beyond its time-out) is raised as `StoreUnavailable`, so that the middleware can fail
closed; a store that lets its driver's own exceptions through is treated the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from nipo_auth_mw.models import AccountNotes, EmailChange, Event, Message, Seal, StoredSession


class Account(Protocol):
    """What a user store returns: any object with these attributes.

    `id` is stable, never given to another person, printable latin-1 and at most 64 characters; `email` is the address
    as stored; `password_hash` is an argon2 string, or None for an account that has no password yet.
    """

    @property
    def id(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def password_hash(self) -> str | None: ...
    @property
    def active(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


@runtime_checkable
class UserStore(Protocol):
    """All that a host with its own user table implements."""

    def get(self, user_id: str) -> Account | None:
        """The account with this id. A text that could never be an id is simply not found."""

    def find_by_email(self, email: str) -> Account | None:
        """The account that signs in with this address, which is canonical (`emails.canonical`): compare it exactly."""

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """Replace the hash if it still is `expected`, in one atomic step; False if it was not or nobody has this id."""


@runtime_checkable
class EmailStore(Protocol):
    """Optional: lets addresses be changed."""

    def set_email(self, user_id: str, new: str, *, expected: str) -> bool:
        """Replace the (canonical) address if it still is `expected`, in one atomic step; False if it was not.

        Raises `EmailTaken` when another account has it: the database's unique constraint decides the race.
        """


@runtime_checkable
class StaffDirectory(Protocol):
    """Optional: lets accounts be created, listed and changed by an administrator or the command line."""

    def create(self, *, email: str, password_hash: str | None, name: str, role: str, active: bool) -> Account:
        """A new account under an id of its own, never used before. Raises `EmailTaken`."""

    def update(
        self, user_id: str, *, name: str | None = None, role: str | None = None, active: bool | None = None
    ) -> bool:
        """Change what is given and leave the rest; False when nobody has this id."""

    def delete(self, user_id: str) -> bool:
        """Remove the account and free its address, never its id; False when nobody has this id."""

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        """Accounts whose address or name contains `text` (any, for ""), ignoring case, ordered by address.

        `after` is the address of the last account of the page before, `limit` the size of this one. `text` is taken
        literally: `%` and `_` are no wild cards.
        """


@runtime_checkable
class SessionStore(Protocol):
    """Sessions, one row a device, and the notes we keep beside an account by its id."""

    def open_session(self, session: StoredSession) -> None:
        """Keep a new session. Its `key` is random, so it never meets another one's."""

    def find_session(self, key: str) -> tuple[StoredSession, AccountNotes] | None:
        """The session and its account's notes (`AccountNotes()` where none were written)."""

    def touch_session(self, key: str, seen_at: float) -> None:
        """Move `seen_at` forward, never back. A session that has ended meanwhile stays ended: never insert."""

    def mark_session_sent(self, key: str, sent_at: float) -> bool:
        """Write down that the cookie goes out again; False if the session has ended meanwhile."""

    def end_session(self, key: str) -> StoredSession | None:
        """Remove it. Of several callers in several processes exactly one gets the row; the others get None."""

    def sessions_of(self, user_id: str) -> Sequence[StoredSession]:
        """All of an account's, latest `seen_at` first."""

    def expired_sessions(
        self, *, kept_before: float, browser_before: float, created_before: float, limit: int
    ) -> Sequence[StoredSession]:
        """At most `limit` sessions that are past their time: `seen_at` < `kept_before` (of those kept) or <
        `browser_before` (of the others), or `created_at` < `created_before`."""

    def notes_of(self, user_id: str) -> AccountNotes:
        """The account's notes; `AccountNotes()` for one that has none."""

    def raise_epoch(self, user_id: str) -> int:
        """Add one to the account's epoch, atomically, and return it. It never goes back, not even for a deleted one."""

    def set_lineage(self, user_id: str, new: str, *, expected: str) -> bool:
        """Replace `lineage` if it still is `expected` ("" where no notes were written), in one atomic step."""

    def set_profile(self, user_id: str, *, language: str | None, notify_email: str | None) -> None:
        """Write both."""

    def set_change_by(self, user_id: str, change_by: float | None) -> None:
        """Write until when the password must have been changed; None when it need not be."""

    def confirm_session(self, key: str, confirmed_at: float) -> bool:
        """Write down that the password was given again; False if the session has ended meanwhile."""

    def memos_of(self, user_ids: Sequence[str]) -> Mapping[str, str]:
        """What administrators wrote down about these accounts; those without a memo are left out."""

    def set_memo(self, user_id: str, memo: str) -> None:
        """Write the memo; "" removes it."""


@runtime_checkable
class EmailChangeStore(Protocol):
    """Optional: keeps people's own changes of address, so that each can be confirmed once and cancelled later."""

    def add_email_change(self, change: EmailChange) -> None:
        """Keep a change that was asked for. Its `key` is random, so it never meets another one's."""

    def find_email_change(self, key: str) -> EmailChange | None:
        """The change with this key, whether it has expired or not."""

    def confirm_email_change(self, key: str, *, confirmed_at: float, expires_at: float) -> bool:
        """Write both if it is there and not confirmed yet, in one atomic step; False otherwise."""

    def cancel_email_change(self, key: str) -> EmailChange | None:
        """Remove it, and every change of this account asked for later. Of several callers at once one gets it."""

    def void_email_changes(self, user_id: str) -> None:
        """Remove all of an account's."""

    def prune_email_changes(self, expired_before: float) -> None:
        """Remove all whose `expires_at` is before that moment."""


@runtime_checkable
class RoleHolders(Protocol):
    """Optional: a directory that can keep the last administrator from being lost to two changes at once."""

    def active_with_role(self, role: str) -> Sequence[str]:
        """The ids of active accounts with this role. Inside a transaction nobody else changes these accounts until it
        ends."""


@runtime_checkable
class JoinedSessionStore(Protocol):
    """Optional: a session store that is the user store too and can answer in one round trip."""

    def find_session_with_account(self, key: str) -> tuple[StoredSession, AccountNotes, Account | None] | None:
        """As `find_session`, and the session's account, None when it is gone."""


@runtime_checkable
class AuditLog(Protocol):
    """The append-only history of sign-ins, sign-outs and changes."""

    def append_event(self, event: Event) -> None:
        """Add one row. There is no way to change or remove it through this package."""

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
        """The newest by `time` first, and of one time the one written last; each with its `position` and `digest`.

        Those alone that have what is given, exactly; `since` is part of the time asked for, `until` is not. `after` is
        the `position` of the last event of the page before; a text that is none finds nothing.
        """


@runtime_checkable
class SealableLog(Protocol):
    """Optional: a history whose rows have numbers, and that keeps the seals on them. Rows leave it in whole batches,
    and in no other way."""

    def numbered_events(self, after: int, *, limit: int) -> Sequence[tuple[int, Event]]:
        """Rows whose number is higher than `after`, by number. A row that is written later has a higher one, but for
        transactions that end in another order than they began."""

    def seals(self, *, above: int = -1, after: int = 0, limit: int) -> Sequence[Seal]:
        """Seals with a higher number than `after` and a `last` higher than `above`, by number."""

    def last_seal(self) -> Seal | None:
        """The one with the highest number."""

    def add_seal(self, seal: Seal) -> bool:
        """Keep it; False if there is one of this number."""

    def remove_sealed(self, anchor: Seal) -> None:
        """Remove the seals up to the anchor's number, the rows they name, and put the anchor there, in one step."""


@runtime_checkable
class Transactional(Protocol):
    """Optional: a store whose several writes can be one."""

    def transaction(self) -> AbstractContextManager[Any]:
        """Everything this thread writes through this store inside the `with` happens whole or, on an exception, not at
        all. Entering it again inside joins the outer one."""


@runtime_checkable
class Mailer(Protocol):
    """How mails leave. Called on a thread of the background, so it may take its time.

    An attribute `sender` (an address) is shown to people, who have to allow it in their mail filters.
    """

    def send(self, message: Message) -> None:
        """Hand one mail over for exactly `message.to`. Raises `MailerError`; then it is tried again a few times."""


@runtime_checkable
class PasswordHasher(Protocol):
    """The methods of argon2-cffi's `PasswordHasher` that we call."""

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str: ...
    def verify(self, hash: str | bytes, password: str | bytes) -> Any: ...
    def check_needs_rehash(self, hash: str | bytes) -> bool: ...


Listener = Callable[[Event], object]
