"""The sign-out of another's devices by an administrator."""

from __future__ import annotations

from nipo_auth_mw._flows.devices import end_for
from nipo_auth_mw._flows.staff_accounts import account_with
from nipo_auth_mw._flows.staff_actor import Actor, still_allowed
from nipo_auth_mw._services import Services


def end_sessions(services: Services, user_id: str, session_id: str | None, *, actor: Actor) -> int:
    """End one session of the account, or all for None, and return how many ended.

    Raises `NoSuchAccount`, `NotAllowed`, and `NotOneself`: the account page of an administrator ends the others and
    keeps this one.
    """
    account_with(services, user_id, actor)
    still_allowed(services, actor)
    return end_for(services, user_id, session_id, actor=actor.name)
