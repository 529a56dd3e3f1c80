"""The check of a second step: reserve a slot, verify the code, record the result.

Sign-in and re-authentication both use this check, and it counts by account over all addresses, browsers, challenges and
kinds of codes, so that an attacker who knows the password gets no second count of guesses (CVE-2024-0227). Only a known
device of the account has a count of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple, TypeVar

from nipo_auth_mw._audit.events import EventGroup, EventType, Record
from nipo_auth_mw._credentials import backup_codes, totp
from nipo_auth_mw._credentials.factors import Factors
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.lock_answers import look, refuse_locked, refuse_wrong
from nipo_auth_mw._flows.outcomes import BUSY, Refused
from nipo_auth_mw._flows.password_check import Attempt
from nipo_auth_mw._services import Services
from nipo_auth_mw._throttle.counters import Reading
from nipo_auth_mw._throttle.slots import Ended, Locked, NoSlot, Slot
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import Account

SECOND_STEP_FAILED = EventType("second_step_failed", EventGroup.LOGIN)
SECOND_LOCKED = EventType("second_locked", EventGroup.REFUSAL)
SECOND_UNLOCKED = EventType("second_unlocked", EventGroup.REFUSAL)
CODE_USED = EventType("code_used", EventGroup.LOGIN)

PASSWORD, CODE = "password", "code"
APP: Literal["app"] = "app"
PASSKEY: Literal["passkey"] = "passkey"
"""The means by which a user proves something, as sessions and events name them."""
_WAIT = 2.0

T = TypeVar("T")


class CodeSpent(Exception):
    """Another request has spent the code since it was looked at."""


class RightCode(NamedTuple):
    """A right code, which holds an attempt slot and is not spent yet.

    `spend` spends it and raises `CodeSpent`; it belongs to the transaction of what the code leads to, before anything
    else. `seen` are the counters as they were read before the code was looked at.
    """

    means: str
    slot: Slot
    seen: Reading
    spend: Callable[[Record], None]


class SecondAttempt(NamedTuple):
    """An attempt at the second step of an account. `device` is the id of a known device; `subject` has the slots."""

    account: Account
    state: AccountState
    client: Client
    device: str | None
    subject: str


def attempt_at(
    services: Services, account: Account, state: AccountState, *, client: Client, device_cookie: str | None
) -> SecondAttempt:
    """The attempt that a browser is about to make at the second step of this account."""
    device = services.known_devices.known(device_cookie, account, state)
    lockout = services.second_lockout
    subject = lockout.device(device, account.id, state.unlocks) if device else lockout.account(account.id)
    return SecondAttempt(account, state, client, device, subject)


def sign_in_attempt(services: Services, attempt: SecondAttempt) -> Attempt:
    """The attempt at sign-in that a second step belongs to. It has no slot, since no password is checked here."""
    account, state, device, lockout = attempt.account, attempt.state, attempt.device, services.lockout
    email = services.addresses.canonical(account.email) or account.email
    subject = lockout.device(device, account.id, state.unlocks) if device else lockout.address(email)
    return Attempt(account.email, email, account, state, attempt.client, device, subject)


def factors_of(services: Services) -> Factors:
    """The factors of the accounts. Raises `StoreUnavailable` where they cannot be read.

    An account with two steps never signs in with one because the extra was uninstalled, or the store replaced.
    """
    if services.factors is None:
        raise StoreUnavailable("an account has two steps, and the extra nipo_auth_mw[two-step] or its store is missing")
    return services.factors


def kinds_of(services: Services, user_id: str) -> tuple[str, ...]:
    """What the account can prove its second step with, the best one first. Raises `StoreUnavailable`."""
    factors = factors_of(services)
    kinds = {factor.kind for factor in factors.of(user_id)}
    return (*(kind for kind in (APP, PASSKEY) if kind in kinds), *([CODE] if factors.codes_left(user_id) else []))


def check_code(services: Services, attempt: SecondAttempt, text: str) -> str | Refused:
    """Check a code of the app, or a backup code, and spend it. Returns the means that it proves. See `with_code`."""

    def spend(code: RightCode) -> str:
        with services.log.transaction() as record:
            code.spend(record)
        services.second_lockout.succeed(code.slot)
        return code.means

    return with_code(services, attempt, text, spend)


def with_code(
    services: Services,
    attempt: SecondAttempt,
    text: str,
    act: Callable[[RightCode], T],
    beside: dict[str, int] | None = None,
) -> T | Refused:
    """Check a code of the app, or a backup code, and let `act` do what a right one leads to.

    The slot is reserved before the code is looked at, and each code works once (RFC 6238 5.2; ASVS 5 6.3.1, 6.5.1).
    `act` spends the code, and frees the slot in the end: then a process that dies leaves no code that is spent for
    nothing. A text that has the form of no code is no guess: it takes no slot. `beside` names counters to be read with
    those of the attempt. The caller holds no transaction. Raises `StoreUnavailable` during an outage.
    """
    if totp.normalised(text) is None and backup_codes.normalised(text) is None:
        return Refused("invalid_code", detail="form")
    lockout = services.second_lockout
    seen = look(lockout, attempt.subject, partial(_report_ended, services, attempt), beside)
    try:
        slot = lockout.reserve(attempt.subject, time.monotonic() + _WAIT, seen)
    except NoSlot:
        return BUSY
    if isinstance(slot, Locked):
        return refuse_locked(lockout, attempt.subject, slot, partial(_tell_of_lock, services, attempt), "second")
    try:
        code = _look_at(services, attempt, text, slot, seen)
    except BaseException as problem:
        # No code was verified: the process is busy, the hasher failed, or the server ends this request.
        lockout.release(slot, checked=False)
        if isinstance(problem, Busy):
            return BUSY
        raise
    if slot.lapsed:
        return BUSY
    if code is None:
        return _fail(services, attempt, slot, text)
    try:
        return act(code)
    except CodeSpent:
        return _fail(services, attempt, slot, text)
    except BaseException:
        with suppress(StoreUnavailable):
            lockout.release(slot)
        raise


def forgive(services: Services, attempt: SecondAttempt) -> None:
    """Clear the count and the lock, after a proof that cannot be guessed. Raises `StoreUnavailable`."""
    if ended := services.second_lockout.clear(attempt.subject):
        _report_ended(services, attempt, ended)


def lift_second_lock(services: Services, account: Account, *, actor: str = "", client: Client | None = None) -> None:
    """Clear the count and the lock of an account's second step, for an administrator. Raises `StoreUnavailable`."""
    if ended := services.second_lockout.clear(services.second_lockout.account(account.id)):
        services.log.record(SECOND_UNLOCKED, subject=account, client=client, actor=actor, refused=ended.refused)


def _look_at(services: Services, attempt: SecondAttempt, text: str, slot: Slot, seen: Reading) -> RightCode | None:
    """The code that the text is; None for a wrong one. Raises `Busy`."""
    factors, account, now = factors_of(services), attempt.account, time.time()

    def accept(_record: Record) -> None:
        if not factors.accept_code(account.id, text, now, checked):
            raise CodeSpent

    def spend(record: Record) -> None:
        if digest is None or not factors.spend_code(account.id, digest):
            raise CodeSpent
        left = factors.codes_left(account.id)
        services.notifications.code_used(account, attempt.state, attempt.client, left=left)
        record(CODE_USED, subject=account, client=attempt.client, left=left)

    if backup_codes.normalised(text) is None:
        checked = factors.check_code(account.id, text, now)
        return RightCode(APP, slot, seen, accept) if checked else None
    digest = factors.find_code(account.id, text)
    return RightCode(CODE, slot, seen, spend) if digest else None


def _fail(services: Services, attempt: SecondAttempt, slot: Slot, text: str) -> Refused:
    """Record a wrong code, and start a lock if the slots are used up."""
    lock = services.second_lockout.fail(slot)
    tampered = bool(factors_of(services).tampered(attempt.account.id))
    reason = "tampered" if tampered else "wrong_code"
    services.log.record(SECOND_STEP_FAILED, subject=attempt.account, client=attempt.client, reason=reason)
    if lock is not None:
        _tell_of_lock(services, attempt, lock)
    refused = refuse_wrong(services.second_lockout, attempt.subject, slot, lock, "invalid_code")
    return refused if refused.detail or totp.normalised(text) else replace(refused, detail="backup")


def _tell_of_lock(services: Services, attempt: SecondAttempt, lock: Locked) -> None:
    """Record that a lock has begun, and tell the owner, at most once an hour, that the password is known: the second
    step comes after it (ASVS 5 6.3.5)."""
    where, seconds = "device" if attempt.device else "account", lock.retry_after or 0
    with services.log.transaction() as record:
        record(SECOND_LOCKED, subject=attempt.account, client=attempt.client, seconds=seconds, of=where)
        if services.quotas.allow_about(attempt.account.id, "second lock mail", an_hour=1, spaced=False):
            services.notifications.second_locked(attempt.account, attempt.state, attempt.client, seconds=seconds)


def _report_ended(services: Services, attempt: SecondAttempt, ended: Ended) -> None:
    """Record that a lock has ended."""
    services.log.record(SECOND_UNLOCKED, subject=attempt.account, client=attempt.client, refused=ended.refused)
