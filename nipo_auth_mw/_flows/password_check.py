"""The check of a password: reserve a slot, verify the password, record the result.

Sign-in, re-authentication, the change of a password and the change of an address all use this check, so that an
attacker gets no second count of guesses (CVE-2025-64102).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.lock_answers import look, refuse_locked, refuse_wrong
from nipo_auth_mw._flows.outcomes import BUSY, SESSION_ENDED, Refused
from nipo_auth_mw._mail.notifications import client_of
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._throttle.slots import Ended, Locked, NoSlot, Slot
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountState, Client, QueuedMail, StoredSession
from nipo_auth_mw.protocols import Account

SIGN_IN_FAILED = EventType("sign_in_failed", EventGroup.LOGIN)
LOCKED = EventType("locked", EventGroup.REFUSAL)
UNLOCKED = EventType("unlocked", EventGroup.REFUSAL)
LIMITED = EventType("limited", EventGroup.REFUSAL)

_WAIT = 2.0


class Attempt(NamedTuple):
    """One address as typed, the account that signs in with it, and the subject whose attempt slots it uses.

    `slot` is the slot of a correct password, or of the right code after it, that `settle` has not freed yet. `clears`
    are counters that `settle` ends with it.
    """

    typed: str
    email: str
    account: Account | None
    state: AccountState
    client: Client
    device: str | None
    subject: str
    slot: Slot | None = None
    clears: tuple[str, ...] = ()


def check_password(
    services: Services,
    email: str,
    password: str,
    *,
    client: Client,
    device_cookie: str | None,
    owner: str | None = None,
    keep_slot: bool = False,
) -> tuple[Attempt, Account] | Refused:
    """Reserve a slot, verify the password and record the result. Return the account if the password is correct.

    With `owner` the account must have this id. With `keep_slot` the caller ends with `settle`, in the transaction of
    what the correct password leads to. If too many requests wait for the hash pool, the check is refused before
    the store is asked for anything. Raises `StoreUnavailable` during an outage.
    """
    try:
        with services.hashing.hash_pool.queue(_WAIT):
            attempt = attempt_of(services, email, client, device_cookie)
            if owner is not None and (attempt is None or attempt.account is None or attempt.account.id != owner):
                return SESSION_ENDED
            if attempt is None:
                return _refuse_no_address(services, email, client)
            checked = _check(services, attempt, password)
            if not isinstance(checked, Refused) and not keep_slot:
                settle(services, checked[0])
            return checked
    except Busy:
        return BUSY


def check_own_password(
    services: Services,
    session: ActiveSession,
    password: str,
    *,
    client: Client,
    device_cookie: str | None,
    keep_slot: bool = False,
) -> tuple[Attempt, Account] | Refused:
    """Check the password of the user who is signed in.

    The check counts where a sign-in from this browser would count (CVE-2026-9798). A wrong password is refused with
    the code `wrong_password`. `keep_slot` is that of `check_password`.
    """
    checked = check_password(
        services,
        session.user.email,
        password,
        client=client,
        device_cookie=device_cookie,
        owner=session.user.id,
        keep_slot=keep_slot,
    )
    if isinstance(checked, Refused) and checked.code == "invalid_credentials":
        return replace(checked, code="wrong_password")
    if isinstance(checked, Refused) and checked.code == "locked" and not checked.detail:
        return replace(checked, detail="own_password")
    return checked


def attempt_of(services: Services, typed: str, client: Client, device_cookie: str | None) -> Attempt | None:
    """The attempt that a browser is about to make; None if the text is not an address."""
    email = services.addresses.canonical(typed)
    if email is None:
        return None
    if services.joined_users is not None:
        account, state = services.joined_users.find_by_email_with_state(email)
    else:
        account = services.users.find_by_email(email)
        state = services.account_states.account_state(account.id if account else "")
    device = services.known_devices.known(device_cookie, account, state)
    lockout = services.lockout
    subject = lockout.device(device, account.id, state.unlocks) if device and account else lockout.address(email)
    return Attempt(typed, email, account, state, client, device, subject)


def count_client(services: Services, client: Client) -> None:
    """Count one failure against the client address, over all accounts."""
    if services.client_limit.count_against(client):
        _report_limited(services, client)


def record_attempt(
    services: Services, kind: EventType, attempt: Attempt, *, session: StoredSession | None = None, **details: str | int
) -> None:
    """Record an event about an attempt, best effort. An address without an account is masked."""
    typed = attempt.typed.strip() if attempt.account else services.log.masked(attempt.email)
    services.log.record(kind, subject=attempt.account, email=typed, client=attempt.client, session=session, **details)


def settle(services: Services, attempt: Attempt) -> None:
    """Free the slot of a correct password and clear the count of its subject.

    A known device clears its own count only: a sign-in there must not give an attacker a fresh count.
    """
    services.lockout.succeed(attempt.slot, attempt.clears)


def release(services: Services, attempt: Attempt, *, counted: bool = True) -> None:
    """Free the slot of a correct password that led to nothing, best effort: after an outage it is used up.

    With `counted=False` the check leaves no trace at all, as while a second step is due.
    """
    with suppress(StoreUnavailable):
        if attempt.slot is not None:
            services.lockout.release(attempt.slot, checked=counted)


def _check(services: Services, attempt: Attempt, password: str) -> tuple[Attempt, Account] | Refused:
    """Check the password against the attempt's account. Raises `Busy` if no slot of the hash pool is free in time."""
    lockout = services.lockout
    # The client limit does not apply to known devices.
    limit = None if attempt.device else services.client_limit.of(attempt.client)
    report, beside = partial(_report_ended, services, attempt), limit.names if limit else {}
    seen = look(lockout, attempt.subject, report, beside)
    if limit and (wait := limit.wait(seen.counts)):
        return Refused("too_many_attempts", wait)
    deadline = time.monotonic() + _WAIT
    try:
        slot = lockout.reserve(attempt.subject, deadline, seen, limit)
    except NoSlot:
        wait = services.client_limit.limited(attempt.client, full=True) if limit else None
        return Refused("too_many_attempts", wait) if wait else BUSY
    if isinstance(slot, Locked):
        return refuse_locked(lockout, attempt.subject, slot, partial(_tell_of_lock, services, attempt), "")
    spellings = services.password_rules.spellings(password)
    if not spellings:
        return _fail(services, attempt, slot)
    try:
        with services.hashing.hash_pool.slot(deadline):
            account, stored = attempt.account, _usable_hash(attempt)
            right = any(services.hashing.verify(stored, spelling) for spelling in spellings)
    except BaseException:
        # No password was verified: the process is busy, the hasher failed, or the server ends this request.
        lockout.release(slot, checked=False)
        raise
    if slot.lapsed:
        # The process stood still, and another request may have verified a password with this slot since.
        return BUSY
    if account is None or not right:
        return _fail(services, attempt, slot)
    return attempt._replace(slot=slot), account


def is_password_of(services: Services, account: Account, password: str) -> bool:
    """Whether this is the password that the account has now. Raises `Busy` and `HashingFailed`.

    It counts for no lockout: it is for passwords that the process or the signed-in user is about to set, or has set.
    """
    if account.password_hash is None or not services.password_rules.hashable(password):
        return False
    with services.hashing.hash_pool.slot(time.monotonic() + _WAIT):
        return services.hashing.verify(account.password_hash, password)


def _usable_hash(attempt: Attempt) -> str | None:
    """Ignore a temporary password whose change deadline has passed (ASVS 5 6.4.1)."""
    deadline = attempt.state.password_change_deadline
    if attempt.account is None or (deadline is not None and time.time() >= deadline):
        return None
    return attempt.account.password_hash


def _refuse_no_address(services: Services, typed: str, client: Client) -> Refused:
    """Refuse a text that cannot be an address: without a hash, and counted for the client address alone, so that no
    account is locked by it."""
    if wait := services.client_limit.limited(client):
        return Refused("too_many_attempts", wait)
    count_client(services, client)
    services.log.record(SIGN_IN_FAILED, client=client, email=services.log.masked(typed[:1000]), reason="no_address")
    return Refused("invalid_credentials")


def _fail(services: Services, attempt: Attempt, slot: Slot) -> Refused:
    """Record a wrong password, start a lock if the slots are used up, and notify the owner of a lock."""
    lock = services.lockout.fail(slot)
    if slot.limited:
        _report_limited(services, attempt.client)
    reason = "wrong_password" if services.hashing.readable(_usable_hash(attempt)) else "unreadable_hash"
    record_attempt(services, SIGN_IN_FAILED, attempt, reason=reason)
    if lock is not None:
        _tell_of_lock(services, attempt, lock)
    return refuse_wrong(services.lockout, attempt.subject, slot, lock, "invalid_credentials")


def _tell_of_lock(services: Services, attempt: Attempt, lock: Locked) -> None:
    """Record that a lock has begun, and notify the owner."""
    where, seconds = "device" if attempt.device else "address", lock.retry_after or 0
    record_attempt(services, LOCKED, attempt, seconds=seconds, of=where, counter=attempt.subject)
    if attempt.device and attempt.account:
        services.lockout.mark_device(attempt.account.id, lock)
    # The same row for every address, so that the answer takes the same time for addresses without an account.
    services.notifications.lock_begun(attempt.email, attempt.client, seconds=seconds)


def answer_lock(services: Services, begun: QueuedMail) -> None:
    """Tell the owner of an account of a lock, at most once an hour, since an attacker can cause it. Raises
    `StoreUnavailable`."""
    account = services.users.find_by_email(begun.to)
    state = services.account_states.account_state(account.id if account else "")
    with services.log.transaction():
        services.outbox.settle(begun)
        if account is None or not account.active:
            return
        seconds = int(begun.facts.get("seconds", 0))
        # A lock for good comes once, and soon after one that ended: the mail about that keeps this one back no hour.
        if services.quotas.allow_about(account.id, "lock mail" if seconds else "last lock mail", an_hour=1):
            services.notifications.locked(account, state, client_of(begun), seconds=seconds)


def _report_limited(services: Services, client: Client) -> None:
    """Record that a client has reached its limit."""
    services.log.record(LIMITED, client=client)


def _report_ended(services: Services, attempt: Attempt, ended: Ended) -> None:
    """Record that a lock has ended."""
    record_attempt(services, UNLOCKED, attempt, refused=ended.refused)
