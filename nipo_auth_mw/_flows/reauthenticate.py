"""Re-authentication: the user proves again who they are before a sensitive action."""

from __future__ import annotations

from dataclasses import replace

from nipo_auth_mw._flows.outcomes import SESSION_ENDED, Refused
from nipo_auth_mw._flows.passkeys_check import check_passkey
from nipo_auth_mw._flows.password_check import check_own_password, release, settle
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._flows.second_check import PASSKEY, PASSWORD, attempt_at, check_code
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Client

REAUTHENTICATION = Requirement("fresh_sign_in_required", "account/confirm", lambda _account, _state, _config: False)
"""The requirement of a sensitive action. It depends on the session, so it is never pending for an account."""


def reauthenticate(
    services: Services,
    session: ActiveSession,
    password: str,
    code: str = "",
    *,
    client: Client,
    device_cookie: str | None,
) -> Refused | None:
    """Make the session fresh again for sensitive actions (ASVS 5 7.5.1, 7.5.3). Returns None on success.

    An account with two steps proves both: the password, and a code of its app or a backup code. Both count where a
    sign-in would count them, and a right password without the right code neither counts nor clears anything. Raises
    `StoreUnavailable`.
    """
    checked = check_own_password(
        services, session, password, client=client, device_cookie=device_cookie, keep_slot=True
    )
    if isinstance(checked, Refused):
        return checked
    attempt, account = checked
    means = PASSWORD
    try:
        if attempt.state.two_step is not None:
            second = attempt_at(services, account, attempt.state, client=client, device_cookie=device_cookie)
            proved = check_code(services, second, code)
            if isinstance(proved, Refused):
                release(services, attempt, counted=False)
                return _at_confirm(proved)
            means = f"{PASSWORD},{proved}"
        settle(services, attempt)
    except BaseException:
        release(services, attempt)
        raise
    return None if services.sessions.confirm(session.stored, means) else SESSION_ENDED


def reauthenticate_with_passkey(
    services: Services, session: ActiveSession, credential: str, *, client: Client, device_cookie: str | None
) -> Refused | None:
    """Make the session fresh by a passkey of the user, which is both steps at once. Returns None on success. Raises
    `StoreUnavailable`."""
    account = services.sessions.owner(session.stored)
    if account is None:
        return SESSION_ENDED
    used = check_passkey(services, credential, "confirm", owner=account, client=client, device_cookie=device_cookie)
    if isinstance(used, Refused):
        return replace(used, detail="own") if used.code == "passkey_rejected" else used
    return None if services.sessions.confirm(session.stored, PASSKEY) else SESSION_ENDED


def _at_confirm(refused: Refused) -> Refused:
    """The refusal as it reads to a user who is signed in, and stays so: a wrong code is 403."""
    if refused.code == "invalid_code":
        return replace(refused, detail="_".join(filter(None, ("own", refused.detail))))
    if refused.code == "locked" and refused.detail == "second":
        return replace(refused, detail="second_own")
    return refused
