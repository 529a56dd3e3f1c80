"""One account as the staff pages show it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple

from nipo_auth_mw._flows.invitations_state import Invitation, invitation_of
from nipo_auth_mw._flows.staff_accounts import account_with, user_in
from nipo_auth_mw._flows.staff_security import Security, security_of
from nipo_auth_mw._services import Services
from nipo_auth_mw.models import AccountState, User

_FORM = "staff form"


class Person(NamedTuple):
    """An account as the staff pages show it. `locked`: wrong passwords lock its address or a known device.
    `locked_until` is the end of the lock of its address, if that has an end.

    `as_of` is a digest of the account as it is now: a form that carries it is refused after a change of the account.
    `security` is None if accounts cannot have a second step. `second_locked`: wrong codes lock it.
    """

    user: User
    memo: str
    must_change: bool
    locked: bool
    invitation: Invitation | None = None
    has_password: bool = True
    as_of: str = ""
    security: Security | None = None
    locked_until: datetime | None = None
    second_locked: bool = False


def look_at(services: Services, user_id: str) -> Person:
    """One account as an administrator may see it. Raises `NoSuchAccount`."""
    account = account_with(services, user_id, None)
    state = services.account_states.account_state(user_id)
    address = services.addresses.canonical(account.email)
    lock = services.lockout.locked(services.lockout.address(address)) if address else None
    # Rounded up to the minute: at the time that is shown, the lock has ended.
    ends = time.time() + lock.retry_after + 59 if lock and lock.retry_after else None
    security = _shown_security(services, user_id, state)
    second = services.second_lockout
    return Person(
        user_in(account, state),
        state.memo,
        state.password_change_deadline is not None,
        lock is not None or services.lockout.device_locked(user_id),
        invitation_of(account, state),
        account.password_hash is not None,
        services.reset_links.stamp(account, state, _FORM),
        security,
        datetime.fromtimestamp(ends, UTC) if ends else None,
        security is not None and not security.is_empty and second.locked(second.account(user_id)) is not None,
    )


def _shown_security(services: Services, user_id: str, state: AccountState) -> Security | None:
    """The second step of an account; None for one without where none can be set up."""
    found = security_of(services, user_id, state)
    return None if found is None or (services.factors is None and found.is_empty) else found


def is_as_of(services: Services, user_id: str, as_of: str) -> bool:
    """Whether the account is still as its page showed it. A form that is sent again would set another password.

    Raises `NoSuchAccount`.
    """
    account = account_with(services, user_id, None)
    return services.reset_links.still_fits(as_of, account, services.account_states.account_state(user_id), _FORM)
