"""Two steps: the switch of an account, its authenticator app and its backup codes.

Each change that adds a first proof, takes one away or turns the switch ends every other session of the account, and
renews the one that made it (ASVS 5 7.4.3). Each is told to the owner at once (NIST SP 800-63B-4 4.1.3).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from nipo_auth_mw._audit.events import EventGroup, EventType, Record
from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.factors import NewCodes, Setup
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._credentials.passkey_names import cleaned_name
from nipo_auth_mw._flows.outcomes import BUSY, SESSION_ENDED, Refused
from nipo_auth_mw._flows.proof_changes import (
    Change,
    Renewed,
    Unfit,
    account_to_change,
    add_further_proof,
    change_proofs,
)
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._flows.revocation import hold_session
from nipo_auth_mw._flows.second_check import APP, PASSKEY, factors_of
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import AttributeValue, Client
from nipo_auth_mw.protocols import Account, Factor

TWO_STEP_ON = EventType("two_step_on", EventGroup.PROFILE)
TWO_STEP_OFF = EventType("two_step_off", EventGroup.PROFILE)
FACTOR_ADDED = EventType("factor_added", EventGroup.PROFILE)
FACTOR_REMOVED = EventType("factor_removed", EventGroup.PROFILE)
FACTOR_RENAMED = EventType("factor_renamed", EventGroup.PROFILE)
CODES_MADE = EventType("codes_made", EventGroup.PROFILE)

SECOND_STEP = Requirement(
    "second_step_required",
    "account/security",
    lambda account, state, config: state.two_step is None and account.role in config.two_step.required_for,
)
"""The role requires two steps, and the account has not set them up (ASVS 5 6.3.3)."""


class Proof(NamedTuple):
    """A proof as a page shows it. Times are in UTC; `used_at` is None before the first use."""

    key: str
    kind: str
    name: str
    created_at: datetime
    used_at: datetime | None


class Overview(NamedTuple):
    """What the page of the account's security shows.

    `since` is None while two steps are off. `codes_end` tells whether the backup codes end with an older secret key:
    `soon` or `ended`.
    """

    since: datetime | None
    required: bool
    app: Proof | None
    passkeys: list[Proof]
    codes_left: int
    codes_end: str = ""


def is_required(services: Services, session: ActiveSession) -> bool:
    """Whether the user's role requires two steps."""
    return session.user.role in services.config.two_step.required_for


def overview(services: Services, session: ActiveSession) -> Overview:
    """The account's proofs. Raises `StoreUnavailable`."""
    factors, since = factors_of(services), session.state.two_step
    found = [_shown(factor) for factor in factors.of(session.user.id)]
    return Overview(
        since=_moment(since),
        required=is_required(services, session),
        app=next((one for one in found if one.kind == APP), None),
        passkeys=[one for one in found if one.kind == PASSKEY],
        codes_left=factors.codes_left(session.user.id),
        codes_end=factors.codes_end(session.user.id),
    )


def proofs_of(services: Services, user_id: str) -> list[Proof]:
    """What the account proves its second step with; nothing where accounts have none. Raises `StoreUnavailable`."""
    return [] if services.factors is None else [_shown(factor) for factor in services.factors.of(user_id)]


def begin_app(services: Services, session: ActiveSession, *, replace: bool) -> Setup | Refused:
    """A new secret for an app, which is stored nowhere until `add_app` confirms it. Raises `StoreUnavailable`."""
    refused = _app_conflict(services, session, replace)
    return refused or factors_of(services).setup(session.user.id, session.state.revocation_counter)


def reopen_app(services: Services, session: ActiveSession, sealed: str, *, replace: bool) -> Setup | Refused:
    """The secret of a page that was made within the last 15 minutes and is unused, to show it again after a wrong code;
    else a new one."""
    secret = _secret_in(services, session, sealed)
    return begin_app(services, session, replace=replace) if secret is None else Setup(secret, sealed)


def add_app(
    services: Services,
    session: ActiveSession,
    sealed: str,
    text: str,
    *,
    replace: bool,
    client: Client,
    device_cookie: str | None,
) -> Renewed | Refused | None:
    """Store the app whose first code is right, in place of the present one with `replace`, and switch two steps on.

    The code is used up by it. None for an app beside passkeys that have switched two steps on: it ends no session.
    Raises `StoreUnavailable` during an outage: then nothing has changed.
    """
    if refused := _app_conflict(services, session, replace):
        return refused
    factors, secret = factors_of(services), _secret_in(services, session, sealed)
    if secret is None:
        return Refused("invalid_code", detail="setup_expired")
    step = totp.step_of(secret, text, now=time.time(), after=0)
    if step is None:
        return Refused("invalid_code", detail="setup" if totp.normalised(text) else "setup_form")
    first = session.state.two_step is None

    def write(account: Account, record: Record) -> dict[str, AttributeValue | None]:
        if factors.add_app(account.id, secret, step, replace=replace) is None:
            raise Unfit(Refused("factor_exists"))
        record(FACTOR_ADDED, subject=account, client=client, factor=APP, replaced=replace)
        if not first:
            services.notifications.factor_added(account, session.state, client, kind=APP, replaced=replace)
            return {}
        services.notifications.two_step_on(account, session.state, client)
        record(TWO_STEP_ON, subject=account, client=client)
        return {"two_step": time.time()}

    if not first and not replace:
        return add_further_proof(services, session, Change(write))
    proved = [*(one for one in session.stored.means.split(",") if one != APP), APP]
    return change_proofs(services, session, Change(write, ",".join(proved)), client, device_cookie)


def switch_on(
    services: Services, session: ActiveSession, *, client: Client, device_cookie: str | None
) -> Renewed | Refused | None:
    """Switch two steps on for an account that has a passkey; an app switches them on by itself. None if they are on.

    Only a session that has proved a passkey does so: its user would be let in with one step. Raises
    `StoreUnavailable`.
    """
    if session.state.two_step is not None:
        return None
    if not factors_of(services).of(session.user.id):
        return Refused("factor_needed")
    if PASSKEY not in session.public.means:
        return Refused("second_step_required", detail="passkey")

    def write(account: Account, record: Record) -> dict[str, AttributeValue | None]:
        services.notifications.two_step_on(account, session.state, client)
        record(TWO_STEP_ON, subject=account, client=client)
        return {"two_step": time.time()}

    return change_proofs(services, session, Change(write), client, device_cookie)


def switch_off(
    services: Services, session: ActiveSession, *, client: Client, device_cookie: str | None
) -> Renewed | Refused | None:
    """Switch two steps off: the app and the backup codes go, passkeys stay. None if they are off.

    Refused where the role requires two steps. Raises `StoreUnavailable`.
    """
    if is_required(services, session):
        return Refused("second_step_required", detail="role")
    if session.state.two_step is None:
        return None
    factors = factors_of(services)

    def write(account: Account, record: Record) -> dict[str, AttributeValue | None]:
        factors.remove(account.id, f"{APP}:{account.id}")
        factors.store_codes(account.id, NewCodes([], []))
        services.notifications.two_step_off(account, session.state, client)
        record(TWO_STEP_OFF, subject=account, client=client)
        return {"two_step": None}

    return change_proofs(services, session, Change(write), client, device_cookie)


def remove_factor(
    services: Services, session: ActiveSession, key: str, *, client: Client, device_cookie: str | None
) -> Renewed | Refused:
    """Remove a proof; the last one only while two steps are neither on nor required. Raises `StoreUnavailable`."""
    factors, user_id = factors_of(services), session.user.id
    found = {one.key: one for one in factors.of(user_id)}
    if key not in found:
        return Refused("no_such_factor")
    if len(found) == 1 and (session.state.two_step is not None or is_required(services, session)):
        return Refused("last_factor")

    def write(account: Account, record: Record) -> dict[str, AttributeValue | None]:
        removed = factors.remove(account.id, key)
        if removed is None:
            raise Unfit(Refused("no_such_factor"))
        kind: Literal["app", "passkey"] = APP if removed.kind == APP else PASSKEY
        services.notifications.factor_removed(account, session.state, client, kind=kind, name=removed.name)
        record(FACTOR_REMOVED, subject=account, client=client, factor=removed.kind, name=removed.name)
        return {}

    return change_proofs(services, session, Change(write, removed=found[key]), client, device_cookie)


def find_factor(services: Services, session: ActiveSession, key: str) -> Proof | None:
    """The user's proof with this key. Raises `StoreUnavailable`."""
    factor = factors_of(services).find(key, session.user.id)
    return _shown(factor) if factor else None


def find_passkey(services: Services, session: ActiveSession, key: str) -> Proof | None:
    """The user's passkey with this key. Raises `StoreUnavailable`."""
    found = find_factor(services, session, key)
    return found if found and found.kind == PASSKEY else None


def rename_passkey(
    services: Services, session: ActiveSession, key: str, name: str, *, client: Client
) -> Proof | Refused:
    """Give a passkey another name, cut to one line of 60 characters. An account has one app, so that one has no name.

    Raises `StoreUnavailable`.
    """
    factors, called = factors_of(services), cleaned_name(name)
    if find_passkey(services, session, key) is None:
        return Refused("no_such_factor")
    if not called:
        return Refused("name_needed")
    with services.log.transaction() as record:
        renamed = factors.rename(session.user.id, key, called)
        if renamed is not None:
            record(FACTOR_RENAMED, subject=session.user, client=client, factor=renamed.kind, name=renamed.name)
    return _shown(renamed) if renamed else Refused("no_such_factor")


def make_codes(services: Services, session: ActiveSession, *, client: Client) -> list[str] | Refused:
    """A new set of ten backup codes, which is shown once; the set before is void from then on.

    Raises `StoreUnavailable` during an outage: then the codes before are valid.
    """
    if session.state.two_step is None:
        return Refused("factor_needed")
    account = account_to_change(services, session)
    if isinstance(account, Refused):
        return account
    factors = factors_of(services)
    try:
        codes = factors.new_codes(account.id)
    except Busy:
        return BUSY
    with services.log.transaction() as record:
        if not hold_session(services, session, account):
            return SESSION_ENDED
        factors.store_codes(account.id, codes)
        services.notifications.codes_made(account, session.state, client)
        record(CODES_MADE, subject=account, client=client)
    return codes.texts


def _secret_in(services: Services, session: ActiveSession, sealed: str) -> bytes | None:
    """The secret of an app that is being set up, while the account's proofs are as they were then."""
    return factors_of(services).secret_in(sealed, session.user.id, session.state.revocation_counter)


def _shown(factor: Factor) -> Proof:
    """The factor without its secret or key."""
    created = datetime.fromtimestamp(factor.created_at, UTC)
    return Proof(factor.key, factor.kind, factor.name, created, _moment(factor.used_at))


def _moment(seconds: float | None) -> datetime | None:
    """The moment in UTC; None for none."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _app_conflict(services: Services, session: ActiveSession, replace: bool) -> Refused | None:
    """The refusal of a second app. A page that replaces the first one says so."""
    has_app = any(one.kind == APP for one in factors_of(services).of(session.user.id))
    return Refused("factor_exists") if has_app and not replace else None
