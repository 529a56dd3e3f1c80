"""Sessions: open, find, end, sweep.

The cookie holds a random secret and its signature. The store keeps only a hash of the secret, so a stolen table opens
no session. The signature is checked first, so a forged cookie costs no look-up. Every look-up reads the session, its
account and the account state from the store. So a session that was ended, or whose account has changed, is over at the
next request of any process (ASVS 5 7.4.1, 7.4.2; NIST SP 800-63B-4 5.1).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from nipo_auth_mw import models
from nipo_auth_mw._audit.events import EventGroup, EventType, Record, one_line
from nipo_auth_mw._audit.log import EventLog
from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._credentials.security_stamp import SecurityStamps
from nipo_auth_mw._credentials.tokens import SignedTokens
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw._sessions.endings import Endings
from nipo_auth_mw._sessions.key_rotation import Found, KeyRotation, LookUp
from nipo_auth_mw._sessions.last_seen import LastSeen
from nipo_auth_mw.config import SessionPolicy
from nipo_auth_mw.models import AccountState, Client, Session, StoredSession, User
from nipo_auth_mw.protocols import (
    Account,
    JoinedSessionStore,
    SecondStepSessions,
    SessionStore,
    SurplusSessions,
    UserStore,
)

SESSION_ENDED = EventType("session_ended", EventGroup.LOGIN)
SESSION_EXPIRED = EventType("session_expired", EventGroup.LOGIN)

MAX_PER_ACCOUNT = 100
_SEND_AGAIN = 30 * 86400
_CLOCK_TOLERANCE = 300
_CLOCK_APART = 900
"""Seconds by which a session may begin in the future, and last longer, so that it survives a clock that was wrong."""
_SWEEP_BATCH = 500


@dataclass(slots=True)
class ActiveSession:
    """A valid session, its user, and the state of the account. `cookie_due`: its cookie must be sent again."""

    stored: StoredSession
    user: User
    cookie_due: bool
    state: AccountState

    @property
    def public(self) -> Session:
        """The session as the host app sees it."""
        return Session(self.stored, self.state.two_step is not None)


class Sessions:
    """The sessions of all accounts. Every method raises `StoreUnavailable` if the store cannot be reached."""

    def __init__(
        self,
        policy: SessionPolicy,
        store: SessionStore,
        users: UserStore,
        signed: SignedTokens,
        stamps: SecurityStamps,
        log: EventLog,
        worker: Worker,
        endings: Endings,
        zone: ZoneInfo,
        renew_factors: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._users = users
        self._signed = signed
        self._stamps = stamps
        # A pure function of values that the store has just returned, so this caches nothing that could become stale.
        self._judge = lru_cache(maxsize=4096)(self._judged)
        self._log = log
        self._endings = endings
        self._idle = policy.idle.total_seconds()
        self._browser_idle = policy.browser_idle.total_seconds()
        self._absolute = policy.absolute.total_seconds()
        self._reauth_within = policy.reauth_within.total_seconds()
        shortest = min(self._idle, self._browser_idle)
        self._touch_every = min(policy.touch_every.total_seconds(), shortest / 2)
        self._confirms_second = store if offers(store, SecondStepSessions) else None
        self._finds_surplus = store if offers(store, SurplusSessions) else None
        self._last_seen = LastSeen(store, worker, zone)
        self._rotation = KeyRotation(store, signed, stamps, worker, renew_factors)
        # If one store keeps the sessions and the accounts, one round trip returns both.
        same: object = users
        self._look_up: LookUp = self._look_up_apart
        if offers(store, JoinedSessionStore) and store is same:
            self._look_up = store.find_session_with_account

    def open(
        self,
        account: Account,
        state: AccountState,
        client: Client,
        *,
        persistent: bool,
        means: str = "password",
        second_at: float = 0.0,
        began: float = 0.0,
        proved: float = 0.0,
    ) -> tuple[StoredSession, str]:
        """Open a session under a new random secret; returns the stored session and the cookie's value.

        `means` and `second_at` are what the user has proved; `began` and `proved` are the times of an earlier sign-in
        and password. Never takes a secret from the client, which stops session fixation (ASVS 5 7.2.4). `account` and
        `state` must have been read *before* the password was verified: if the account changes in between, the session
        is invalid from the start. The caller ends with `end_surplus`: an account has at most 100 sessions.
        """
        now = time.time()
        secret = secrets.token_urlsafe(32)
        stored = StoredSession(
            key=_key_of(secret),
            user_id=account.id,
            stamp=self._stamps.of(account, state),
            created_at=began or now,
            seen_at=now,
            sent_at=now,
            persistent=persistent,
            client_address=one_line(client.address, 64),
            user_agent=one_line(client.user_agent),
            confirmed_at=proved or now,
            means=means,
            second_at=second_at,
        )
        self._store.open_session(stored)
        # In the caller's transaction: a job that begins here would let gevent run other requests in the middle of it.
        self._last_seen.note(account.id, now)
        return stored, self._signed.sign(secret)

    def find(self, cookie: str, *, prolong: bool = True) -> ActiveSession | None:
        """The valid session behind a cookie's value, or None.

        Ends a session that has expired or whose account has changed since sign-in. Updates "last seen" unless
        `prolong` is False.
        """
        secret = self._signed.open(cookie)
        if secret is None:
            return None
        return self.find_key(_key_of(secret), prolong=prolong, cookie=cookie)

    def find_key(self, key: str, *, prolong: bool, cookie: str = "") -> ActiveSession | None:
        """The valid session with this key, as `find` gives it. `cookie` is the value that the browser brought."""
        unwritten = self._last_seen.unwritten.get(key)
        found = self._look_up(key)
        if found is None:
            return None
        stored, state, account = found
        now = time.time()
        if unwritten is not None:
            stored = stored._replace(seen_at=max(stored.seen_at, unwritten))
        if now >= self._deadline(stored) or stored.created_at > now + _CLOCK_APART:
            self._expire(stored)
            return None
        verdict = None
        if account is not None and account.active:
            # Its values and not the account itself, since a store of the host app may give an object that changes.
            facts = (account.id, account.email, account.password_hash, account.name, account.role)
            verdict = self._judge(stored.stamp, state, *facts)
        if verdict is None:
            self.end(stored, why=_why_over(account), record=self._log.record)
            return None
        user, key_number = verdict
        if prolong and now - stored.seen_at >= self._touch_every:
            self._last_seen.touch(stored, now)
        cookie_due = stored.persistent and now - stored.sent_at > _SEND_AGAIN
        if self._rotation.is_on and cookie:
            cookie_due = self._rotation.use(cookie, found, key_number) or cookie_due
        return ActiveSession(stored, user, cookie_due, state)

    def why_ended(self, cookie: str) -> str:
        """Why the session behind a cookie's value has ended, as a word of `endings.WORDS`, once; "" for a cookie that
        is forged, or whose session tells no reason."""
        opened = self._signed.open(cookie)
        return self._endings.take(_key_of(opened)) if opened is not None else ""

    def owner(self, stored: StoredSession) -> Account | None:
        """The account of a session as it is now; None if the session has ended or the account has changed since."""
        found = self._look_up(stored.key)
        account = found[2] if found else None
        if found is None or account is None or not account.active:
            return None
        return account if self._stamps.fits(stored.stamp, account, found[1]) else None

    def fresh(self, session: Session) -> bool:
        """Whether the user has proved who they are recently enough for a sensitive action (`reauth_within`): by the
        password, and by the second step too if the account has two (ASVS 5 7.5.3)."""
        stored = session.stored
        proved = min(stored.confirmed_at, stored.second_at) if session.two_steps else stored.confirmed_at
        return -_CLOCK_TOLERANCE <= time.time() - proved < self._reauth_within

    def confirm(self, stored: StoredSession, means: str = "password") -> bool:
        """Record that the user has proved this now. False if the session has ended in the meantime.

        A password alone takes nothing away from what the session has proved before.
        """
        now = time.time()
        if means == "password" or self._confirms_second is None:
            return self._store.confirm_session(stored.key, now)
        return self._confirms_second.confirm_second(stored.key, means=means, confirmed_at=now, second_at=now)

    def renew(
        self, old: StoredSession, account: Account, state: AccountState, client: Client
    ) -> tuple[StoredSession, str] | None:
        """Replace a session by one with a new secret and the account's current stamp (ASVS 5 7.2.4).

        Keeps the times of the sign-in and of what the user has proved: no renewal prolongs the absolute limit (ASVS 5
        7.3.2) or keeps a session fresh (7.5.1). None if `old` has ended in the meantime. Call it in a transaction.
        """
        if self._store.end_session(old.key) is None:
            return None
        began, proved, means, at = old.created_at, old.confirmed_at, old.means, old.second_at
        return self.open(
            account, state, client, persistent=old.persistent, means=means, second_at=at, began=began, proved=proved
        )

    def end(self, stored: StoredSession, *, why: str, record: Record, actor: str = "") -> bool:
        """End a session and record one event, however many requests do so at once. False if it had already ended."""
        ended = self._store.end_session(stored.key)
        if ended is None:
            return False
        device = Client(stored.client_address, stored.user_agent)
        record(SESSION_ENDED, subject=stored.user_id, client=device, session=stored, actor=actor, why=why)
        self._endings.keep(stored.key, why, by_other=actor not in ("", stored.user_id))
        return True

    def end_all(self, user_id: str, *, why: str, record: Record, actor: str = "", except_key: str = "") -> None:
        """End every session of an account except the one whose key is `except_key`."""
        for stored in self._store.sessions_of(user_id):
            if stored.key != except_key:
                self.end(stored, why=why, record=record, actor=actor)

    def of(self, user_id: str) -> list[StoredSession]:
        """The account's stored sessions, the most recently seen first. Some may have expired."""
        return list(self._store.sessions_of(user_id))

    def is_live(self, stored: StoredSession) -> bool:
        """Whether a session from a list has not expired."""
        return time.time() < self._deadline(stored)

    def send_again(self, stored: StoredSession) -> bool:
        """Record that the cookie is sent again. False if the session has ended in the meantime: then send no cookie."""
        return self._store.mark_session_sent(stored.key, time.time())

    def renewed(self, cookie: str) -> str:
        """The value of a session's cookie, signed with the newest secret key."""
        return self._signed.renewed(cookie)

    def on_older_keys(self) -> int | None:
        """How many sessions would end without the older secret keys; None if the store cannot list its sessions."""
        return self._rotation.left(self._look_up)

    def sweep(self) -> int:
        """End all expired sessions. Returns how many this call ended."""
        ended = 0
        while True:
            unwritten = self._last_seen.unwritten_keys()
            late = self._late(time.time())
            gone = sum(self._expire(stored) for stored in late if stored.key not in unwritten)
            ended += gone
            if len(late) < _SWEEP_BATCH or not gone:
                return ended

    def overdue(self) -> int:
        """How many sessions a sweep would end, counted up to 500."""
        return len(self._late(time.time()))

    def end_surplus(self, user_id: str, *, record: Record) -> None:
        """End the least recently seen sessions above `MAX_PER_ACCOUNT`, in the transaction that opened one."""
        if self._finds_surplus is not None:
            found = self._finds_surplus.surplus_sessions(user_id, keep=MAX_PER_ACCOUNT)
        else:
            found = self._store.sessions_of(user_id)[MAX_PER_ACCOUNT:]
        for surplus in found:
            self.end(surplus, why="cap", record=record)

    def _late(self, now: float) -> Sequence[StoredSession]:
        """The expired sessions, at most one batch."""
        return self._store.expired_sessions(
            persistent_before=now - self._idle,
            browser_before=now - self._browser_idle,
            created_before=now - self._absolute,
            limit=_SWEEP_BATCH,
        )

    def _judged(
        self, stamp: str, state: AccountState, id: str, email: str, password_hash: str | None, name: str, role: str
    ) -> tuple[User, int] | None:
        """The user of an active account, and the number of the stamp's secret key; None if the stamp does not fit."""
        number = self._stamps.key_of(stamp, models.Account(id, email, password_hash), state)
        user = User(id, email, True, name or "", role, state.language, state.notify_email)
        return None if number is None else (user, number)

    def _look_up_apart(self, key: str) -> Found | None:
        """The session, the account state and the account, if two stores hold them."""
        found = self._store.find_session(key)
        return None if found is None else (*found, self._users.get(found[0].user_id))

    def _deadline(self, stored: StoredSession) -> float:
        """When the session expires, in seconds since the epoch."""
        idle = self._idle if stored.persistent else self._browser_idle
        return min(stored.seen_at + idle, stored.created_at + self._absolute)

    def _expire(self, stored: StoredSession) -> bool:
        """End an expired session; False if another request or process ended it first."""
        if self._store.end_session(stored.key) is None:
            return False
        self._record_expiry(stored)
        self._endings.keep(stored.key, "expired", by_other=False)
        return True

    def _record_expiry(self, stored: StoredSession) -> None:
        """Record that a session expired. The event's time is the deadline, not the time when the process noticed."""
        deadline = self._deadline(stored)
        self._log.record(
            SESSION_EXPIRED,
            subject=stored.user_id,
            client=Client(stored.client_address, stored.user_agent),
            session=stored,
            at=deadline,
            limit="absolute" if deadline == stored.created_at + self._absolute else "idle",
            last_seen=int(stored.seen_at),
        )


def _key_of(secret: str) -> str:
    """The key under which the store keeps a session. The secret has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _why_over(account: Account | None) -> str:
    """The reason in the audit log for a session whose account has changed."""
    if account is None:
        return "account_deleted"
    return "account_changed" if account.active else "account_disabled"
