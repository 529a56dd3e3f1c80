"""A link by which the owner of an account sets a password: of a reset, and of an invitation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._credentials.email_links import OpenedLink
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.new_password import check_new_password, reading_of
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.revocation import end_everything, lift_lock_soon
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account

LINK_REFUSED = EventType("link_refused", EventGroup.REFUSAL)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The password of `account` is set. `device` is the new value of this browser's device cookie; None for an account
    with two steps."""

    account: Account
    device: str | None = field(repr=False)


class Unfit(NamedTuple):
    """The link is valid and stays valid. The password is refused, or cannot be hashed now."""

    account: Account
    refused: Refused


class Link(NamedTuple):
    """What a kind of link does: its event, also the reason of the sessions that end, and the mail that tells of it."""

    event: EventType
    expired: Refused
    tell: Callable[[Account, AccountState, Client], None]


class _Spent(Exception):
    """The account changed between the look at the link and its use."""


def accept_link(
    services: Services,
    link: Link,
    opened: OpenedLink,
    password: str,
    *,
    name: str = "",
    client: Client,
    device_cookie: str | None,
) -> Accepted | Unfit | Refused:
    """Set a password with an opened link, which works once, and the name of the account if one is given.

    It ends every session, every link and the locks of the password; it opens no session and enables no account. The
    link proves who its owner is, so this browser becomes a known device: an attacker who locks the address again does
    not lock the owner out. With two steps the link proves one of them, and makes no known device. Of several requests
    at once with one link, exactly one succeeds. A password that was set is told to its owner; a lock that cannot be
    lifted now is lifted later. Raises `StoreUnavailable`: then nothing has changed.
    """
    account, state, _ = opened
    try:
        check_new_password(services, password, account.email, name or account.name, reading_of(state))
        hashed = services.hashing.hash(password)
    except (PasswordRejected, Busy) as error:
        return Unfit(account, refusal(error))
    try:
        device = _set(services, link, opened, hashed, name, client, device_cookie)
    except _Spent:
        record_refused_link(services, client, account)
        return link.expired
    lift_lock_soon(services, account, client=client)
    return Accepted(account, device)


def record_refused_link(services: Services, client: Client, account: Account | None = None) -> None:
    """Record the use of an invalid link, at most once a minute for each client address.

    An attacker can send any number of them, and they must not fill the audit log.
    """
    if services.quotas.once_a_minute("link", client.address):
        services.log.record(LINK_REFUSED, subject=account.id if account else None, client=client)


def _set(
    services: Services,
    link: Link,
    opened: OpenedLink,
    hashed: str,
    name: str,
    client: Client,
    device_cookie: str | None,
) -> str | None:
    """Write hash, name and event in one transaction. Returns the device cookie, if there is one. Raises `_Spent`."""
    account, state, _ = opened
    with services.log.transaction() as record:
        # First, since a host app's user table may commit each change at once: no password is set that is not told.
        link.tell(account, state, client)
        if not services.users.set_password_hash(account.id, hashed, expected=account.password_hash):
            raise _Spent
        # Every change raises the counter. Another number shows that a change, such as a disabling, came in between.
        counter = end_everything(services, account, why=link.event.name, record=record)
        if counter != state.revocation_counter + 1:
            raise _Spent
        if name and services.directory is not None:
            services.directory.update(account.id, name=name)
        ended = {"password_change_deadline": None, "invited_until": None, "invited_at": None}
        # A locked device would keep its lock under its new cookie.
        after = change_account_state(services, account.id, **ended, unlocks=state.unlocks + 1)
        now = services.users.get(account.id)
        if now is None:
            raise _Spent
        record(link.event, subject=account, client=client)
    # A known device has a count of wrong codes of its own, and a person who reads the mailbox must not get one.
    return services.known_devices.remember(device_cookie, now, after) if after.two_step is None else None
