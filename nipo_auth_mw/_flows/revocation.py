"""The revocation that every change of a password, an address or a state needs."""

from __future__ import annotations

from nipo_auth_mw._audit.events import Record
from nipo_auth_mw._flows.password_check import UNLOCKED
from nipo_auth_mw._mail import addresses
from nipo_auth_mw._services import Services
from nipo_auth_mw.models import Client
from nipo_auth_mw.protocols import Account


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


def lift_lock(services: Services, account: Account, *, actor: str = "", client: Client | None = None) -> None:
    """Clear the count of wrong passwords and the lock of the account's address."""
    address = addresses.canonical(account.email)
    ended = services.lockout.clear(services.lockout.address(address)) if address else None
    if ended is not None:
        services.log.record(UNLOCKED, subject=account, client=client, actor=actor, refused=ended.refused)
