"""Changes to the account state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountState, AttributeValue

# Of the writers that meet, one succeeds in each turn; a store whose reads never see the others' writes ends here.
MOST_TURNS = 100


def change_account_state(services: Services, user_id: str, **attributes: AttributeValue | None) -> AccountState:
    """Set these attributes and keep the others; None or "" removes an attribute. Returns the state as written.

    If two requests write different attributes at once, neither is lost: the slower one reads again. Raises
    `StoreUnavailable`.
    """
    return _change(services, user_id, lambda stored: stored.having(**attributes))


def remove_attributes(services: Services, user_id: str) -> None:
    """Remove every attribute, of later features too, when the account is deleted. The revocation counter stays.
    Raises `StoreUnavailable`."""
    _change(services, user_id, lambda stored: replace(stored, attributes={}))


def _change(services: Services, user_id: str, change: Callable[[AccountState], AccountState]) -> AccountState:
    for _ in range(MOST_TURNS):
        stored = services.account_states.account_state(user_id)
        new = change(stored)
        if new == stored:
            return stored
        if services.account_states.update_account_state(user_id, new, expected=stored):
            return replace(new, version=stored.version + 1)
    raise StoreUnavailable("other processes change this account without end")
