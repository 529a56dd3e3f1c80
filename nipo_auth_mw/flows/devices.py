"""The devices a person is signed in on."""

from __future__ import annotations

from nipo_auth_mw.models import StoredSession, public_id
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.parts.sessions import Live


def end_session(services: Services, live: Live, session_id: str) -> StoredSession | None:
    """End one of the person's own sessions by the id the account page shows; None when they have none of this id
    (ASVS 5 7.4.4, 8.2.2). Raises `StoreUnavailable`: then it is not ended."""
    for stored in services.sessions.of(live.user.id):
        if public_id(stored) == session_id:
            with services.recorder.transaction() as record:
                ended = services.sessions.end(stored, why="by_owner", record=record, actor=live.user.id)
            return stored if ended else None
    return None


def end_other_sessions(services: Services, live: Live) -> None:
    """End all of the person's sessions but this one. Raises `StoreUnavailable`: then none is ended."""
    with services.recorder.transaction() as record:
        services.sessions.end_all(live.user.id, why="by_owner", record=record, actor=live.user.id, but=live.stored.key)


def end_for(services: Services, user_id: str, session_id: str | None, *, actor: str) -> int:
    """End one session of an account, or all for None; returns how many. Raises `StoreUnavailable`."""
    chosen = [one for one in services.sessions.of(user_id) if session_id in (None, public_id(one))]
    with services.recorder.transaction() as record:
        return sum(services.sessions.end(one, why="by_admin", record=record, actor=actor) for one in chosen)
