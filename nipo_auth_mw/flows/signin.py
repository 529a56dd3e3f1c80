"""Sign-in: from an address and a password to a session, or to the reason why not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import AccountNotes, Client, Event, StoredSession, public_id
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.gate import Busy
from nipo_auth_mw.parts.lockout import Ended, Locked, NoPlace, Place
from nipo_auth_mw.parts.recorder import Record, event, one_line
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.parts.sessions import Live
from nipo_auth_mw.parts.stamps import lineage_with
from nipo_auth_mw.protocols import Account

_WAIT = 2.0
_LOOKS_BACK = 50


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`session` and `device` are values of cookies; `device` is None when the person did not ask to be kept."""

    user: Account
    notes: AccountNotes
    stored: StoredSession
    session: str = field(repr=False)
    device: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` is the stable code of contract and JSON. `began`: this wrong password began the lock."""

    reason: str
    retry_after: int | None = None
    began: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address as typed, who it belongs to, and whose counter it is checked under."""

    typed: str
    email: str
    account: Account | None
    notes: AccountNotes
    client: Client
    device: str | None
    subject: str


def sign_in(
    services: Services,
    email: str,
    password: str,
    *,
    remember: bool,
    client: Client,
    device_cookie: str | None = None,
    over: Live | None = None,
) -> SignedIn | Refused:
    """Check a password and open a session, ending `over`, the one this browser came with (session fixation).

    A place in the lock is taken before anything is verified. An unknown address costs what a known one does. That an
    account is disabled is told after the right password only. Raises `StoreUnavailable` during an outage.
    """
    checked = check_password(services, email, password, client=client, device_cookie=device_cookie)
    if isinstance(checked, Refused):
        return checked
    attempt, account = checked
    if not account.active:
        services.recorder.record(_event(services, "refused_disabled", attempt))
        return Refused("account_disabled")
    _rehash(services, account, attempt.notes, password)
    return _open(services, attempt, account, remember=remember, device_cookie=device_cookie, over=over)


def check_own_password(
    services: Services, live: Live, password: str, *, client: Client, device_cookie: str | None
) -> tuple[Attempt, Account] | Refused:
    """Ask a signed-in person for their password once more. It counts where a sign-in from this browser would
    (CVE-2026-9798), and its refusal of a wrong one is `wrong_password`."""
    email, owner = live.user.email, live.user.id
    checked = check_password(services, email, password, client=client, device_cookie=device_cookie, owner=owner)
    if isinstance(checked, Refused) and checked.reason == "invalid_credentials":
        return replace(checked, reason="wrong_password")
    return checked


def confirm_password(
    services: Services, live: Live, password: str, *, client: Client, device_cookie: str | None
) -> Refused | None:
    """Make the session fresh again for what is delicate (ASVS 5 7.5.3). None when it is."""
    checked = check_own_password(services, live, password, client=client, device_cookie=device_cookie)
    if isinstance(checked, Refused):
        return checked
    return None if services.sessions.confirm(live.stored) else Refused("sign_in_required")


def check_password(
    services: Services,
    email: str,
    password: str,
    *,
    client: Client,
    device_cookie: str | None,
    owner: str | None = None,
) -> tuple[Attempt, Account] | Refused:
    """Take a place, verify, and count: the account for its right password, which is `owner`'s where that is given.

    Every password check goes through here, so that no second door has a count of its own (CVE-2025-64102). In a crowd
    it is refused before the store is asked for anything.
    """
    try:
        with services.passwords.gate.queue(_WAIT):
            attempt = attempt_of(services, email, client, device_cookie)
            if owner is not None and (attempt is None or attempt.account is None or attempt.account.id != owner):
                return Refused("sign_in_required")
            if attempt is None:
                return _no_such_form(services, email, client)
            account = _check(services, attempt, password)
            return account if isinstance(account, Refused) else (attempt, account)
    except Busy:
        return Refused("busy", retry_after=1)


def _check(services: Services, attempt: Attempt, password: str) -> Account | Refused:
    """Raises `Busy` where no slot came free in time."""
    _report_ended(services, attempt, services.lockout.ended(attempt.subject))
    if refused := _limited(services, attempt):
        return refused
    deadline = time.monotonic() + _WAIT
    try:
        place = services.lockout.take(attempt.subject, deadline)
    except NoPlace:
        return Refused("busy", retry_after=1)
    if isinstance(place, Locked):
        services.lockout.refuse(attempt.subject)
        return Refused("locked", place.retry_after)
    if not services.passwords.hashable(password):
        return _wrong(services, attempt, place)
    try:
        with services.passwords.gate.slot(deadline):
            # While this one waited for its slot others may have met the limit.
            if refused := _limited(services, attempt):
                services.lockout.give_back(place, checked=False)
                return refused
            account = attempt.account
            right = services.passwords.verify(_usable_hash(attempt), password)
    except Busy:
        services.lockout.give_back(place, checked=False)
        raise
    if account is None or not right:
        return _wrong(services, attempt, place)
    # A known device clears its own count only: its owner's sign-ins must give a stranger's guesses no fresh one.
    _report_ended(services, attempt, services.lockout.clear(attempt.subject))
    services.lockout.give_back(place)
    return account


def _usable_hash(attempt: Attempt) -> str | None:
    """A password that somebody else set and nobody used in time is nobody's (ASVS 5 6.4.1)."""
    change_by = attempt.notes.change_by
    if attempt.account is None or (change_by is not None and time.time() >= change_by):
        return None
    return attempt.account.password_hash


def admit(services: Services, account: Account, *, client: Client, kept: bool = True) -> str:
    """Open a session without a password, for test kits: the cookie's value."""
    notes = services.session_store.notes_of(account.id)
    record = services.recorder.record
    return services.sessions.open(account, notes, client, kept=kept, record=record)[1]


def attempt_of(services: Services, typed: str, client: Client, device_cookie: str | None) -> Attempt | None:
    """Whose password a browser is about to give, and under whose counter it is checked; None for no address."""
    email = emails.canonical(typed)
    if email is None:
        return None
    account = services.users.find_by_email(email)
    notes = services.session_store.notes_of(account.id if account else "")
    device = services.devices.known(device_cookie, account, notes)
    lockout = services.lockout
    subject = lockout.device(device, account.id) if device and account else lockout.address(email)
    return Attempt(typed, email, account, notes, client, device, subject)


def _no_such_form(services: Services, typed: str, client: Client) -> Refused:
    """A text that can be nobody's address: wrong, without a hash, and counted for the client address alone, so that
    rubbish cannot lock anybody out."""
    if wait := services.lockout.limited(client.address):
        return Refused("too_many_attempts", wait)
    count_client(services, client)
    shown = services.recorder.masked(typed[:1000])
    services.recorder.record(
        event("sign_in_failed", time=time.time(), client=client, email=shown, details={"reason": "no_address"})
    )
    return Refused("invalid_credentials")


def _limited(services: Services, attempt: Attempt) -> Refused | None:
    wait = None if attempt.device else services.lockout.limited(attempt.client.address)
    return Refused("too_many_attempts", wait) if wait else None


def count_client(services: Services, client: Client) -> None:
    """One more against the client address, whatever the account."""
    if services.lockout.count_against(client.address):
        services.recorder.record(event("limited", time=time.time(), client=client))


def _wrong(services: Services, attempt: Attempt, place: Place) -> Refused:
    lock = services.lockout.burn(place)
    if not attempt.device:
        count_client(services, attempt.client)
    services.recorder.record(_event(services, "sign_in_failed", attempt, reason="wrong_password"))
    if lock is None:
        return Refused("invalid_credentials")
    where = "device" if attempt.device else "address"
    services.recorder.record(
        _event(services, "locked", attempt, seconds=lock.retry_after or 0, of=where, counter=attempt.subject)
    )
    # Asked for everybody, so that it costs the same for addresses that nobody has.
    if services.lockout.may_mail(attempt.email, "lock mail", an_hour=1) and attempt.account and attempt.account.active:
        services.notices.locked(attempt.account, attempt.notes, attempt.client, seconds=lock.retry_after)
    else:
        services.notices.nothing()
    return Refused("invalid_credentials", lock.retry_after, began=True)


def _report_ended(services: Services, attempt: Attempt, ended: Ended | None) -> None:
    if ended is not None:
        services.recorder.record(_event(services, "unlocked", attempt, refused=ended.refused))


def _event(services: Services, name: str, attempt: Attempt, *, session: str = "", **details: str | int) -> Event:
    return event(
        name,
        time=time.time(),
        client=attempt.client,
        user_id=attempt.account.id if attempt.account else None,
        email=attempt.typed.strip() if attempt.account else services.recorder.masked(attempt.email),
        session=session,
        details=details,
    )


def _rehash(services: Services, account: Account, notes: AccountNotes, password: str) -> None:
    """Hash anew when the parameters have risen. Ends no session, and its failure fails no sign-in.

    The lineage is written first: it names a hash that may never come to be, which harms nothing.
    """
    if account.password_hash is None or not services.passwords.outdated(account.password_hash):
        return
    try:
        new = services.passwords.hash(password)
        lineage = lineage_with(account.password_hash, new, notes.lineage)
        if services.session_store.set_lineage(account.id, lineage, expected=notes.lineage):
            services.users.set_password_hash(account.id, new, expected=account.password_hash)
    except (Busy, StoreUnavailable):
        return


def _is_new_device(services: Services, attempt: Attempt, account: Account, device_cookie: str | None) -> bool:
    """Whether the owner is to be told of this sign-in: not of their first, and once a device. A browser that kept
    nothing is known by its own words and its address."""
    if services.devices.met(device_cookie, account):
        return False
    try:
        before = services.audit.events(user_id=account.id, event="signed_in", limit=_LOOKS_BACK)
    except StoreUnavailable:
        return False
    client = attempt.client
    seen = [(one.user_agent, one.client_address) for one in before]
    return bool(seen) and (one_line(client.user_agent), one_line(client.address, 64)) not in seen


def _open(
    services: Services,
    attempt: Attempt,
    account: Account,
    *,
    remember: bool,
    device_cookie: str | None,
    over: Live | None,
) -> SignedIn:
    notes = attempt.notes
    unknown = _is_new_device(services, attempt, account, device_cookie)
    # A browser can call itself anything, and an address for notices may be anybody's. The history has them all.
    tells = unknown and services.lockout.may_tell(account.id, "new device", an_hour=10, spaced=False)

    def opened(record: Record) -> tuple[StoredSession, str]:
        if over is not None:
            services.sessions.end(over.stored, why="signed_in_again", record=record)
        stored, cookie = services.sessions.open(account, notes, attempt.client, kept=remember, record=record)
        record(_event(services, "signed_in", attempt, session=public_id(stored), kept=remember))
        return stored, cookie

    try:
        with services.recorder.transaction() as record:
            stored, cookie = opened(record)
    except StoreUnavailable:
        # Perhaps only the history cannot be written; that must not keep people out. A real outage raises again.
        stored, cookie = opened(services.recorder.record)
    if unknown:
        services.recorder.record(_event(services, "new_device", attempt, session=public_id(stored)))
    if tells:
        services.notices.new_device(account, notes, attempt.client)
    device = services.devices.remember(device_cookie, account, notes) if remember else None
    return SignedIn(account, notes, stored, cookie, device)
