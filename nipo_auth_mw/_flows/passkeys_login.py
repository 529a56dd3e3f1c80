"""Sign-in by a passkey, which is both steps at once."""

from __future__ import annotations

from dataclasses import replace

from nipo_auth_mw._flows.advance import Proofs, SecondDue, SignedIn, advance
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import check_passkey
from nipo_auth_mw._flows.second_check import PASSKEY, sign_in_attempt
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Client


def sign_in_with_passkey(
    services: Services,
    credential: str,
    *,
    remember: bool,
    client: Client,
    device_cookie: str | None = None,
    over: ActiveSession | None = None,
) -> SignedIn | Refused:
    """Verify a passkey and open a session.

    `over` is the session that the browser came with; it ends. The count of wrong passwords stays: another person may
    have made it. A disabled account is named to the owner of its passkey alone. Raises `StoreUnavailable` during an
    outage.
    """
    used = check_passkey(services, credential, "login", client=client, device_cookie=device_cookie)
    if isinstance(used, Refused):
        return used
    proofs = Proofs(sign_in_attempt(services, used), used.account, remember, device_cookie, over, means=(PASSKEY,))
    outcome = advance(services, proofs)
    if isinstance(outcome, SecondDue):
        return Refused("passkey_rejected")
    if isinstance(outcome, Refused):
        return replace(outcome, values={**outcome.values, "email": used.account.email})
    return outcome
