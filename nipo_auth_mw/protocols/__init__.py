"""The protocols of every collaborator of the middleware. Each docstring is the specification of its method; the suites
in `nipo_auth_mw.testing.contracts` test an implementation.

Several threads call one object at once. "Not found" is a return value, never an exception. A store raises
`StoreUnavailable` for an outage (the database is down, full, or locked beyond its time-out), and the middleware fails
closed: it answers 503. The middleware handles any other exception of a store in the same way. "In one atomic step"
means: of several processes that call the method at the same moment, each sees the effect of all earlier calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from nipo_auth_mw.models import (
    AccountState,
    EmailChange,
    Event,
    Message,
    Seal,
    StoredSession,
)
from nipo_auth_mw.protocols._counters import BatchCounters as BatchCounters
from nipo_auth_mw.protocols._counters import Counters as Counters
from nipo_auth_mw.protocols._factors import AccountFactorStore as AccountFactorStore
from nipo_auth_mw.protocols._factors import Factor as Factor
from nipo_auth_mw.protocols._factors import SecondStepSessions as SecondStepSessions
from nipo_auth_mw.protocols._hashers import HashSamples as HashSamples
from nipo_auth_mw.protocols._hashers import LegacyHasher as LegacyHasher
from nipo_auth_mw.protocols._hashers import PasswordHasher as PasswordHasher
from nipo_auth_mw.protocols._key_rotation import RestampableSessions as RestampableSessions
from nipo_auth_mw.protocols._outbox import OutboxStore as OutboxStore
from nipo_auth_mw.protocols._staff_lists import JoinedStaffDirectory as JoinedStaffDirectory
from nipo_auth_mw.protocols._usage import DayOfUse as DayOfUse
from nipo_auth_mw.protocols._usage import UsageStore as UsageStore
from nipo_auth_mw.protocols._user_tables import HashWidth as HashWidth
from nipo_auth_mw.protocols._user_tables import ReusedIds as ReusedIds


class Account(Protocol):
    """One account of a user store: any object with these attributes.

    `id` is stable, printable latin-1 and at most 64 characters long; the store never gives it to another user. `email`
    is the canonical address, `password_hash` an argon2 string in PHC format, a text that one of `legacy_hashers` reads,
    or None for an account without a password.
    """

    @property
    def id(self) -> str:
        """Stable, and never given to another account."""

    @property
    def email(self) -> str:
        """The address that the user signs in with, as it is stored."""

    @property
    def password_hash(self) -> str | None:
        """An argon2 string or a legacy hash. None, "" or a text that begins with "!" or "*" means no password."""

    @property
    def active(self) -> bool:
        """Whether the user may sign in."""

    @property
    def name(self) -> str:
        """The name that pages show, "" without one."""

    @property
    def role(self) -> str:
        """The name of a role."""


@runtime_checkable
class UserStore(Protocol):
    """The accounts. A host app with a user table of its own implements these three methods and no more."""

    def get(self, user_id: str) -> Account | None:
        """The account with this id. None for any other text, also for a text that is no possible id."""

    def find_by_email(self, email: str) -> Account | None:
        """The account with this canonical address. The store compares it exactly, without folding case."""

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """Replace the password hash if the stored one equals `expected`, in one atomic step.

        False if the stored hash differs or no account has this id. The comparison stops an attacker who resets a
        password and a user who changes it at the same moment from both succeeding.
        """


@runtime_checkable
class EmailStore(Protocol):
    """Optional: the user store can change the address of an account."""

    def set_email(self, user_id: str, new: str, *, expected: str) -> bool:
        """Replace the canonical address if the stored one equals `expected`, in one atomic step; otherwise False.

        Raises `EmailTaken` when another account has the new address. A unique constraint of the database must decide
        this, since a look-up before the write loses the race.
        """


@runtime_checkable
class StaffDirectory(Protocol):
    """Optional: administrators and the command line can create, list, change and delete accounts."""

    def create(self, *, email: str, password_hash: str | None, name: str, role: str, active: bool) -> Account:
        """Create an account under an id that the store has never used before. Raises `EmailTaken`."""

    def update(
        self, user_id: str, *, name: str | None = None, role: str | None = None, active: bool | None = None
    ) -> bool:
        """Set the given attributes and keep the others. False when no account has this id."""

    def delete(self, user_id: str) -> bool:
        """Delete the account. Its address becomes free, its id never does. False when no account has this id."""

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        """Accounts whose address or name contains `text`, ignoring case, ordered by address by code points.

        `after` is the last address of the previous page, None for the first page; `limit` is the size of a page. The
        store takes `text` literally: `%` and `_` are no wild cards. An empty text matches every account.
        """


@runtime_checkable
class AccountSearch(Protocol):
    """Optional, and a part of `StaffDirectory`: `nipo-auth user list` and `auth.accounts.search` list the accounts,
    `nipo-auth check` finds addresses and hashes that no user can sign in with, and a process finds the kinds of hashes
    at its first check of a password."""

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        """See `StaffDirectory.search`."""


@runtime_checkable
class SessionStore(Protocol):
    """The sessions, one row for each device of an account.

    The object given as `sessions=` or `store=` is an `AccountStateStore` as well. A key is the SHA-256, in hexadecimal
    digits, of the cookie's random secret of 256 bits (ASVS 5 7.2.3): a copy of the table opens no session.
    """

    def open_session(self, session: StoredSession) -> None:
        """Add a session. Its random key collides with no other."""

    def find_session(self, key: str) -> tuple[StoredSession, AccountState] | None:
        """The session and the state of its account (`AccountState()` where nothing was written).

        Both are current: a session that another process has ended is None at the very next call (ASVS 5 7.4.1).
        """

    def touch_session(self, key: str, seen_at: float) -> None:
        """Set `seen_at` if it is later than the stored one. Never inserts: a session that has ended stays ended."""

    def mark_session_sent(self, key: str, sent_at: float) -> bool:
        """Set `sent_at`. False if the session has ended."""

    def confirm_session(self, key: str, confirmed_at: float) -> bool:
        """Set `confirmed_at`. False if the session has ended."""

    def end_session(self, key: str) -> StoredSession | None:
        """Remove the session and return it. Of several callers in several processes exactly one gets the session, the
        others get None; the caller that gets it writes the event."""

    def sessions_of(self, user_id: str) -> Sequence[StoredSession]:
        """All sessions of an account, the latest `seen_at` first."""

    def expired_sessions(
        self, *, persistent_before: float, browser_before: float, created_before: float, limit: int
    ) -> Sequence[StoredSession]:
        """At most `limit` expired sessions: persistent ones with `seen_at` < `persistent_before`, others with
        `seen_at` < `browser_before`, and any with `created_at` < `created_before`. Removes none."""


@runtime_checkable
class SurplusSessions(Protocol):
    """Optional: the session store finds the sessions that an account has too many of, without reading the others."""

    def surplus_sessions(self, user_id: str, *, keep: int) -> Sequence[StoredSession]:
        """The sessions of an account beyond the `keep` with the latest `seen_at`."""


@runtime_checkable
class AccountStateStore(Protocol):
    """The state beside an account (`models.AccountState`), by the account's id. The store need not know the account.

    A read inside a transaction sees what other transactions have committed (isolation level READ COMMITTED), so that a
    caller whose update returned False finds the new version.
    """

    def account_state(self, user_id: str) -> AccountState:
        """The state of one account; `AccountState()` where nothing was written, also for a text that is no id."""

    def account_states(self, user_ids: Sequence[str]) -> Mapping[str, AccountState]:
        """The states of several accounts by id, for lists. Leaves out the accounts for which nothing was written."""

    def update_account_state(self, user_id: str, new: AccountState, *, expected: AccountState) -> bool:
        """Replace the attributes with `new.attributes` if the stored version equals `expected.version` (0 where
        nothing was written), in one atomic step. The stored version is `expected.version + 1` afterwards.

        False when the version differs: another process has written since the caller's read (optimistic locking). Never
        touches the revocation counter, and a raise of the counter leaves the version alone, so that neither undoes
        the other. Values come back equal and of the same type.
        """

    def raise_revocation_counter(self, user_id: str) -> int:
        """Add one to the account's revocation counter and return the sum, in one atomic step. Keeps the attributes.

        No two callers get the same number. The counter never goes back, not even when the account is deleted: an
        earlier number makes revoked sessions and spent links valid again.
        """


@runtime_checkable
class EmailChangeStore(Protocol):
    """Optional: the users' own changes of address. A link confirms a change once; another link cancels it later."""

    def add_email_change(self, change: EmailChange) -> None:
        """Add a requested change. Its random key collides with no other."""

    def find_email_change(self, key: str) -> EmailChange | None:
        """The change with this key, also an expired one."""

    def email_changes_of(self, user_id: str) -> Sequence[EmailChange]:
        """All changes of an account, also expired ones, in any order."""

    def confirm_email_change(self, key: str, *, confirmed_at: float, expires_at: float) -> bool:
        """Set both moments if the change exists and is unconfirmed, in one atomic step; otherwise False."""

    def cancel_email_change(self, key: str) -> EmailChange | None:
        """Remove the change and return it. Of several callers at once exactly one gets it, the others get None."""

    def void_email_changes(self, user_id: str) -> None:
        """Remove all changes of an account."""

    def prune_email_changes(self, expired_before: float) -> None:
        """Remove all changes with `expires_at` < `expired_before`."""


@runtime_checkable
class RoleHolders(Protocol):
    """Optional: the directory can lock the holders of a role, so that two simultaneous changes never remove the last
    administrator."""

    def active_with_role(self, role: str) -> Sequence[str]:
        """The ids of the active accounts with this role. Inside a transaction, no other transaction changes these
        accounts until it ends (SELECT ... FOR UPDATE)."""


@runtime_checkable
class JoinedSessionStore(Protocol):
    """Optional: one object is the session store and the user store, and reads a session with its account at once."""

    def find_session_with_account(self, key: str) -> tuple[StoredSession, AccountState, Account | None] | None:
        """As `find_session`, with the session's account, or None in its place when the account is deleted."""


@runtime_checkable
class JoinedUserStore(Protocol):
    """Optional: one object is the user store and the store of account states, and reads both at once."""

    def find_by_email_with_state(self, email: str) -> tuple[Account | None, AccountState]:
        """As `UserStore.find_by_email`, with the account's state; `AccountState()` without an account."""


@runtime_checkable
class AuditLog(Protocol):
    """The append-only audit log of sign-ins, sign-outs and changes (ASVS 5 16.3)."""

    def append_event(self, event: Event) -> None:
        """Add one event. This package has no method that changes an event."""

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
        """The latest events first, by `time`, then by the order of writing; each with its `position` and `digest`.

        A given `user_id`, `email` or `event` selects the events that equal it exactly; `since` is inclusive, `until`
        exclusive. `after` is the `position` of the last event of the previous page; any other text selects none.
        """


@runtime_checkable
class SealableLog(Protocol):
    """Optional: an audit log with numbered rows that stores the seals over them. Its rows leave only by
    `remove_sealed`."""

    def numbered_events(self, after: int, *, limit: int) -> Sequence[tuple[int, Event]]:
        """Rows with a number above `after`, by number. A later row has a higher number, except in transactions that
        commit in another order than they began."""

    def seals(self, *, above: int = -1, after: int = 0, limit: int) -> Sequence[Seal]:
        """Seals with a number above `after` and a `last` above `above`, by number."""

    def last_seal(self) -> Seal | None:
        """The seal with the highest number."""

    def add_seal(self, seal: Seal) -> bool:
        """Add a seal, in one atomic step. False if a seal with this number exists."""

    def remove_sealed(self, anchor: Seal) -> None:
        """Remove the seals up to the anchor's number and the rows that they name, and add the anchor, in one atomic
        step. Does nothing if the seal with the anchor's number is gone: another sweep has removed more."""


@runtime_checkable
class Transactional(Protocol):
    """Optional: a store that makes several writes atomic."""

    def transaction(self) -> AbstractContextManager[Any]:
        """A context manager. All writes of this thread to this store inside it are committed together, or rolled back
        when an exception leaves it. A nested transaction joins the outer one."""


@runtime_checkable
class Mailer(Protocol):
    """The delivery of mails. A background thread calls it, so it may block.

    The pages show an attribute `sender` (an address), if there is one: users allow it in their mail filters. `nipo-auth
    check` calls a method `check`, if there is one: it reaches the mail server without a mail, or raises `MailerError`.
    """

    def send(self, message: Message) -> None:
        """Deliver one mail to `message.to` and to no other address. Raises `MailerError`; the outbox then tries again,
        unless the error is permanent, or unconfirmed: then the mail may have been delivered, and is not sent twice."""


Listener = Callable[[Event], object]
