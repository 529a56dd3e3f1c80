"""The reset of a forgotten password: from an address to a mail, and from its link to a new password."""

from __future__ import annotations

from dataclasses import dataclass, field

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._credentials.email_links import OpenedLink
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.password_check import count_client
from nipo_auth_mw._flows.revocation import end_everything, lift_lock_soon
from nipo_auth_mw._mail.composer import gets_links
from nipo_auth_mw._mail.notifications import client_of
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import EmailRejected, PasswordRejected
from nipo_auth_mw.models import AccountState, Client, QueuedMail
from nipo_auth_mw.protocols import Account

PASSWORD_RESET_REQUESTED = EventType("password_reset_requested", EventGroup.PASSWORD)
PASSWORD_RESET = EventType("password_reset", EventGroup.PASSWORD)
LINK_REFUSED = EventType("link_refused", EventGroup.REFUSAL)

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

    A text that cannot be an address, or one of a domain without mail, is refused. That tells nothing: the text alone
    decides.

    The request looks nothing up and writes the same row for every address, so an attacker cannot find out which
    accounts exist (CVE-2024-45231). `answer_request` does the rest in the background. Each request counts as one
    failure of its client address. The request changes nothing about the account. Raises `StoreUnavailable`.
    """
    if wait := services.client_limit.limited(client):
        return Refused("too_many_attempts", wait)
    count_client(services, client)
    email = services.addresses.canonical(typed)
    if email is None:
        return Refused(EmailRejected.code)
    if services.addresses.without_mailbox(email):
        return Refused(EmailRejected.code, detail="no_mailbox")
    services.notifications.reset_asked(email, client)
    return None


def answer_request(services: Services, request: QueuedMail) -> None:
    """Look the address of a request up, record the request, and queue the mail with the link.

    An account gets at most one mail a minute and five an hour. The count begins anew with each change of the account:
    an attacker who knows the password could use up the mails and change the password after each. Raises
    `StoreUnavailable`: then nothing has changed, and the outbox tries again.
    """
    account = services.users.find_by_email(request.to)
    state = services.account_states.account_state(account.id if account else "")
    shown, client = account.email if account else services.log.masked(request.to), client_of(request)
    with services.log.transaction() as record:
        services.outbox.settle(request)
        record(PASSWORD_RESET_REQUESTED, subject=account, email=shown, client=client, at=request.queued_at)
        if account is not None and gets_links(account) and _may_mail(services, account, state, request):
            services.notifications.reset_link(account, state, client)


def _may_mail(services: Services, account: Account, state: AccountState, request: QueuedMail) -> bool:
    """Apply the quota. Another try after an outage has used up its minute already."""
    quota, spaced = f"reset {state.revocation_counter}", request.tries == 1
    return services.quotas.allow_notification_to(account.id, quota, an_hour=5, spaced=spaced)


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
    out. Of several requests at once with one link, exactly one succeeds. A password that was set is told to its owner;
    a lock that cannot be lifted now is lifted later. Raises `StoreUnavailable`: then nothing has changed.
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
    lift_lock_soon(services, account, client=client)
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
        # First, since a host app's user table may commit each change at once: no password is set that is not told.
        services.notifications.password_reset(account, state, client)
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
