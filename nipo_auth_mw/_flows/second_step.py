"""The second step of a sign-in, after the right password."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nipo_auth_mw._audit.events import Record
from nipo_auth_mw._flows.advance import Proofs, SecondDue, SignedIn, advance
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import check_passkey
from nipo_auth_mw._flows.password_check import Attempt
from nipo_auth_mw._flows.second_check import (
    PASSKEY,
    PASSWORD,
    RightCode,
    attempt_at,
    sign_in_attempt,
    with_code,
)
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account

EXPIRED = Refused("second_expired")


class Pending(NamedTuple):
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
    pending: Pending,
    text: str,
    *,
    client: Client,
    device_cookie: str | None = None,
    over: ActiveSession | None = None,
) -> SignedIn | Refused:
    """Check a code of the app, or a backup code, and open the session in the transaction that spends it.

    `over` is the session that the browser came with; it ends now, and not at the first step (ASVS 5 7.2.4). Raises
    `StoreUnavailable` during an outage.
    """
    attempt = attempt_at(services, pending.account, pending.state, client=client, device_cookie=device_cookie)
    first = sign_in_attempt(services, attempt)

    def finish(code: RightCode) -> SignedIn | Refused:
        both = first._replace(slot=code.slot, clears=services.lockout.clears(first.subject, code.seen))
        return _finish(services, both, pending, code.means, device_cookie, over, spend=code.spend)

    return with_code(services, attempt, text, finish, services.lockout.names(first.subject))


def finish_with_passkey(
    services: Services,
    pending: Pending,
    credential: str,
    *,
    client: Client,
    device_cookie: str | None = None,
    over: ActiveSession | None = None,
) -> SignedIn | Refused:
    """Verify a passkey of the account, and open the session. A locked second step does not refuse it. Raises
    `StoreUnavailable` during an outage."""
    owner = pending.account
    used = check_passkey(services, credential, "second", owner=owner, client=client, device_cookie=device_cookie)
    if isinstance(used, Refused):
        return used
    first = sign_in_attempt(services, used)
    first = first._replace(clears=services.lockout.clears(first.subject, services.lockout.look(first.subject)))
    return _finish(services, first, pending._replace(account=used.account), PASSKEY, device_cookie, over)


def _finish(
    services: Services,
    first: Attempt,
    pending: Pending,
    means: str,
    device_cookie: str | None,
    over: ActiveSession | None,
    spend: Callable[[Record], None] | None = None,
) -> SignedIn | Refused:
    """Open the session of a user who has proved the password, and then the second step by `means`.

    The complete sign-in clears the count of the password: other attempts that are under way, or have locked the
    address, keep theirs.
    """
    proofs = Proofs(first, pending.account, pending.remember, device_cookie, over, (PASSWORD, means), spend)
    outcome = advance(services, proofs)
    return EXPIRED if isinstance(outcome, SecondDue) else outcome
