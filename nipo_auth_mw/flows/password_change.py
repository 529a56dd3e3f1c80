"""The change of one's own password: every other device is signed out, this one goes on under a new session."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.flows.signin import Attempt, Refused, check_own_password
from nipo_auth_mw.models import Client, StoredSession
from nipo_auth_mw.parts.gate import Busy
from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.parts.revocation import end_everything
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.parts.sessions import Live
from nipo_auth_mw.protocols import Account


@dataclass(frozen=True, slots=True)
class Changed:
    """`session` and `device` are the new values of this browser's cookies; `device` is None where it is not kept."""

    stored: StoredSession
    session: str = field(repr=False)
    device: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unfit:
    """The present password was right, the new one may not be set."""

    why: PasswordRejected


def change_password(
    services: Services, live: Live, current: str, new: str, *, client: Client, device_cookie: str | None = None
) -> Changed | Unfit | Refused:
    """Ask for the present password, set the new one, end every other session and renew this one.

    Links in mails die with it, and it ends "must change". ASVS 5 6.2.2, 6.2.3, 7.4.3. Raises `StoreUnavailable`, and
    then nothing has changed.
    """
    checked = check_own_password(services, live, current, client=client, device_cookie=device_cookie)
    if isinstance(checked, Refused):
        return checked
    attempt, account = checked
    try:
        if new == current:
            raise PasswordRejected("unchanged")
        services.passwords.check(new, about=(account.email, account.name or ""))
        hashed = services.passwords.hash(new)
    except PasswordRejected as rejected:
        return Unfit(rejected)
    except Busy:
        return Refused("busy", retry_after=1)
    tells = services.lockout.may_tell(account.id, "password changed", an_hour=10, spaced=False)
    try:
        changed = _set(services, live, attempt, account, hashed, device_cookie)
    except _Overtaken:
        return Refused("sign_in_required")
    if tells:
        services.notices.password_changed(account, attempt.notes, client)
    return changed


class _Overtaken(Exception):
    """The account or the session changed or ended meanwhile."""


def _set(
    services: Services, live: Live, attempt: Attempt, account: Account, hashed: str, device_cookie: str | None
) -> Changed:
    client = attempt.client
    with services.recorder.transaction() as record:
        if not services.users.set_password_hash(account.id, hashed, expected=account.password_hash):
            raise _Overtaken
        epoch = end_everything(services, account, why="password_changed", record=record, but=live.stored.key)
        if epoch != attempt.notes.epoch + 1:
            raise _Overtaken
        services.session_store.set_change_by(account.id, None)
        now, notes = services.users.get(account.id), services.session_store.notes_of(account.id)
        renewed = services.sessions.renew(live.stored, now, notes, client, record=record) if now else None
        if now is None or renewed is None:
            raise _Overtaken
        record(event("password_changed", time=time.time(), client=client, user_id=account.id, email=account.email))
    stored, cookie = renewed
    device = services.devices.remember(device_cookie, now, notes) if stored.kept else None
    return Changed(stored, cookie, device)
