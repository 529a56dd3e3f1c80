"""The values that stores, flows and pages exchange. All are immutable; no `repr` shows a secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from nipo_auth_mw.models._audit import Event as Event
from nipo_auth_mw.models._audit import Seal as Seal
from nipo_auth_mw.models._mails import Message as Message
from nipo_auth_mw.models._mails import QueuedMail as QueuedMail


class Account(NamedTuple):
    """One account of the package's own stores; see `protocols.Account` for the attributes."""

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
    """The signed-in user as the host app sees it: an account without its password hash."""

    id: str
    email: str
    active: bool
    name: str
    role: str
    language: str | None = None
    notify_email: str | None = None


AttributeValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class AccountState:
    """What the middleware stores beside an account, by the account's id; a host app's user table has no columns for it.

    `revocation_counter` rises with each change of password, address or activation by the middleware: a security stamp
    of an earlier state never fits again. `version` counts the updates of `attributes`; it is the token of optimistic
    locking in `AccountStateStore.update_account_state`. `attributes` is a read-only copy of the given mapping; a
    feature writes an attribute of its own with `having` and reads it with `attributes.get`. Raises TypeError for a
    value that is no `AttributeValue`.
    """

    revocation_counter: int = 0
    version: int = 0
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict, repr=False, hash=False)

    equivalent_hashes: str = field(init=False, repr=False, compare=False)
    """Digests of the password hashes that count as one password, separated by blanks; "" for none."""
    language: str | None = field(init=False, repr=False, compare=False)
    """The language code that the user chose."""
    notify_email: str | None = field(init=False, repr=False, compare=False)
    """The second address that receives security notices."""
    password_change_deadline: float | None = field(init=False, repr=False, compare=False)
    """Seconds since 1970 (UTC), after an administrator has set the password: the user must change it, and signs in with
    it until this moment (ASVS 5 6.4.1). None: the user need not change the password."""
    memo: str = field(init=False, repr=False, compare=False)
    """The administrators' text about the account; "" for none."""
    unlocks: int = field(init=False, repr=False, compare=False)
    """How often an administrator has lifted the locks of the account. Known devices count their failures anew then."""
    clients: str = field(init=False, repr=False, compare=False)
    """Digests of the browsers that signed in lately, separated by blanks, the last one at the end; "" for none."""
    two_step: float | None = field(init=False, repr=False, compare=False)
    """When two steps were switched on, in seconds since 1970 (UTC). None: a password alone signs the user in."""
    passkey_handle: str = field(init=False, repr=False, compare=False)
    """The user handle of the account's passkeys: 32 random bytes in hexadecimal digits (WebAuthn Level 3, 14.6.1); ""
    before the first one."""

    def __post_init__(self) -> None:
        for name, value in self.attributes.items():
            if not isinstance(value, (str, int, float)):
                raise TypeError(f"attribute {name}: {type(value).__name__} is neither str, int, float nor bool")
        attributes = MappingProxyType(dict(self.attributes))
        deadline, two_step = attributes.get("password_change_deadline"), attributes.get("two_step")
        put = object.__setattr__
        put(self, "attributes", attributes)
        # Every request reads these: a slot costs less than a property.
        put(self, "equivalent_hashes", str(attributes.get("equivalent_hashes", "")))
        put(self, "language", _text(attributes.get("language")))
        put(self, "notify_email", _text(attributes.get("notify_email")))
        put(self, "password_change_deadline", None if deadline is None else float(deadline))
        put(self, "memo", str(attributes.get("memo", "")))
        put(self, "unlocks", int(attributes.get("unlocks", 0)))
        put(self, "clients", str(attributes.get("clients", "")))
        put(self, "two_step", None if two_step is None else float(two_step))
        put(self, "passkey_handle", str(attributes.get("passkey_handle", "")))

    def having(self, **changes: AttributeValue | None) -> AccountState:
        """A copy of the state with these attributes; None or "" removes an attribute."""
        attributes = {**self.attributes, **changes}
        left = {name: value for name, value in attributes.items() if value is not None and value != ""}
        return AccountState(self.revocation_counter, self.version, left)


def _text(value: AttributeValue | None) -> str | None:
    return None if value is None else str(value)


@dataclass(frozen=True, slots=True, repr=False)
class LegacyHash:
    """One password hash that another system made, ready to be compared.

    `beginning` is the text of the hash up to the salt. Hashes of one `family` differ in their `work` alone: a number
    that is proportional to the time of one comparison. `matches(password)` compares a password, as it was typed, and
    always does all of this work. `spend(password, work)` does so much work and compares nothing: a wrong password costs
    the same for every address, with whatever hash or none (CVE-2024-39329).
    """

    beginning: str
    family: str
    work: int
    matches: Callable[[str], bool]
    spend: Callable[[str, int], object]


class StoredSession(NamedTuple):
    """One session: one account on one device. Times are seconds since 1970 (UTC).

    `key` is the hash of the cookie's secret, never the secret itself. `stamp` is the account's security stamp at
    sign-in. `seen_at` is the time of the last request, exact to the policy's `touch_every`; `sent_at` the time at which
    a response last set the cookie; `confirmed_at` the time of the last correct password. A `persistent` session
    outlives the browser. `means` names what the user has proved, in this order and separated by commas: `password`,
    `app`, `code`, `passkey`. `second_at` is the time of the last second step, 0 for a session with one step.
    """

    key: str
    user_id: str
    stamp: str
    created_at: float
    seen_at: float
    sent_at: float
    persistent: bool
    client_address: str = ""
    user_agent: str = ""
    confirmed_at: float = 0.0
    means: str = "password"
    second_at: float = 0.0

    def __repr__(self) -> str:
        return f"StoredSession(id={self.key[:12]!r}, user_id={self.user_id!r})"


class StaffSort(StrEnum):
    """The orders of the staff list. `NAME` is by reading, by name without one, and by address without either."""

    NAME = "name"
    EMAIL = "email"
    ROLE = "role"
    LAST_USED = "last_used"
    ACTIVE = "active"


class StaffQuery(NamedTuple):
    """What the staff list asks of the store. None and "" select every account.

    Each word of `text` must occur in the address, the name or the reading, whatever its case, width and blanks.
    `attribute` is the name of an attribute that the account's state must have, `lacking` of one that it must not have;
    `used` is whether the account was ever used; `ids` are the only accounts that may appear. `offset` accounts come
    before the first one of the page.
    """

    text: str = ""
    active: bool | None = None
    role: str = ""
    attribute: str = ""
    used: bool | None = None
    ids: Sequence[str] | None = None
    sort: StaffSort = StaffSort.NAME
    descending: bool = False
    offset: int = 0
    limit: int = 50
    lacking: str = ""


class StaffEntry(NamedTuple):
    """One account in the staff list. `sessions` are those of the account, also expired ones. `last_used_at` is when
    the account was last used in a session that has ended, in seconds since 1970 (UTC); None if none has."""

    account: Account
    state: AccountState
    sessions: Sequence[StoredSession]
    last_used_at: float | None


class StaffPage(NamedTuple):
    """One page of the staff list, and how many accounts match on all pages."""

    entries: Sequence[StaffEntry]
    total: int


class Session(NamedTuple):
    """A session as the host app and the account page see it. `id` finds no cookie, so pages and logs may show it.

    `two_steps` is whether the account signs in with two steps.
    """

    stored: StoredSession
    two_steps: bool = False

    @property
    def id(self) -> str:
        """The first 48 bits of the stored hash: they tell sessions apart, and no cookie can be made of them."""
        return public_id(self.stored)

    @property
    def user_id(self) -> str:
        """The id of the account."""
        return self.stored.user_id

    @property
    def created_at(self) -> datetime:
        """When the user signed in (UTC)."""
        return datetime.fromtimestamp(self.stored.created_at, UTC)

    @property
    def seen_at(self) -> datetime:
        """The time of the last request, exact to the session policy's `touch_every`."""
        return datetime.fromtimestamp(self.stored.seen_at, UTC)

    @property
    def confirmed_at(self) -> datetime:
        """The time at which the user last entered the correct password."""
        return datetime.fromtimestamp(self.stored.confirmed_at, UTC)

    @property
    def means(self) -> tuple[str, ...]:
        """What the user has proved, in this order: `password`, `app`, `code`, `passkey`."""
        return tuple(self.stored.means.split(","))

    @property
    def second_at(self) -> datetime | None:
        """The time of the last second step (UTC), None for a session with one step."""
        return datetime.fromtimestamp(self.stored.second_at, UTC) if self.stored.second_at else None

    @property
    def persistent(self) -> bool:
        """Whether the user ticked "keep me signed in"."""
        return self.stored.persistent

    @property
    def client_address(self) -> str:
        """The client address at sign-in, "" where the server named none."""
        return self.stored.client_address

    @property
    def user_agent(self) -> str:
        """The User-Agent at sign-in, cut and escaped."""
        return self.stored.user_agent

    def __repr__(self) -> str:
        return f"Session(id={self.id!r}, user_id={self.user_id!r})"


def public_id(stored: StoredSession) -> str:
    """The first 48 bits of the stored hash: enough to distinguish devices, too few to find the cookie."""
    return stored.key[:12]


@dataclass(frozen=True, slots=True)
class EmailChange:
    """A user's change of the account's address, from the request until the cancel link expires.

    `key` is the hash of the secret in the cancel link. `confirmed_at` is None until the user confirms the new address.
    Times are seconds since 1970 (UTC).
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
    """The sender of a request. `address` is "" when the WSGI server gives none; `language` is the language code of the
    pages that the sender gets. `front_end` is True for a program that may send the requests of many users."""

    address: str = ""
    user_agent: str = ""
    language: str = ""
    front_end: bool = False
