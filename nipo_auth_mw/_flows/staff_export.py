"""The accounts as a list that an import reads again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._flows.new_password import reading_of
from nipo_auth_mw._flows.staff_actor import Actor, directory_of, is_administrator
from nipo_auth_mw._flows.staff_rows import AccountRow
from nipo_auth_mw._services import Services
from nipo_auth_mw.models import AccountState
from nipo_auth_mw.protocols import Account

STAFF_EXPORTED = EventType("staff_exported", EventGroup.STAFF)
_AT_ONCE = 500


def export(services: Services, *, actor: Actor) -> Iterator[AccountRow]:
    """Every account, by address, with the columns that an import reads, and neither a password nor its hash.

    The event is recorded before the first row is read, or nothing is. Stops before the next batch if the administrator
    has lost the right. Raises `StoreUnavailable` and `NotSupported`.
    """
    directory, after, before = directory_of(services), None, 0
    with services.log.transaction() as record:
        record(STAFF_EXPORTED, client=actor.client, actor=actor.name)
    while found := directory.search("", after=after, limit=_AT_ONCE):
        if actor.session is not None and not is_administrator(services, actor.session):
            return
        states = services.account_states.account_states([account.id for account in found])
        for number, account in enumerate(found, before + 1):
            yield AccountRow(number, _facts(account, states.get(account.id, AccountState())))
        after, before = found[-1].email, before + len(found)


def _facts(account: Account, state: AccountState) -> dict[str, Any]:
    """The columns of an account."""
    return {
        "name": account.name or "",
        "reading": reading_of(state),
        "email": account.email,
        "role": account.role,
        "active": bool(account.active),
        "notify_email": state.notify_email or "",
        "memo": state.memo,
    }
