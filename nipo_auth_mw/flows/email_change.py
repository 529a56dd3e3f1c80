"""The change of one's own address of sign-in: asked for with the password, confirmed from the new mailbox, and
stopped or undone from the old one."""

from __future__ import annotations

import hashlib
import secrets
import time
from datetime import timedelta

from nipo_auth_mw.errors import EmailRejected, EmailTaken
from nipo_auth_mw.flows.signin import Refused, check_own_password
from nipo_auth_mw.models import AccountNotes, Client, EmailChange
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.links import EMAIL_LASTS
from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.parts.revocation import end_everything
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.parts.sessions import Live
from nipo_auth_mw.protocols import Account, EmailChangeStore, EmailStore

CANCEL_LASTS = timedelta(days=7)


class _Spent(Exception):
    """Somebody else was quicker, or the account has changed meanwhile."""


def offered(services: Services) -> bool:
    """Whether people can change their address: it takes two stores' help and a mailer."""
    return services.email_store is not None and services.email_changes is not None and services.outbox.sends


def request_change(
    services: Services, live: Live, typed: str, password: str, *, client: Client, device_cookie: str | None
) -> Refused | None:
    """Mail a confirm link to the new address and a notice with a cancel link to the present one. Changes nothing yet.

    None also when another account has the address: then its owner is told instead, and the asker learns nothing
    (better-auth #8097). Each link has a secret of its own (ASVS 5 7.5.1, 6.3.7). Raises `StoreUnavailable`.
    """
    try:
        new = emails.accepted(typed)
    except EmailRejected:
        return Refused("email_rejected")
    if new == live.user.email:
        return Refused("email_unchanged")
    checked = check_own_password(services, live, password, client=client, device_cookie=device_cookie)
    if isinstance(checked, Refused):
        return checked
    attempt, account = checked
    if not services.lockout.may_tell(account.id, "email change", an_hour=5):
        return Refused("too_many_mails", 60)
    now, secret = time.time(), secrets.token_urlsafe(32)
    lasts = EMAIL_LASTS + CANCEL_LASTS
    change = EmailChange(_key(secret), account.id, account.email, new, now, now + lasts.total_seconds())
    owner = services.users.find_by_email(new)
    notes = services.session_store.notes_of(owner.id if owner else "")
    with services.recorder.transaction() as record:
        _stores(services)[1].add_email_change(change)
        record(event("email_change_requested", time=now, client=client, user_id=account.id, email=account.email))
    cancel = services.cancel_links.sign(secret)
    services.notices.email_change_asked(account, attempt.notes, client, new=new, cancel=cancel)
    if owner is not None:
        services.notices.email_taken(owner, notes, client)
    else:
        services.notices.email_confirm(account, attempt.notes, services.email_links, client, to=new, key=change.key)
    return None


def find_change(services: Services, token: str, *, client: Client) -> EmailChange | None:
    """What a confirm link would change, or None for a link that is good no more. Spends nothing."""
    found = _confirmable(services, token)
    if found is None:
        _record_refused(services, client)
    return found[2] if found else None


def confirm_change(services: Services, token: str, *, client: Client) -> EmailChange | Refused:
    """Make the new address the one to sign in with, once, and end every session of the account.

    Bound to the account as it was when it asked, and to the address it asked for (CVE-2026-32700); whether another
    account has it meanwhile is decided by the store. Raises `StoreUnavailable`: then nothing has changed.
    """
    found = _confirmable(services, token)
    if found is None:
        _record_refused(services, client)
        return Refused("link_expired")
    account, notes, change = found
    try:
        _set(services, account, notes, change, client)
    except (_Spent, EmailTaken):
        _record_refused(services, client)
        return Refused("link_expired")
    services.notices.email_changed(account, notes, client, new=change.new_email)
    return change


def find_cancellable(services: Services, token: str, *, client: Client) -> EmailChange | None:
    """What a cancel link would stop or undo, or None. Spends nothing."""
    change = _cancellable(services, token)
    if change is None:
        _record_refused(services, client)
    return change


def cancel_change(services: Services, token: str, *, client: Client) -> EmailChange | Refused:
    """Stop a change, or undo it up to seven days after it was confirmed: the address it was asked from signs in again,
    whatever came later, and every session ends.

    Needs no sign-in, since whoever took the account over may have changed the password (ASVS 5 6.3.7, 7.5.1). Of
    several at once one succeeds. `email_taken` when another account has got the old address meanwhile. Raises
    `StoreUnavailable`: then nothing has changed.
    """
    change = _cancellable(services, token)
    account = services.users.get(change.user_id) if change else None
    if change is None or account is None:
        _record_refused(services, client)
        return Refused("link_expired")
    try:
        before = _restore(services, change, client)
    except EmailTaken:
        return Refused("email_taken")
    except _Spent:
        _record_refused(services, client)
        return Refused("link_expired")
    notes = services.session_store.notes_of(account.id)
    services.notices.email_change_cancelled(before, notes, client, old=change.old_email)
    return change


def _confirmable(services: Services, token: str) -> tuple[Account, AccountNotes, EmailChange] | None:
    opened = services.email_links.open(token)
    if opened is None or not opened.account.active or not offered(services):
        return None
    change = _stores(services)[1].find_email_change(opened.about)
    if change is None or change.confirmed_at is not None or change.user_id != opened.account.id:
        return None
    return opened.account, opened.notes, change


def _set(services: Services, account: Account, notes: AccountNotes, change: EmailChange, client: Client) -> None:
    now, (accounts, changes) = time.time(), _stores(services)
    with services.recorder.transaction() as record:
        # In the order in which administrators' acts take the rows, or databases refuse one of two as a deadlock.
        if not accounts.set_email(account.id, change.new_email, expected=change.old_email):
            raise _Spent
        if end_everything(services, account, why="email_changed", record=record) != notes.epoch + 1:
            raise _Spent
        until = now + CANCEL_LASTS.total_seconds()
        if not changes.confirm_email_change(change.key, confirmed_at=now, expires_at=until):
            raise _Spent
        details = {"from": change.old_email, "to": change.new_email}
        record(
            event("email_changed", time=now, client=client, user_id=account.id, email=change.new_email, details=details)
        )


def _cancellable(services: Services, token: str) -> EmailChange | None:
    secret = services.cancel_links.open(token)
    if secret is None or not offered(services):
        return None
    change = _stores(services)[1].find_email_change(_key(secret))
    return change if change is not None and time.time() < change.expires_at else None


def _restore(services: Services, change: EmailChange, client: Client) -> Account:
    """The account as it was before."""
    _, changes = _stores(services)
    with services.recorder.transaction() as record:
        before = _put_back(services, change)
        end_everything(services, before, why="email_change_cancelled", record=record)
        if changes.cancel_email_change(change.key) is None:
            raise _Spent
        record(
            event(
                "email_change_cancelled",
                time=time.time(),
                client=client,
                user_id=change.user_id,
                email=change.old_email,
                details={"from": before.email},
            )
        )
    return before


def _put_back(services: Services, change: EmailChange) -> Account:
    """Give the account its old address, also where it has it still: whoever is changing it just now has to be through
    first. Returns the account as it was before."""
    accounts, _ = _stores(services)
    for overtaken in (False, True):
        before = services.users.get(change.user_id)
        if before is None:
            break
        if accounts.set_email(before.id, change.old_email, expected=before.email):
            return before
        # A host's store may count only rows that became different.
        if overtaken and before.email == change.old_email:
            return before
    raise _Spent


def _stores(services: Services) -> tuple[EmailStore, EmailChangeStore]:
    if services.email_store is None or services.email_changes is None:
        raise LookupError("ask `offered` first")
    return services.email_store, services.email_changes


def _record_refused(services: Services, client: Client) -> None:
    if services.lockout.seldom("link", client.address):
        services.recorder.record(event("link_refused", time=time.time(), client=client))


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
