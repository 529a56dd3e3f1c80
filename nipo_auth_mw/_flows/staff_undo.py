"""What an administrator has just done, read from the audit log: a page that says so can be believed, however it was
opened."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple

from nipo_auth_mw._flows.staff import ACCOUNT_DELETED, ROLE_CHANGED
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._services import Services
from nipo_auth_mw.models import Event

_MINUTES = 10


class Deleted(NamedTuple):
    """The account that is gone, as a sentence names it."""

    name: str
    email: str


def role_before(services: Services, user_id: str, *, actor: Actor) -> str:
    """The role that the account had before this administrator changed it within ten minutes; "" without a change."""
    latest = _latest(services, user_id, ROLE_CHANGED.name, actor)
    return str(latest.details.get("before", "")) if latest else ""


def deleted(services: Services, user_id: str, *, actor: Actor) -> Deleted | None:
    """The account that this administrator deleted within ten minutes; None for none."""
    latest = _latest(services, user_id, ACCOUNT_DELETED.name, actor)
    return Deleted(str(latest.details.get("name") or ""), latest.email) if latest else None


def _latest(services: Services, user_id: str, event: str, actor: Actor) -> Event | None:
    since = datetime.fromtimestamp(time.time() - _MINUTES * 60, UTC)
    found = services.audit.events(user_id=user_id, event=event, since=since, limit=1)
    return found[0] if found and found[0].actor == actor.name else None
