"""Re-authentication: the user confirms the password again before a sensitive action."""

from __future__ import annotations

from nipo_auth_mw._flows.outcomes import SESSION_ENDED, Refused
from nipo_auth_mw._flows.password_check import check_own_password
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Client

REAUTHENTICATION = Requirement("fresh_sign_in_required", "account/confirm", lambda _account, _state: False)
"""The requirement of a sensitive action. It depends on the session, so it is never pending for an account."""


def reauthenticate(
    services: Services, session: ActiveSession, password: str, *, client: Client, device_cookie: str | None
) -> Refused | None:
    """Make the session fresh again for sensitive actions (ASVS 5 7.5.3). Returns None on success."""
    checked = check_own_password(services, session, password, client=client, device_cookie=device_cookie)
    if isinstance(checked, Refused):
        return checked
    return None if services.sessions.confirm(session.stored) else SESSION_ENDED
