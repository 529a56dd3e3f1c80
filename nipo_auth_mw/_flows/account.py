"""The overview of a user's account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nipo_auth_mw._flows import email_change
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Event, Session

_RECENT = 20


@dataclass(frozen=True, slots=True)
class Overview:
    """The user's sessions, the latest first, and the newest events of the account."""

    sessions: Sequence[Session]
    events: Sequence[Event]
    can_change_email: bool


def overview(services: Services, session: ActiveSession) -> Overview:
    """What the account page shows. Raises `StoreUnavailable`."""
    return Overview(
        sessions=[Session(stored) for stored in services.sessions.of(session.user.id)],
        events=services.audit.events(user_id=session.user.id, limit=_RECENT),
        can_change_email=email_change.offered(services),
    )
