"""Sign-in: from an address and a password to a session, or to a refusal."""

from __future__ import annotations

import time

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._credentials.security_stamp import equivalent_hashes_with
from nipo_auth_mw._flows.advance import Proofs, SecondDue, SignedIn, advance
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_check import check_password, is_password_of, release
from nipo_auth_mw._flows.second_check import PASSWORD
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.errors import HashingFailed, StoreUnavailable
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account


def sign_in(
    services: Services,
    email: str,
    password: str,
    *,
    remember: bool,
    client: Client,
    device_cookie: str | None = None,
    over: ActiveSession | None = None,
) -> SignedIn | SecondDue | Refused:
    """Check a password, and open a session or ask for the second step.

    `over` is the session that the browser came with; it ends (session fixation; ASVS 5 7.2.4). An unknown address costs
    what a known one costs, and the answer names a disabled account only after the right password, so an attacker cannot
    find out which accounts exist (ASVS 5 6.3.8). Raises `StoreUnavailable` during an outage.
    """
    checked = check_password(services, email, password, client=client, device_cookie=device_cookie, keep_slot=True)
    if isinstance(checked, Refused):
        return checked
    attempt, account = checked
    try:
        if account.active:
            _rehash(services, account, attempt.state, password)
        return advance(services, Proofs(attempt, account, remember=remember, device_cookie=device_cookie, over=over))
    except BaseException:
        release(services, attempt)
        raise


def admit(
    services: Services,
    account: Account,
    *,
    client: Client,
    persistent: bool = True,
    means: tuple[str, ...] = (PASSWORD,),
) -> str:
    """Open a session that has proved `means`, without asking for them, for test kits. Returns the cookie's value."""
    state = services.account_states.account_state(account.id)
    second_at = 0.0 if means == (PASSWORD,) else time.time()
    _, cookie = services.sessions.open(
        account, state, client, persistent=persistent, means=",".join(means), second_at=second_at
    )
    services.sessions.end_surplus(account.id, record=services.log.record)
    return cookie


def _rehash(services: Services, account: Account, state: AccountState, password: str) -> None:
    """Hash the password anew if the parameters have risen. This ends no session, and its failure fails no sign-in.

    The equivalent hashes are written first: if the second write fails, they name a hash that no account has, which is
    harmless.
    """
    try:
        if account.password_hash is None or not services.hashing.outdated(account.password_hash):
            return
        spellings = services.password_rules.spellings(password)
        right = next((one for one in spellings[:-1] if is_password_of(services, account, one)), spellings[-1])
        new = services.hashing.hash(right)
        equivalent = equivalent_hashes_with(account.password_hash, new, state.equivalent_hashes)
        after = state.having(equivalent_hashes=equivalent)
        if services.account_states.update_account_state(account.id, after, expected=state):
            services.users.set_password_hash(account.id, new, expected=account.password_hash)
    except (Busy, HashingFailed, StoreUnavailable):
        return
