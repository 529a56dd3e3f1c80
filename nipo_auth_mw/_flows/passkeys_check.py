"""The check of a passkey, at sign-in, at the second step and at re-authentication.

A passkey cannot be guessed, so no lockout refuses it. Failures count for the client address, which keeps a stranger
from making the process verify signatures without end.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._credentials.passkey_challenges import Purpose, lasts
from nipo_auth_mw._credentials.passkeys import COUNTER, Opened, Passkey, Passkeys, Rejected, credential_id_of
from nipo_auth_mw._flows.outcomes import BUSY, Refused
from nipo_auth_mw._flows.password_check import count_client
from nipo_auth_mw._flows.second_check import PASSKEY, SecondAttempt, attempt_at, factors_of, forgive
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account, Factor

PASSKEY_REFUSED = EventType("passkey_refused", EventGroup.REFUSAL)

_REJECTED = "passkey_rejected"
_TRIES = 3
_CLOCKS_DIFFER = 600
"""Seconds that a used challenge is remembered beyond its life, for processes whose clocks differ."""


class _Found(NamedTuple):
    """A passkey that is stored, and its account."""

    factor: Factor
    account: Account
    state: AccountState


def passkeys_of(services: Services) -> Passkeys:
    """The relying party. Raises `StoreUnavailable` where passkeys are not offered; no route leads here then."""
    if services.passkeys is None:
        raise StoreUnavailable("passkeys are not offered")
    return services.passkeys


def login_options(services: Services) -> dict[str, Any] | None:
    """The options of the sign-in page, the same for every visitor except the challenge; None without passkeys."""
    return services.passkeys.request_options("login") if services.passkeys else None


def own_options(services: Services, purpose: Purpose, user_id: str) -> dict[str, Any] | None:
    """The options for a passkey of this account; None if it has none. Raises `StoreUnavailable`."""
    if services.passkeys is None:
        return None
    own = stored_passkeys(services, user_id)
    return services.passkeys.request_options(purpose, user_id, own) if own else None


def stored_passkeys(services: Services, user_id: str) -> list[Passkey]:
    """The passkeys of an account, the oldest first. Raises `StoreUnavailable`."""
    factors = factors_of(services).of(user_id)
    return [Passkey.unpacked(factor.data) for factor in factors if factor.kind == PASSKEY]


def check_passkey(
    services: Services,
    credential: str,
    purpose: Purpose,
    *,
    owner: Account | None = None,
    client: Client,
    device_cookie: str | None,
) -> SecondAttempt | Refused:
    """Verify a passkey and note its use. Returns the attempt at its account, which is `owner` if that is given.

    An unknown passkey, a wrong one and one of another account get one answer, so an attacker does not learn which
    exist. Only a browser that presents an id that no account has is told so, to forget it. Costs no hash, and no
    look-up unless the challenge is ours. Raises `StoreUnavailable` during an outage.
    """
    wait = services.client_limit.limited(client)
    if wait and not device_cookie:
        return Refused("too_many_attempts", wait)
    opened = passkeys_of(services).open(credential, purpose, owner.id if owner else "")
    if isinstance(opened, Rejected):
        return _refuse_unopened(services, opened, owner, client)
    found = _find(services, opened)
    if found is None:
        return _refuse_unknown(services, opened, client)
    if owner is not None and found.account.id != owner.id:
        return _refuse(services, client)
    attempt = attempt_at(services, found.account, found.state, client=client, device_cookie=device_cookie)
    if wait and attempt.device is None:
        return Refused("too_many_attempts", wait)
    refused = _use(services, opened, found, purpose, client)
    if refused is not None:
        return refused
    if found.state.two_step is not None:
        forgive(services, attempt)
    return attempt


def _find(services: Services, opened: Opened) -> _Found | None:
    """The stored passkey that an assertion is for, with its account as it is now."""
    factor = factors_of(services).find(opened.key)
    account = services.users.get(factor.user_id) if factor else None
    if factor is None or account is None:
        return None
    return _Found(factor, account, services.account_states.account_state(account.id))


def _use(services: Services, opened: Opened, found: _Found, purpose: Purpose, client: Client) -> Refused | None:
    """Verify the signature, count the challenge as used, and store the counter. None if all of it succeeds.

    Other requests may use the passkey at the same time, as the devices of a synced one do; then it is verified with the
    counter that they stored. A request that is sent twice is a replay, and no sign of a copy.
    """
    factors, factor = factors_of(services), found.factor
    for turn in range(_TRIES):
        verified = passkeys_of(services).verify(opened, factor, found.state.passkey_handle)
        if isinstance(verified, Rejected) and verified.reason != COUNTER:
            return _refuse_known(services, found.account, client, verified.reason)
        if turn == 0 and not first_use(services, opened.nonce, purpose):
            return _refuse_known(services, found.account, client, "replayed")
        if isinstance(verified, Rejected):
            return _refuse_copy(services, found, client)
        if factors.use_passkey(factor, counter=verified.counter, now=time.time()):
            return None
        now = factors.find(opened.key, found.account.id)
        if now is None:
            return _refuse(services, client)
        factor = now
    return BUSY


def first_use(services: Services, nonce: str, purpose: Purpose) -> bool:
    """Whether a challenge was not used before (WebAuthn Level 3 section 13.4.3). Raises `StoreUnavailable`."""
    return services.quotas.first_use(nonce, lasts=int(lasts(purpose).total_seconds()) + _CLOCKS_DIFFER)


def _refuse(services: Services, client: Client, **values: object) -> Refused:
    """Refuse, and count a failure of the client. Nothing is recorded of an unknown passkey, since any visitor can
    present one.

    A client without failures left gets another refusal, and nothing is recorded of it: a client with a device cookie,
    even a forged one, gets here all the same, and must not fill the audit log.
    """
    if wait := services.client_limit.limited(client):
        return Refused("too_many_attempts", wait)
    count_client(services, client)
    return Refused(_REJECTED, values=values)


def _refuse_known(services: Services, subject: Account | str, client: Client, reason: str) -> Refused:
    """Refuse a passkey that an account has, and record why."""
    refused = _refuse(services, client)
    if refused.code == _REJECTED:
        services.log.record(PASSKEY_REFUSED, subject=subject, client=client, reason=reason)
    return refused


def _refuse_copy(services: Services, found: _Found, client: Client) -> Refused:
    """Refuse a passkey whose counter went back, record it, and tell the owner, at most once an hour, that another
    person may have a copy (WebAuthn Level 3 section 6.1.1)."""
    refused = _refuse(services, client)
    if refused.code != _REJECTED:
        return refused
    account = found.account
    with services.log.transaction() as record:
        record(PASSKEY_REFUSED, subject=account, client=client, reason=COUNTER)
        if services.quotas.allow_about(account.id, "passkey mail", an_hour=1, spaced=False):
            services.notifications.passkey_copied(account, found.state, client, name=found.factor.name)
    return refused


def _refuse_unopened(services: Services, rejected: Rejected, owner: Account | None, client: Client) -> Refused:
    """Refuse what was not opened.

    A passkey that an account has, with a challenge of ours, on a page that is not ours is recorded: that page may
    stand between the user and us.
    """
    if rejected.reason == "expired":
        return Refused("challenge_expired")
    factor = factors_of(services).find(rejected.key) if rejected.key else None
    if factor is not None and (owner is None or factor.user_id == owner.id):
        return _refuse_known(services, factor.user_id, client, rejected.reason)
    return _refuse(services, client)


def _refuse_unknown(services: Services, opened: Opened, client: Client) -> Refused:
    """Refuse an id that no intact row has."""
    tampered = factors_of(services).find_tampered(opened.key)
    if tampered is not None:
        return _refuse_known(services, tampered.user_id, client, "tampered")
    return _refuse(services, client, unknown=credential_id_of(opened))
