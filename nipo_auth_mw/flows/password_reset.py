"""The forgotten password: from an address to a mail, and from the mail's link to a new password."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.flows.signin import Refused, count_client
from nipo_auth_mw.models import AccountNotes, Client
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.gate import Busy
from nipo_auth_mw.parts.links import Opened
from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.parts.revocation import end_everything, lift_lock
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.protocols import Account


@dataclass(frozen=True, slots=True)
class Reset:
    """The password is set; whose it was."""

    account: Account


@dataclass(frozen=True, slots=True)
class Unfit:
    """The link is good, the password is not."""

    account: Account
    why: PasswordRejected


def request_reset(services: Services, typed: str, *, client: Client) -> Refused | None:
    """Mail a link to whoever signs in with this address. None, whoever that is, and if nobody is.

    Known, unknown and disabled addresses cost the same statements and no hash (CVE-2024-45231); the link is made and
    sent after the answer. Each request counts one for its client address, and an account gets at most one
    mail a minute and five an hour. Changes nothing for the account. Raises `StoreUnavailable`.
    """
    if wait := services.lockout.limited(client.address):
        return Refused("too_many_attempts", wait)
    count_client(services, client)
    email = emails.canonical(typed)
    account = services.users.find_by_email(email) if email else None
    notes = services.session_store.notes_of(account.id if account else "")
    due = email is not None and services.lockout.may_mail(email, "reset", an_hour=5)
    services.recorder.record(
        event(
            "password_reset_requested",
            time=time.time(),
            client=client,
            user_id=account.id if account else None,
            email=account.email if account else services.recorder.masked(typed[:1000]),
        )
    )
    if account is not None and account.active and due:
        services.notices.reset_link(account, notes, services.reset_links, client)
    else:
        services.notices.nothing()
    return None


def find_reset(services: Services, token: str, *, client: Client) -> Account | None:
    """Whose link this is, or None. Spends nothing: programs that check mails for their reader open every link."""
    opened = _opened(services, token, client)
    return opened.account if opened else None


def reset_password(services: Services, token: str, password: str, *, client: Client) -> Reset | Unfit | Refused:
    """Set the password that the link allows to set, once.

    Ends every session and lifts the lock; signs nobody in and enables nobody. Of several at once with one link exactly
    one succeeds. Raises `StoreUnavailable`, and then nothing has changed.
    """
    opened = _opened(services, token, client)
    if opened is None:
        return Refused("link_expired")
    account, notes, _ = opened
    try:
        services.passwords.check(password, about=(account.email, account.name or ""))
        hashed = services.passwords.hash(password)
    except PasswordRejected as rejected:
        return Unfit(account, rejected)
    except Busy:
        return Refused("busy", retry_after=1)
    try:
        _set(services, account, notes, hashed, client)
    except _Spent:
        _record_refused(services, client, account)
        return Refused("link_expired")
    lift_lock(services, account, client=client)
    services.notices.password_reset(account, notes, client)
    return Reset(account)


class _Spent(Exception):
    """The account changed between the look at the link and its use."""


def _set(services: Services, account: Account, notes: AccountNotes, hashed: str, client: Client) -> None:
    with services.recorder.transaction() as record:
        if not services.users.set_password_hash(account.id, hashed, expected=account.password_hash):
            raise _Spent
        # Every change of ours raises the epoch: any other number means that one came between, such as a disabling.
        if end_everything(services, account, why="password_reset", record=record) != notes.epoch + 1:
            raise _Spent
        services.session_store.set_change_by(account.id, None)
        record(event("password_reset", time=time.time(), client=client, user_id=account.id, email=account.email))


def _opened(services: Services, token: str, client: Client) -> Opened | None:
    opened = services.reset_links.open(token)
    if opened is None or not opened.account.active:
        _record_refused(services, client, None)
        return None
    return opened


def _record_refused(services: Services, client: Client, account: Account | None) -> None:
    # Anybody can send rubbish here, and it must not fill the history.
    if services.lockout.seldom("link", client.address):
        user_id = account.id if account else None
        services.recorder.record(event("link_refused", time=time.time(), client=client, user_id=user_id))
