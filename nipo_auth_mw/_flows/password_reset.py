"""The reset of a forgotten password: from an address to a mail, and from its link to a new password."""

from __future__ import annotations

from dataclasses import dataclass, field

from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw._credentials.email_links import OpenedLink
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.password_check import count_client
from nipo_auth_mw._flows.revocation import end_everything, lift_lock
from nipo_auth_mw._mail import addresses
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account

PASSWORD_RESET_REQUESTED = EventType("password_reset_requested")
PASSWORD_RESET = EventType("password_reset")
LINK_REFUSED = EventType("link_refused")

_EXPIRED = Refused("link_expired")


@dataclass(frozen=True, slots=True)
class Reset:
    """The password of `account` is set. `device` is the new value of this browser's device cookie."""

    account: Account
    device: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unfit:
    """The link is valid and stays valid. The password is refused."""

    account: Account
    refused: Refused


class _Spent(Exception):
    """The account changed between the look at the link and its use."""


def request_reset(services: Services, typed: str, *, client: Client) -> Refused | None:
    """Mail a link to the user who signs in with this address. Returns None for every address, known or not.

    Known, unknown and disabled addresses cost the same statements and no hash, so an attacker cannot find out which
    accounts exist (CVE-2024-45231). The mail is made and sent after the answer. Each request counts as one failure of
    its client address, and an account gets at most one mail a minute and five an hour. The request changes nothing
    about the account. Raises `StoreUnavailable`.
    """
    if wait := services.client_limit.limited(client):
        return Refused("too_many_attempts", wait)
    count_client(services, client)
    email = addresses.canonical(typed)
    account = services.users.find_by_email(email) if email else None
    state = services.account_states.account_state(account.id if account else "")
    due = email is not None and services.quotas.allow_mail_to(email, "reset", an_hour=5)
    shown = account.email if account else services.log.masked(typed[:1000])
    services.log.record(PASSWORD_RESET_REQUESTED, subject=account, email=shown, client=client)
    if account is not None and account.active and due:
        services.notifications.reset_link(account, state, services.reset_links, client)
    else:
        services.notifications.nothing()
    return None


def find_reset(services: Services, token: str, *, client: Client) -> Account | None:
    """The account of a link, or None. This spends nothing, since mail filters open every link."""
    opened = _opened(services, token, client)
    return opened.account if opened else None


def reset_password(
    services: Services, token: str, password: str, *, client: Client, device_cookie: str | None = None
) -> Reset | Unfit | Refused:
    """Set a new password with the link, which works once.

    The reset ends every session and lifts the lock. It opens no session and enables no account. The link proves the
    mailbox, so this browser becomes a known device: an attacker who locks the address again does not lock the owner
    out. Of several requests at once with one link, exactly one succeeds. Raises `StoreUnavailable`: then nothing has
    changed.
    """
    opened = _opened(services, token, client)
    if opened is None:
        return _EXPIRED
    account, state, _ = opened
    try:
        services.password_rules.check(password, about=(account.email, account.name or ""))
        hashed = services.hashing.hash(password)
    except PasswordRejected as rejected:
        return Unfit(account, refusal(rejected))
    except Busy as busy:
        return refusal(busy)
    try:
        device = _set(services, account, state, hashed, client, device_cookie)
    except _Spent:
        record_refused_link(services, client, account)
        return _EXPIRED
    lift_lock(services, account, client=client)
    services.notifications.password_reset(account, state, client)
    return Reset(account, device)


def record_refused_link(services: Services, client: Client, account: Account | None = None) -> None:
    """Record the use of an invalid link, at most once a minute for each client address.

    An attacker can send any number of them, and they must not fill the audit log.
    """
    if services.quotas.once_a_minute("link", client.address):
        services.log.record(LINK_REFUSED, subject=account.id if account else None, client=client)


def _set(
    services: Services, account: Account, state: AccountState, hashed: str, client: Client, device_cookie: str | None
) -> str:
    """Write the new hash and end every session in one transaction. Returns the device cookie. Raises `_Spent`."""
    with services.log.transaction() as record:
        if not services.users.set_password_hash(account.id, hashed, expected=account.password_hash):
            raise _Spent
        # Every change raises the counter. Another number shows that a change, such as a disabling, came in between.
        counter = end_everything(services, account, why="password_reset", record=record)
        if counter != state.revocation_counter + 1:
            raise _Spent
        after = change_account_state(services, account.id, password_change_deadline=None)
        now = services.users.get(account.id)
        if now is None:
            raise _Spent
        record(PASSWORD_RESET, subject=account, client=client)
    return services.known_devices.remember(device_cookie, now, after)


def _opened(services: Services, token: str, client: Client) -> OpenedLink | None:
    """The opened link if it is valid and its account active, else None."""
    opened = services.reset_links.open(token)
    if opened is None or not opened.account.active:
        record_refused_link(services, client)
        return None
    return opened
