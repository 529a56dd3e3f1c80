"""The next step of a sign-in: what a user has proved leads to an open session."""

from __future__ import annotations

from dataclasses import dataclass, field

from nipo_auth_mw._audit.events import EventType, Record, one_line
from nipo_auth_mw._flows.password_check import Attempt, record_attempt
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountState, StoredSession
from nipo_auth_mw.protocols import Account

SIGNED_IN = EventType("signed_in")
NEW_DEVICE = EventType("new_device")

_LOOKS_BACK = 50


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a user has proved, and what the session is to be.

    `attempt` is the attempt with the right password, and `account` its account. `remember` asks for a persistent
    session. `over` is the session that the browser came with.
    """

    attempt: Attempt
    account: Account
    remember: bool
    device_cookie: str | None = field(repr=False)
    over: ActiveSession | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An open session. `session` and `device` are values of cookies; `device` is None without "keep me signed in"."""

    user: Account
    state: AccountState
    stored: StoredSession
    session: str = field(repr=False)
    device: str | None = field(repr=False)


def advance(services: Services, proofs: Proofs) -> SignedIn:
    """Open the session that the proofs are enough for. A right password of an active account is enough.

    Raises `StoreUnavailable` during an outage: then no session is open.
    """
    return _open(services, proofs)


def _open(services: Services, proofs: Proofs) -> SignedIn:
    """Open the session, record the sign-in, and notify the owner of a new device."""
    attempt, account, state = proofs.attempt, proofs.account, proofs.attempt.state
    unknown = _is_new_device(services, proofs)
    # An attacker can vary the User-Agent, so the mails are limited. The audit log records every new device.
    tells = unknown and services.quotas.allow_notification_to(account.id, "new device", an_hour=10, spaced=False)

    def opened(record: Record) -> tuple[StoredSession, str]:
        if proofs.over is not None:
            services.sessions.end(proofs.over.stored, why="signed_in_again", record=record)
        opened = services.sessions.open(account, state, attempt.client, persistent=proofs.remember, record=record)
        typed, stored = attempt.typed.strip(), opened[0]
        record(
            SIGNED_IN, subject=account, email=typed, client=attempt.client, session=stored, persistent=proofs.remember
        )
        if tells:
            services.notifications.new_device(account, state, attempt.client)
        return opened

    try:
        with services.log.transaction() as record:
            stored, cookie = opened(record)
    except StoreUnavailable:
        # The audit log alone may be out of reach, which must not keep users out. A real outage raises again.
        stored, cookie = opened(services.log.record)
    if unknown:
        record_attempt(services, NEW_DEVICE, attempt, session=stored)
    device = services.known_devices.remember(proofs.device_cookie, account, state) if proofs.remember else None
    return SignedIn(account, state, stored, cookie, device)


def _is_new_device(services: Services, proofs: Proofs) -> bool:
    """Whether to notify the owner of this sign-in: once for each device, and never for the first sign-in.

    A browser without a device cookie is recognised by its User-Agent and client address.
    """
    if services.known_devices.seen_before(proofs.device_cookie, proofs.account):
        return False
    try:
        before = services.audit.events(user_id=proofs.account.id, event=SIGNED_IN.name, limit=_LOOKS_BACK)
    except StoreUnavailable:
        return False
    client = proofs.attempt.client
    seen = [(one.user_agent, one.client_address) for one in before]
    return bool(seen) and (one_line(client.user_agent), one_line(client.address, 64)) not in seen
