"""The overview of a user's account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from nipo_auth_mw._flows import email_change
from nipo_auth_mw._flows.advance import NEW_DEVICE, SIGNED_IN
from nipo_auth_mw._pages.user_agents import describe
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Event, Session

_RECENT = 20


class Overview(NamedTuple):
    """The user's sessions, this one first and then the latest, and the newest events of the account. `pending` is the
    change of address that waits for its confirmation."""

    sessions: Sequence[Session]
    events: Sequence[Event]
    can_change_email: bool
    pending: email_change.Pending | None


class LastSignIn(NamedTuple):
    """A user's earlier sign-in. `time` is an aware datetime in UTC; `device` is browser and system as users see them,
    such as "Chrome (Windows)", "" if unknown; `client_address` is "" if the server gave none."""

    time: datetime
    device: str
    client_address: str


def overview(services: Services, session: ActiveSession) -> Overview:
    """What the account page shows. Raises `StoreUnavailable`."""
    found = services.audit.events(user_id=session.user.id, limit=_RECENT)
    # A sign-in on a new device is recorded as both.
    new = {event.session for event in found if event.event == NEW_DEVICE.name}
    sessions = sorted(services.sessions.of(session.user.id), key=lambda stored: stored.key != session.stored.key)
    return Overview(
        sessions=[Session(stored) for stored in sessions],
        events=[event for event in found if event.event != SIGNED_IN.name or event.session not in new],
        can_change_email=email_change.offered(services),
        pending=email_change.pending(services, session),
    )


def last_sign_in(services: Services, session: Session) -> LastSignIn | None:
    """The user's newest sign-in of another session that began before this one. Raises `StoreUnavailable`."""
    found = services.audit.events(user_id=session.stored.user_id, event=SIGNED_IN.name, limit=_RECENT)
    for event in found:
        if event.session != session.id and event.time <= session.created_at:
            return LastSignIn(event.time, describe(event.user_agent), event.client_address)
    return None
