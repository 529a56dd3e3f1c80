"""The change of a user's address.

The user requests it with the password, confirms it from the new mailbox, and can cancel it from the former one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._credentials.email_links import EMAIL_LASTS
from nipo_auth_mw._flows.accept_link import record_refused_link
from nipo_auth_mw._flows.outcomes import SESSION_ENDED, Refused, refusal
from nipo_auth_mw._flows.password_check import check_own_password
from nipo_auth_mw._flows.revocation import end_everything, hold_session
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.errors import EmailRejected, EmailTaken
from nipo_auth_mw.models import AccountState, Client, EmailChange
from nipo_auth_mw.protocols import Account, EmailChangeStore, EmailStore

EMAIL_CHANGE_REQUESTED = EventType("email_change_requested", EventGroup.PROFILE)
EMAIL_CHANGED = EventType("email_changed", EventGroup.PROFILE)
EMAIL_CHANGE_CANCELLED = EventType("email_change_cancelled", EventGroup.PROFILE)

CANCEL_LASTS = timedelta(days=7)
_EXPIRED = Refused("link_expired", detail="email")


class _Spent(Exception):
    """Another request used the link first, or the account has changed meanwhile."""


class _DecidedElsewhere(Exception):
    """The user's own changes did not lead to the present address, or the account is disabled: an administrator or the
    host app has decided otherwise since."""


class Pending(NamedTuple):
    """A change that waits for its confirmation until this time (UTC)."""

    email: str
    until: datetime


def pending(services: Services, session: ActiveSession) -> Pending | None:
    """The newest change of address that the user can still confirm. It may be void by a change of the password since.

    The same whether another account has the address or not.
    """
    newest = max(_waiting(services, session), key=lambda change: change.requested_at, default=None)
    if newest is None or newest.requested_at + EMAIL_LASTS.total_seconds() <= time.time():
        return None
    return Pending(newest.new_email, datetime.fromtimestamp(newest.requested_at, UTC) + EMAIL_LASTS)


def offered(services: Services) -> bool:
    """Whether users can change their address. It takes two capabilities of the stores and a mailer."""
    return services.email_store is not None and services.email_changes is not None and services.outbox.sends


def request_change(
    services: Services, session: ActiveSession, typed: str, password: str, *, client: Client, device_cookie: str | None
) -> Refused | None:
    """Mail a confirm link to the new address, and a notification with a cancel link to the present one.

    The request changes nothing yet. Returns None too if another account has the address: then its owner is notified
    instead, and the user learns nothing about that account (better-auth #8097). Each link has a secret of its own (ASVS
    5 7.5.1, 6.3.7). Raises `StoreUnavailable`.
    """
    try:
        # An id needs no proof of a mailbox, so only administrators give one.
        new = services.addresses.receiving(typed)
    except EmailRejected as rejected:
        return refusal(rejected)
    if new == session.user.email:
        return Refused("email_unchanged")
    checked = check_own_password(services, session, password, client=client, device_cookie=device_cookie)
    if isinstance(checked, Refused):
        return checked
    attempt, account = checked
    if not services.quotas.allow_about(account.id, "email change", an_hour=5):
        return Refused("too_many_mails", 60)
    now, (nonce, key) = time.time(), services.cancel_links.prepare()
    lasts = EMAIL_LASTS + CANCEL_LASTS
    change = EmailChange(key, account.id, account.email, new, now, now + lasts.total_seconds())
    owner = services.users.find_by_email(new)
    state = services.account_states.account_state(owner.id if owner else "")
    with services.log.transaction() as record:
        if not hold_session(services, session, account):
            return SESSION_ENDED
        _stores(services)[1].add_email_change(change)
        record(EMAIL_CHANGE_REQUESTED, subject=account, client=client)
        services.notifications.email_change_asked(account, attempt.state, client, new=new, nonce=nonce)
        if owner is not None:
            services.notifications.email_taken(owner, state, client)
        else:
            services.notifications.email_confirm(account, attempt.state, client, to=new, key=key)
    return None


def withdraw(services: Services, session: ActiveSession, *, client: Client) -> bool:
    """Withdraw the changes of the user's address that wait for their confirmation: their links end. False for none.

    A change that is confirmed meanwhile stays, and so does the link that undoes it. Raises `StoreUnavailable`.
    """
    withdrawn = False
    for change in _waiting(services, session):
        with suppress(_Spent), services.log.transaction() as record:
            removed = _stores(services)[1].cancel_email_change(change.key)
            if removed is None or removed.confirmed_at is not None:
                # Nothing that was removed stays so.
                raise _Spent
            record(EMAIL_CHANGE_CANCELLED, subject=session.user.id, email=change.old_email, client=client)
            withdrawn = True
    return withdrawn


def find_change(services: Services, token: str, *, client: Client) -> EmailChange | None:
    """The change that a confirm link would make; None if the link is not valid any more. This spends nothing."""
    found = _confirmable(services, token)
    if found is None:
        record_refused_link(services, client)
    return found[2] if found else None


def confirm_change(services: Services, token: str, *, client: Client) -> EmailChange | Refused:
    """Make the new address the one to sign in with, once, and end every session of the account.

    The link is bound to the account as it was at the request, and to the address that was requested (CVE-2026-32700).
    The store decides whether another account has the address meanwhile. Raises `StoreUnavailable`: then nothing has
    changed.
    """
    found = _confirmable(services, token)
    if found is None:
        record_refused_link(services, client)
        return _EXPIRED
    account, state, change = found
    try:
        _set(services, account, state, change, client)
    except (_Spent, EmailTaken):
        record_refused_link(services, client)
        return _EXPIRED
    return change


def find_cancellable(services: Services, token: str, *, client: Client) -> EmailChange | None:
    """The change that a cancel link would stop or undo; None if there is none. This spends nothing."""
    change = _cancellable(services, token)
    if change is None:
        record_refused_link(services, client)
    return change


def cancel_change(services: Services, token: str, *, client: Client) -> EmailChange | Refused:
    """Stop a change, or undo it within seven days after it was confirmed.

    The former address signs in again, whatever the user changed later, and every session ends. The link needs no
    sign-in, since an attacker who took the account over may have changed the password (ASVS 5 6.3.7, 7.5.1). It undoes
    no decision of an administrator or the host app: if the present address does not come from the user's own changes,
    the link is void and the present owner is told. Otherwise a former user could take back an account that was given to
    a successor. Of several requests at once one succeeds. Refuses with `email_taken` if another account has the former
    address meanwhile. Raises `StoreUnavailable`: then nothing has changed.
    """
    change = _cancellable(services, token)
    account = services.users.get(change.user_id) if change else None
    if change is None or account is None:
        record_refused_link(services, client)
        return _EXPIRED
    try:
        _restore(services, change, client)
    except EmailTaken:
        return Refused("email_taken", detail="back")
    except _Spent:
        record_refused_link(services, client)
        return _EXPIRED
    except _DecidedElsewhere:
        _void(services, change, client)
        return _EXPIRED
    return change


def _waiting(services: Services, session: ActiveSession) -> list[EmailChange]:
    """The changes of the user's present address that are not confirmed."""
    if services.email_changes is None:
        return []
    return [
        change
        for change in services.email_changes.email_changes_of(session.user.id)
        if change.confirmed_at is None and change.old_email == session.user.email
    ]


def _confirmable(services: Services, token: str) -> tuple[Account, AccountState, EmailChange] | None:
    """The account, its state and the change of a valid confirm link, else None."""
    opened = services.email_links.open(token)
    if opened is None or not opened.account.active or not offered(services):
        return None
    change = _stores(services)[1].find_email_change(opened.about)
    if change is None or change.confirmed_at is not None or change.user_id != opened.account.id:
        return None
    return opened.account, opened.state, change


def _set(services: Services, account: Account, state: AccountState, change: EmailChange, client: Client) -> None:
    """Change the address, end every session and mark the change as confirmed, in one transaction."""
    now, (accounts, changes) = time.time(), _stores(services)
    with services.log.transaction() as record:
        # Staff actions lock the rows in the same order. Otherwise a database refuses one of two as a deadlock.
        if not accounts.set_email(account.id, change.new_email, expected=change.old_email):
            raise _Spent
        if end_everything(services, account, why="email_changed", record=record) != state.revocation_counter + 1:
            raise _Spent
        until = now + CANCEL_LASTS.total_seconds()
        if not changes.confirm_email_change(change.key, confirmed_at=now, expires_at=until):
            raise _Spent
        details: dict[str, Any] = {"from": change.old_email, "to": change.new_email}
        record(EMAIL_CHANGED, subject=account, email=change.new_email, client=client, **details)
        services.notifications.email_changed(account, state, client, new=change.new_email)


def _cancellable(services: Services, token: str) -> EmailChange | None:
    """The change of a valid cancel link, else None."""
    key = services.cancel_links.key_of(token)
    if key is None or not offered(services):
        return None
    change = _stores(services)[1].find_email_change(key)
    return change if change is not None and time.time() < change.expires_at else None


def _restore(services: Services, change: EmailChange, client: Client) -> None:
    """Restore the former address, end every session and tell all addresses."""
    _, changes = _stores(services)
    with services.log.transaction() as record:
        before = _put_back(services, change)
        end_everything(services, before, why="email_change_cancelled", record=record)
        further = _led_on(changes.email_changes_of(change.user_id), change.old_email)[1]
        if changes.cancel_email_change(change.key) is None:
            raise _Spent
        for other in further:
            if other.key != change.key:
                changes.cancel_email_change(other.key)
        details: dict[str, Any] = {"from": before.email}
        record(EMAIL_CHANGE_CANCELLED, subject=before, email=change.old_email, client=client, **details)
        state = services.account_states.account_state(before.id)
        services.notifications.email_change_cancelled(before, state, client, old=change.old_email)


def _put_back(services: Services, change: EmailChange) -> Account:
    """Write the former address, even if the account still has it: a confirmation that runs now must end first.

    Returns the account as it was before. Raises `_DecidedElsewhere`.
    """
    accounts, changes = _stores(services)
    for overtaken in (False, True):
        before = services.users.get(change.user_id)
        if before is None:
            break
        led_to, _ = _led_on(changes.email_changes_of(change.user_id), change.old_email)
        if not before.active or before.email not in led_to:
            raise _DecidedElsewhere
        if accounts.set_email(before.id, change.old_email, expected=before.email):
            return before
        # A host app's store may count only rows that became different.
        if overtaken and before.email == change.old_email:
            return before
    raise _Spent


def _led_on(changes: Sequence[EmailChange], start: str) -> tuple[set[str], list[EmailChange]]:
    """The addresses to which confirmed changes led from `start`, and all changes that were asked for there.

    Goes from address to address and not by time, since the clocks of several machines differ.
    """
    led_to, missing = {start}, True
    while missing:
        further = {one.new_email for one in changes if one.confirmed_at is not None and one.old_email in led_to}
        missing = bool(further - led_to)
        led_to |= further
    return led_to, [one for one in changes if one.old_email in led_to]


def _void(services: Services, change: EmailChange, client: Client) -> None:
    """Make a cancel link void, and tell the present owner once.

    The link would undo a decision of an administrator or the host app.
    """
    record_refused_link(services, client)
    account = services.users.get(change.user_id)
    if _stores(services)[1].cancel_email_change(change.key) is not None and account is not None:
        state = services.account_states.account_state(account.id)
        services.notifications.email_cancel_refused(account, state, client)


def _stores(services: Services) -> tuple[EmailStore, EmailChangeStore]:
    """The two capabilities that a change of address takes. `offered` says whether they exist."""
    if services.email_store is None or services.email_changes is None:
        raise LookupError("ask `offered` first")
    return services.email_store, services.email_changes
