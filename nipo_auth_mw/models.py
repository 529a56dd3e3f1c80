"""The values that travel between the floors. None of them can be changed; secrets stay out of every `repr`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple


class Account(NamedTuple):
    """One row of our own user table; any object with these attributes serves as well (see `protocols.Account`)."""

    id: str
    email: str
    password_hash: str | None
    active: bool = True
    name: str = ""
    role: str = "staff"

    def __repr__(self) -> str:
        return f"Account(id={self.id!r}, email={self.email!r}, active={self.active}, role={self.role!r})"


@dataclass(frozen=True, slots=True)
class User:
    """The signed-in person as the wrapped app sees them: an account without its hash."""

    id: str
    email: str
    active: bool
    name: str
    role: str
    language: str | None = None
    notify_email: str | None = None


class AccountNotes(NamedTuple):
    """What we keep beside an account, by its id, because a host's own table has no room for it.

    `epoch` is raised by each of our own changes of password, address or state, so that no earlier state comes back to
    life. `lineage` names password hashes that count as one and the same password (see `parts.stamps`). With `change_by`
    (seconds since the epoch) the password was set by somebody else: its owner must change it, and after that moment it
    lets nobody in.
    """

    epoch: int = 0
    lineage: str = ""
    language: str | None = None
    notify_email: str | None = None
    change_by: float | None = None


class StoredSession(NamedTuple):
    """One device of one account. Times are seconds since the epoch (UTC).

    `key` is the hash of the secret in the cookie, never the secret itself; `stamp` ties the session to the state its
    account had at sign-in. `sent_at` is when the cookie last went out, `kept` whether it outlives the browser,
    `confirmed_at` when the password was last asked for and right.
    """

    key: str
    user_id: str
    stamp: str
    created_at: float
    seen_at: float
    sent_at: float
    kept: bool
    client_address: str = ""
    user_agent: str = ""
    confirmed_at: float = 0.0

    def __repr__(self) -> str:
        return f"StoredSession(id={self.key[:12]!r}, user_id={self.user_id!r})"


class Session:
    """A session as the wrapped app and the account page see it; `id` is safe to show and to log."""

    __slots__ = ("_stored",)

    def __init__(self, stored: StoredSession) -> None:
        self._stored = stored

    @property
    def id(self) -> str:
        return public_id(self._stored)

    @property
    def stored(self) -> StoredSession:
        return self._stored

    @property
    def user_id(self) -> str:
        return self._stored.user_id

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self._stored.created_at, UTC)

    @property
    def seen_at(self) -> datetime:
        """When last seen, exact to the session policy's `touch_every`."""
        return datetime.fromtimestamp(self._stored.seen_at, UTC)

    @property
    def confirmed_at(self) -> datetime:
        """When the person last gave their password."""
        return datetime.fromtimestamp(self._stored.confirmed_at, UTC)

    @property
    def kept(self) -> bool:
        """Whether "keep me signed in" was ticked."""
        return self._stored.kept

    @property
    def client_address(self) -> str:
        return self._stored.client_address

    @property
    def user_agent(self) -> str:
        return self._stored.user_agent

    def __repr__(self) -> str:
        return f"Session(id={self.id!r}, user_id={self.user_id!r})"


def public_id(stored: StoredSession) -> str:
    """The first 48 bits of the stored hash: enough to tell devices apart, useless for finding the cookie."""
    return stored.key[:12]


@dataclass(frozen=True, slots=True)
class EmailChange:
    """A person's own change of address, from the request on until its cancel link has died.

    `key` is the hash of the secret in that link. `confirmed_at` is None until the new address was confirmed. Times are
    seconds since the epoch.
    """

    key: str = field(repr=False)
    user_id: str
    old_email: str
    new_email: str
    requested_at: float
    expires_at: float
    confirmed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request, as far as the transport tells. `address` is "" when the server gives none, `language` the one
    their pages are in."""

    address: str = ""
    user_agent: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the audit log: who, what, when, from where. `time` is aware UTC.

    `email` is the address as typed, escaped, cut at 254 characters, and masked when it belongs to no account, because
    people type passwords into the wrong box. `session` is a `public_id`. `actor` is who acted when it was not the
    subject: the id of an administrator, or `cli`, `script`, `sweep`. `digest` is made when the event is written (see
    `parts.seals`), `position` by the store that reads it: the place to go on from.
    """

    time: datetime
    event: str
    user_id: str | None = None
    email: str = ""
    session: str = ""
    client_address: str = ""
    user_agent: str = ""
    actor: str = ""
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    digest: str = field(default="", repr=False, compare=False)
    position: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Seal:
    """One batch of the history's rows, sealed: `entries` are pairs of a row's number and its digest.

    `chain` is a keyed digest of all that and of the `chain` before, `key` tells which key made it, `last` is the
    highest row number sealed so far. A seal whose rows were removed for their age has no entries and a `proof` that it
    was us. `made_at` is in seconds since the epoch.
    """

    number: int
    made_at: float
    key: str
    last: int
    entries: tuple[tuple[int, str], ...] = field(repr=False)
    chain: str
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A mail to one address. The texts hold links with secrets, so they stay out of the `repr`."""

    to: str
    subject: str
    text: str = field(repr=False)
    html: str | None = field(default=None, repr=False)
