"""The next step of a sign-in: what a user has proved leads to an open session."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from nipo_auth_mw._audit.events import EventGroup, EventType, Record
from nipo_auth_mw._audit.log import EventNotWritten
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_check import Attempt, record_attempt, release, settle
from nipo_auth_mw._flows.second_check import PASSWORD, kinds_of
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountState, StoredSession
from nipo_auth_mw.protocols import Account

SIGNED_IN = EventType("signed_in", EventGroup.LOGIN)
NEW_DEVICE = EventType("new_device", EventGroup.LOGIN)
REFUSED_DISABLED = EventType("refused_disabled", EventGroup.REFUSAL)


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a user has proved, and what the session is to be.

    `attempt` is the attempt at sign-in, and `account` its account. `remember` asks for a persistent session. `over` is
    the session that the browser came with. `means` are what was proved, in this order. `spend` spends what proves once,
    in the transaction of the session; whatever it raises, no session is open.
    """

    attempt: Attempt
    account: Account
    remember: bool
    device_cookie: str | None = field(repr=False)
    over: ActiveSession | None
    means: tuple[str, ...] = (PASSWORD,)
    spend: Callable[[Record], None] | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An open session. `session` and `device` are values of cookies; `device` is None if the browser keeps the one that
    it has."""

    user: Account
    state: AccountState
    stored: StoredSession
    session: str = field(repr=False)
    device: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SecondDue:
    """The password is right, and the account asks for a second step.

    `pending` is the value of the cookie that the second step needs; it opens nothing by itself. `kinds` are what the
    account can prove the second step with.
    """

    user: Account
    state: AccountState
    pending: str = field(repr=False)
    kinds: tuple[str, ...]


def advance(services: Services, proofs: Proofs) -> SignedIn | SecondDue | Refused:
    """Open the session that the proofs are enough for, or ask for the second step.

    A password is enough for an account with one step; a passkey is both steps. A disabled account is told after all of
    its steps, so that a right password alone tells nothing about it. Raises `StoreUnavailable` during an outage: then
    no session is open.
    """
    if proofs.attempt.state.two_step is not None and proofs.means == (PASSWORD,):
        return _ask_for_second(services, proofs)
    if not proofs.account.active:
        if proofs.spend is not None:
            with services.log.transaction() as record:
                proofs.spend(record)
        settle(services, proofs.attempt)
        record_attempt(services, REFUSED_DISABLED, proofs.attempt)
        return Refused("account_disabled")
    return _open(services, proofs)


def _ask_for_second(services: Services, proofs: Proofs) -> SecondDue:
    """Free the slot of the password without a trace, and prepare the second step.

    A right password neither counts nor clears anything: an attacker who has it would start a fresh count of wrong codes
    with each sign-in (CVE-2025-60424), or use the password to clear the count of wrong passwords.
    """
    attempt, account = proofs.attempt, proofs.account
    kinds = kinds_of(services, account.id)
    release(services, attempt, counted=False)
    pending = services.second_links.make(account, attempt.state, "1" if proofs.remember else "0")
    return SecondDue(account, attempt.state, pending, kinds)


def _open(services: Services, proofs: Proofs) -> SignedIn:
    """Open the session, record the sign-in, and notify the owner of a new device."""
    attempt, account, state = proofs.attempt, proofs.account, proofs.attempt.state
    clients = services.known_devices.clients_with(attempt.client, account, state)
    # Never for the first sign-in, nor in a browser whose device cookie knows the account.
    unknown = services.known_devices.is_new_client(attempt.client, account, state)
    unknown = unknown and not services.known_devices.seen_before(proofs.device_cookie, account)
    # An attacker can vary the User-Agent, so the mails are limited. The audit log records every new device.
    tells = unknown and services.quotas.allow_about(account.id, "new device", an_hour=10, spaced=False)

    # A server of counters is asked after the transaction: a slow one must not hold up the other writers of the store.
    settles_inside = services.lockout.in_store

    def opened(record: Record) -> tuple[StoredSession, str]:
        if clients:
            # First, as in a change of the account: another order could be a deadlock. If another request has changed
            # the state meanwhile, the next sign-in adds this client.
            services.account_states.update_account_state(account.id, state.having(clients=clients), expected=state)
        if proofs.spend is not None:
            proofs.spend(record)
        if proofs.over is not None:
            services.sessions.end(proofs.over.stored, why="signed_in_again", record=record)
        stored, cookie = services.sessions.open(
            account,
            state,
            attempt.client,
            persistent=proofs.remember,
            means=",".join(proofs.means),
            second_at=0.0 if proofs.means == (PASSWORD,) else time.time(),
        )
        services.sessions.end_surplus(account.id, record=record)
        typed = attempt.typed.strip()
        record(
            SIGNED_IN,
            subject=account,
            email=typed,
            client=attempt.client,
            session=stored,
            persistent=proofs.remember,
            means=stored.means,
        )
        if unknown:
            record(NEW_DEVICE, subject=account, email=typed, client=attempt.client, session=stored)
        if tells:
            services.notifications.new_device(account, state, attempt.client)
        if settles_inside:
            settle(services, attempt)
        return stored, cookie

    try:
        with services.log.transaction() as record:
            stored, cookie = opened(record)
    except EventNotWritten:
        # The audit log alone may be out of reach, which must not keep users out. A real outage raises again. After any
        # other error, as of a COMMIT without an answer, the session may be open: a second try could open two.
        stored, cookie = opened(services.log.record)
    if not settles_inside:
        # The session is open, so an outage of the counters no longer refuses the sign-in.
        with suppress(StoreUnavailable):
            settle(services, attempt)
    devices = services.known_devices
    device = (devices.remember if proofs.remember else devices.renewed)(proofs.device_cookie, account, state)
    return SignedIn(account, state, stored, cookie, device)
