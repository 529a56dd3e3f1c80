"""The change of a user's password: other devices are signed out, and this device gets a new session."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.new_password import check_new_password, reading_of
from nipo_auth_mw._flows.outcomes import SESSION_ENDED, TOO_MANY_CHANGES, Refused, refusal
from nipo_auth_mw._flows.password_check import Attempt, attempt_of, check_own_password, is_password_of
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._flows.revocation import end_everything
from nipo_auth_mw._flows.second_check import PASSKEY
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.models import AccountState, Client, StoredSession
from nipo_auth_mw.protocols import Account

PASSWORD_CHANGED = EventType("password_changed", EventGroup.PASSWORD)
PASSWORD_CHANGE = Requirement(
    "password_change_required",
    "account/password",
    lambda _account, state, _config: state.password_change_deadline is not None,
)
"""The user has to change a temporary password first (ASVS 5 6.4.1)."""
_AN_HOUR = 4


@dataclass(frozen=True, slots=True)
class Changed:
    """The password is changed.

    `session` and `device` are the new values of this browser's cookies. `device` is None if the session is not
    persistent and the browser was no known device before.
    """

    stored: StoredSession
    session: str = field(repr=False)
    device: str | None = field(repr=False)


class _Overtaken(Exception):
    """The account or the session has changed or ended meanwhile."""


def change_password(
    services: Services,
    session: ActiveSession,
    current: str,
    new: str,
    *,
    client: Client,
    device_cookie: str | None = None,
) -> Changed | Refused:
    """Check the present password, set the new one, end every other session and renew this one.

    A user who has just signed in with a temporary password is not asked for it again: `current` is not checked as long
    as the session is fresh. Links in mails become void, and `PASSWORD_CHANGE` is satisfied. The owner is told, and an
    account changes its password four times an hour at most. Requiring the present password stops an attacker at an
    unlocked browser (ASVS 5 6.2.2, 6.2.3, 7.4.3). Raises `StoreUnavailable`: then nothing has changed.
    """
    if asks_for_current(services, session):
        checked = check_own_password(services, session, current, client=client, device_cookie=device_cookie)
    else:
        checked = _just_signed_in(services, session, client, device_cookie)
    if isinstance(checked, Refused):
        return checked
    attempt, account = checked
    try:
        if new == current or (not asks_for_current(services, session) and is_password_of(services, account, new)):
            raise PasswordRejected("unchanged")
        check_new_password(services, new, account.email, account.name, reading_of(attempt.state))
        hashed = services.hashing.hash(new)
    except (PasswordRejected, Busy) as error:
        return refusal(error)
    if not _may_change(services, account, attempt.state):
        return TOO_MANY_CHANGES
    try:
        return _set(services, session, attempt, account, hashed, device_cookie)
    except _Overtaken:
        return SESSION_ENDED


def asks_for_current(services: Services, session: ActiveSession) -> bool:
    """Whether the user has to enter the present password.

    The sign-in with a temporary one has just proved it. A passkey proves more, and a user whose temporary password has
    expired has no other way on.
    """
    deadline = session.state.password_change_deadline
    proved = deadline is not None and (time.time() < deadline or PASSKEY in session.public.means)
    return not (proved and services.sessions.fresh(session.public))


def _just_signed_in(
    services: Services, session: ActiveSession, client: Client, device_cookie: str | None
) -> tuple[Attempt, Account] | Refused:
    """The account of a session that has just been opened with a temporary password."""
    attempt = attempt_of(services, session.user.email, client, device_cookie)
    account = attempt.account if attempt else None
    if attempt is None or account is None or account.id != session.user.id:
        return SESSION_ENDED
    return (attempt, account) if PASSWORD_CHANGE.is_pending(account, attempt.state, services.config) else SESSION_ENDED


def _may_change(services: Services, account: Account, state: AccountState) -> bool:
    """Whether the user may change the password now: four times an hour, and always if it has to be changed.

    Every change is told, and ends the links in the owner's mails. There are fewer changes than such links in an hour,
    so an attacker who knows the password cannot keep the owner of the mailbox from setting another.
    """
    required = PASSWORD_CHANGE.is_pending(account, state, services.config)
    return required or services.quotas.allow_about(account.id, "password changed", an_hour=_AN_HOUR, spaced=False)


def _set(
    services: Services,
    session: ActiveSession,
    attempt: Attempt,
    account: Account,
    hashed: str,
    device_cookie: str | None,
) -> Changed:
    """Write the new hash and renew the session in one transaction. Raises `_Overtaken`."""
    client, old = attempt.client, session.stored
    with services.log.transaction() as record:
        # First, since a host app's user table may commit each change at once: no password is set that is not told.
        services.notifications.password_changed(account, attempt.state, client)
        if not services.users.set_password_hash(account.id, hashed, expected=account.password_hash):
            raise _Overtaken
        counter = end_everything(services, account, why="password_changed", record=record, except_key=old.key)
        if counter != attempt.state.revocation_counter + 1:
            raise _Overtaken
        change_account_state(services, account.id, password_change_deadline=None)
        now, state = services.users.get(account.id), services.account_states.account_state(account.id)
        confirmed = old._replace(confirmed_at=time.time())
        renewed = services.sessions.renew(confirmed, now, state, client) if now else None
        if now is None or renewed is None:
            raise _Overtaken
        record(PASSWORD_CHANGED, subject=account, client=client)
    stored, cookie = renewed
    known = stored.persistent or attempt.device is not None
    device = services.known_devices.remember(device_cookie, now, state) if known else None
    return Changed(stored, cookie, device)
