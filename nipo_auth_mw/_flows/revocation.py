"""The revocation that every change of a password, an address or a state needs."""

from __future__ import annotations

import logging

from nipo_auth_mw._audit.events import Record
from nipo_auth_mw._flows.account_state import MOST_TURNS
from nipo_auth_mw._flows.password_check import UNLOCKED
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._throttle.slots import Ended
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account

_log = logging.getLogger("nipo_auth_mw")
_LIFT_EVERY = 30.0
_LIFT_TRIES = 120
"""For an hour. A lock that still stands ends by itself, or with an administrator's unlock."""


def end_everything(
    services: Services, account: Account, *, why: str, record: Record, actor: str = "", except_key: str = ""
) -> int:
    """Raise the revocation counter and end the account's sessions, except the one with the key `except_key`.

    Links, known devices and sessions that were stamped before are void from then on (ASVS 5 7.4.3). Returns the new
    counter.
    """
    counter = services.account_states.raise_revocation_counter(account.id)
    services.sessions.end_all(account.id, why=why, record=record, actor=actor, except_key=except_key)
    return counter


def hold_unchanged(services: Services, account: Account, state: AccountState) -> bool:
    """Whether the account still is as it was read. If so, it stays so until the transaction ends.

    Call this in a transaction that writes what a check of the password has allowed: an administrator may have changed
    the account while the check was under way. The write of the unchanged state makes every revocation wait.
    """
    for _ in range(MOST_TURNS):
        now = services.account_states.account_state(account.id)
        if now.revocation_counter != state.revocation_counter:
            return False
        if services.account_states.update_account_state(account.id, now, expected=now):
            break
    else:
        return False
    held, present = services.account_states.account_state(account.id), services.users.get(account.id)
    if present is None or held.revocation_counter != state.revocation_counter:
        return False
    facts = (present.email, present.password_hash, bool(present.active))
    return facts == (account.email, account.password_hash, bool(account.active))


def hold_session(services: Services, session: ActiveSession, account: Account) -> bool:
    """Whether the session has not ended, and its account is as it was read. If so, it stays so until the transaction
    ends.

    Call this in a transaction that writes what the session allows: its owner may have signed it out meanwhile, since an
    attacker had it.
    """
    return hold_unchanged(services, account, session.state) and services.sessions.owner(session.stored) is not None


def lift_lock_soon(services: Services, account: Account, *, actor: str = "", client: Client | None = None) -> None:
    """Lift the lock, after a password was set. If the counters cannot be reached, do it in the background later: the
    password is set in any case, and its user must not be told otherwise."""
    tries = iter(range(_LIFT_TRIES))

    def lift() -> None:
        try:
            lift_lock(services, account, actor=actor, client=client)
        except StoreUnavailable:
            _log.warning("the lock of account %s could not be lifted yet, because the counters are away", account.id)
            if next(tries, None) is not None:
                services.worker.submit(lift, after=_LIFT_EVERY)

    lift()


def lift_lock(services: Services, account: Account, *, actor: str = "", client: Client | None = None) -> None:
    """Clear the count of wrong passwords and the lock of the account's address, and the mark of locked devices."""
    address = services.addresses.canonical(account.email)
    ended = services.lockout.clear(services.lockout.address(address)) if address else None
    if services.lockout.unmark_devices(account.id) and ended is None:
        ended = Ended(0)
    if ended is not None:
        services.log.record(UNLOCKED, subject=account, client=client, actor=actor, refused=ended.refused)
