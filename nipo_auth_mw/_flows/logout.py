"""Sign-out: the session of this device ends on the server; other devices stay signed in."""

from __future__ import annotations

from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Client

SIGNED_OUT = EventType("signed_out")


def sign_out(services: Services, session: ActiveSession, *, client: Client) -> None:
    """End the session. Of several requests at once one records the event (ASVS 5 7.4.1).

    Raises `StoreUnavailable`: then the session has not ended, and the user must not be told that it has.
    """
    if services.session_store.end_session(session.stored.key) is not None:
        services.log.record(SIGNED_OUT, subject=session.user, client=client, session=session.stored)
