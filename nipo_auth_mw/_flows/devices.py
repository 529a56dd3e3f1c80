"""The devices that a user is signed in on."""

from __future__ import annotations

from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import StoredSession, public_id


def end_session(services: Services, session: ActiveSession, session_id: str) -> StoredSession | None:
    """End one of the user's sessions by the id that the account page shows.

    Returns None if the user has no session with this id, so that no user can end another user's session (ASVS 5 7.4.4,
    8.2.2). Raises `StoreUnavailable`: then the session has not ended.
    """
    for stored in services.sessions.of(session.user.id):
        if public_id(stored) == session_id:
            with services.log.transaction() as record:
                ended = services.sessions.end(stored, why="by_owner", record=record, actor=session.user.id)
            return stored if ended else None
    return None


def end_other_sessions(services: Services, session: ActiveSession) -> None:
    """End all of the user's sessions except this one. Raises `StoreUnavailable`: then none has ended."""
    user_id, this = session.user.id, session.stored.key
    with services.log.transaction() as record:
        services.sessions.end_all(user_id, why="by_owner", record=record, actor=user_id, except_key=this)


def end_for(services: Services, user_id: str, session_id: str | None, *, actor: str) -> int:
    """End one session of an account, or all for None, and return how many ended. Raises `StoreUnavailable`."""
    chosen = [one for one in services.sessions.of(user_id) if session_id in (None, public_id(one))]
    with services.log.transaction() as record:
        return sum(services.sessions.end(one, why="by_admin", record=record, actor=actor) for one in chosen)
