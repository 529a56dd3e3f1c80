"""The second step of a sign-in, after the right password."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from nipo_auth_mw._flows.advance import Proofs, SecondDue, SignedIn, advance
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import check_passkey
from nipo_auth_mw._flows.password_check import Attempt
from nipo_auth_mw._flows.second_check import PASSKEY, PASSWORD, SecondAttempt, attempt_at, check_code, sign_in_attempt
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._throttle.lockout import NoSlot, Slot
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account

EXPIRED = Refused("second_expired")


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in whose password was right. `account` and `state` are as they were then."""

    account: Account
    state: AccountState
    remember: bool


def find_pending(services: Services, token: str | None) -> Pending | None:
    """The sign-in that waits for its second step, by the value of the cookie.

    None for a cookie that is missing or forged, or older than ten minutes, and if the account has changed since: after
    another password, an unset switch or a disabling the first step has to be taken again. Raises `StoreUnavailable`.
    """
    opened = services.second_links.open(token) if token else None
    if opened is None or opened.state.two_step is None:
        return None
    return Pending(opened.account, opened.state, opened.about == "1")


def finish_with_code(
    services: Services,
    token: str | None,
    text: str,
    *,
    client: Client,
    device_cookie: str | None = None,
    over: ActiveSession | None = None,
) -> SignedIn | Refused:
    """Check a code of the app, or a backup code, and open the session.

    `over` is the session that the browser came with; it ends now, and not at the first step (ASVS 5 7.2.4). Raises
    `StoreUnavailable` during an outage.
    """
    pending = find_pending(services, token)
    if pending is None:
        return EXPIRED
    attempt = attempt_at(services, pending.account, pending.state, client=client, device_cookie=device_cookie)
    means = check_code(services, attempt, text)
    if isinstance(means, Refused):
        return means
    return finish(services, attempt, means, remember=pending.remember, device_cookie=device_cookie, over=over)


def finish_with_passkey(
    services: Services,
    token: str | None,
    credential: str,
    *,
    client: Client,
    device_cookie: str | None = None,
    over: ActiveSession | None = None,
) -> SignedIn | Refused:
    """Verify a passkey of the account, and open the session. A locked second step does not refuse it. Raises
    `StoreUnavailable` during an outage."""
    pending = find_pending(services, token)
    if pending is None:
        return EXPIRED
    owner = pending.account
    used = check_passkey(services, credential, "second", owner=owner, client=client, device_cookie=device_cookie)
    if isinstance(used, Refused):
        return used
    return finish(services, used, PASSKEY, remember=pending.remember, device_cookie=device_cookie, over=over)


def finish(
    services: Services,
    attempt: SecondAttempt,
    means: str,
    *,
    remember: bool,
    device_cookie: str | None,
    over: ActiveSession | None,
) -> SignedIn | Refused:
    """Open the session of a user who has proved the password, and then the second step by `means`."""
    first = _first_step(services, attempt)
    proofs = Proofs(first, attempt.account, remember, device_cookie, over, means=(PASSWORD, means))
    outcome = advance(services, proofs)
    return EXPIRED if isinstance(outcome, SecondDue) else outcome


def _first_step(services: Services, attempt: SecondAttempt) -> Attempt:
    """The attempt of the password, whose count the complete sign-in clears.

    It reserves a slot as any right password does. If there is none, other attempts are under way or have locked the
    address, and their count stays.
    """
    first = sign_in_attempt(services, attempt)
    try:
        slot = services.lockout.reserve(first.subject, time.monotonic())
    except NoSlot:
        return first
    return replace(first, slot=slot) if isinstance(slot, Slot) else first
