"""Sign-out: the session of this device ends on the server; other devices stay signed in."""

from __future__ import annotations

from nipo_auth_mw._audit.events import EventGroup, EventType, Record
from nipo_auth_mw._audit.log import EventNotWritten
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Client

SIGNED_OUT = EventType("signed_out", EventGroup.LOGIN)


def sign_out(services: Services, session: ActiveSession, *, client: Client) -> None:
    """End the session. Of several requests at once one records the event (ASVS 5 7.4.1).

    Raises `StoreUnavailable`: then the session may not have ended, and the user must not be told that it has.
    """
    try:
        with services.log.transaction() as record:
            _end(services, session, client, record)
    except EventNotWritten:
        # The audit log alone may be out of reach, which must not keep a user from signing out.
        _end(services, session, client, services.log.record)


def _end(services: Services, session: ActiveSession, client: Client, record: Record) -> None:
    if services.session_store.end_session(session.stored.key) is not None:
        record(SIGNED_OUT, subject=session.user, client=client, session=session.stored)
