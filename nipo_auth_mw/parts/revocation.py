"""What every change of a password, an address or a state brings with it."""

from __future__ import annotations

import time

from nipo_auth_mw.models import Client
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.recorder import Record, event
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.protocols import Account


def end_everything(
    services: Services, account: Account, *, why: str, record: Record, actor: str = "", but: str = ""
) -> int:
    """Raise the epoch, so that nothing stamped before is good again, and end each session, but the one with the key
    `but`, with its row.

    Returns the new epoch.
    """
    epoch = services.session_store.raise_epoch(account.id)
    services.sessions.end_all(account.id, why=why, record=record, actor=actor, but=but)
    return epoch


def lift_lock(services: Services, account: Account, *, actor: str = "", client: Client | None = None) -> None:
    """Clear the count of wrong passwords and the lock of the account's address."""
    address = emails.canonical(account.email)
    ended = services.lockout.clear(services.lockout.address(address)) if address else None
    if ended is not None:
        services.recorder.record(
            event(
                "unlocked",
                time=time.time(),
                client=client,
                user_id=account.id,
                email=account.email,
                actor=actor,
                details={"refused": ended.refused},
            )
        )
