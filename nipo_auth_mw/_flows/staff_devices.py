"""The sign-out of another's devices by an administrator."""

from __future__ import annotations

from nipo_auth_mw._flows.devices import end_for
from nipo_auth_mw._flows.staff_actor import Actor, still_allowed
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import NoSuchAccount, NotOneself


def end_sessions(services: Services, user_id: str, session_id: str | None, *, actor: Actor) -> int:
    """End one session of the account, or all for None, and return how many ended.

    Raises `NoSuchAccount`, `NotAllowed`, and `NotOneself`: the account page of an administrator ends the others and
    keeps this one.
    """
    if services.users.get(user_id) is None:
        raise NoSuchAccount.of(user_id)
    if user_id == actor.name:
        raise NotOneself("administrators cannot do this to their own account")
    still_allowed(services, actor)
    return end_for(services, user_id, session_id, actor=actor.name)
