"""The changes of an account's proofs: each is written with its event and its mail in one transaction.

All except a further proof end the account's other sessions and renew the one that made it (ASVS 5 7.4.3; NIST SP
800-63B-4 4.1.3).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from nipo_auth_mw._audit.events import Record
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.outcomes import SESSION_ENDED, TOO_MANY_CHANGES, Refused
from nipo_auth_mw._flows.revocation import end_everything, hold_session
from nipo_auth_mw._flows.second_check import CODE, PASSKEY, PASSWORD, factors_of
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import AccountState, AttributeValue, Client, StoredSession
from nipo_auth_mw.protocols import Account, Factor

WHY = "second_step_changed"
_AN_HOUR = 20
_A_MOMENT = 60
"""Seconds between the use of a passkey and the session that it proves, on clocks that differ."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """The change is made. `session` and `device` are the new values of this browser's cookies; `device` is None if the
    browser was no known device and the session is not persistent."""

    persistent: bool
    session: str = field(repr=False)
    device: str | None = field(repr=False)


class _Overtaken(Exception):
    """The account or the session has changed or ended meanwhile."""


class Unfit(Exception):
    """The change cannot be made; `refused` says why."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


class Change(NamedTuple):
    """One change of the proofs, as it is written in its transaction.

    `write` makes it with the account as it is, and gives the attributes of the account state that change with it.
    `proved` is what the user has proved by it, and `removed` the proof that it takes away.
    """

    write: Callable[[Account, Record], dict[str, AttributeValue | None]]
    proved: str = ""
    removed: Factor | None = None


def account_to_change(services: Services, session: ActiveSession) -> Account | Refused:
    """The account of the session, after one more change was counted; else the refusal.

    Every change is told, and a mailbox must not be flooded: twenty changes an hour at most.
    """
    account = services.sessions.owner(session.stored)
    if account is None:
        return SESSION_ENDED
    allowed = services.quotas.allow_about(account.id, "second step", an_hour=_AN_HOUR, spaced=False)
    return account if allowed else TOO_MANY_CHANGES


def change_proofs(
    services: Services, session: ActiveSession, change: Change, client: Client, device_cookie: str | None
) -> Renewed | Refused:
    """Make the change, end every other session and renew this one, in one transaction."""
    account = account_to_change(services, session)
    if isinstance(account, Refused):
        return account
    try:
        return _written(services, session, account, change, client, device_cookie)
    except _Overtaken:
        return SESSION_ENDED
    except Unfit as unfit:
        return unfit.refused


def add_further_proof(services: Services, session: ActiveSession, change: Change) -> Refused | None:
    """Write a further proof, in one transaction. The account's devices stay signed in. Returns None on success."""
    account = account_to_change(services, session)
    if isinstance(account, Refused):
        return account
    try:
        with services.log.transaction() as record:
            if not hold_session(services, session, account):
                return SESSION_ENDED
            change_account_state(services, account.id, **change.write(account, record))
    except Unfit as unfit:
        return unfit.refused
    return None


def _written(
    services: Services,
    session: ActiveSession,
    account: Account,
    change: Change,
    client: Client,
    device_cookie: str | None,
) -> Renewed:
    """Write the change. Raises `_Overtaken` and `Unfit`, and then nothing is written."""
    before, old = session.state, session.stored
    known = services.known_devices.known(device_cookie, account, before) is not None
    with services.log.transaction() as record:
        attributes = change.write(account, record)
        counter = end_everything(services, account, why=WHY, record=record, except_key=old.key)
        if counter != before.revocation_counter + 1:
            raise _Overtaken
        state: AccountState = change_account_state(services, account.id, **attributes)
        proved = old._replace(means=change.proved, second_at=time.time()) if change.proved else old
        standing = _standing(services, proved, state, change.removed)
        renewed = services.sessions.renew(standing, account, state, client)
        if renewed is None:
            raise _Overtaken
    stored, cookie = renewed
    device = services.known_devices.remember(device_cookie, account, state) if stored.persistent or known else None
    return Renewed(stored.persistent, cookie, device)


def _standing(services: Services, session: StoredSession, state: AccountState, removed: Factor | None) -> StoredSession:
    """The session with the means that still stand: a proof that is gone must not count as a second step.

    A backup code is used up by its use, so it stands as long as the account has two steps. Of several passkeys the one
    that is removed may be the one that the session has proved.
    """
    stand = {PASSWORD, *(factor.kind for factor in factors_of(services).of(session.user_id))}
    if removed is not None and removed.kind == PASSKEY and _may_have_proved(removed, session):
        stand.discard(PASSKEY)
    if state.two_step is not None:
        stand.add(CODE)
    means = ",".join(one for one in session.means.split(",") if one in stand) or PASSWORD
    return session._replace(means=means, second_at=0.0 if means == PASSWORD else session.second_at)


def _may_have_proved(passkey: Factor, session: StoredSession) -> bool:
    """Whether the session's proof by a passkey may be this one: it was made or used as late as the session began."""
    return max(passkey.created_at, passkey.used_at) >= session.created_at - _A_MOMENT
