"""Sessions: open, find, touch, end, sweep.

The cookie holds a random secret, signed; the store keeps only its hash, so a stolen table opens nothing. The signature
is checked before the store is asked: a forged cookie costs no look-up. Every look-up reads the session, its account and
our notes afresh: a session that was ended, or whose account has changed, is over at the very next request of any
process (ASVS 5 7.4.1, 7.4.2; NIST SP 800-63B-4 5.1).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nipo_auth_mw.config import SessionPolicy
from nipo_auth_mw.models import AccountNotes, Client, Event, Session, StoredSession, User, public_id
from nipo_auth_mw.parts.recorder import Record, Recorder, event, one_line
from nipo_auth_mw.parts.signing import Signed
from nipo_auth_mw.parts.stamps import Stamps
from nipo_auth_mw.parts.worker import Worker
from nipo_auth_mw.protocols import Account, JoinedSessionStore, SessionStore, UserStore

MOST_PER_ACCOUNT = 100
_SEND_AGAIN = 30 * 86400
_CLOCK_TOLERANCE = 300
_SWEEP_BATCH = 500


Found = tuple[StoredSession, AccountNotes, Account | None]
LookUp = Callable[[str], Found | None]


@dataclass(slots=True)
class Live:
    """A session that is good now, and whose it is. `cookie_due`: a kept one whose cookie was last sent so long ago that
    browsers may drop it before we end it. `must_change`: somebody else set the password, and nothing but changing it
    is allowed yet."""

    stored: StoredSession
    user: User
    cookie_due: bool
    must_change: bool

    @property
    def session(self) -> Session:
        return Session(self.stored)


class Sessions:
    def __init__(
        self,
        policy: SessionPolicy,
        store: SessionStore,
        users: UserStore,
        signed: Signed,
        stamps: Stamps,
        recorder: Recorder,
        worker: Worker,
    ) -> None:
        self._store = store
        self._users = users
        self._signed = signed
        self._stamps = stamps
        self._recorder = recorder
        self._worker = worker
        self._idle = policy.idle.total_seconds()
        self._browser_idle = policy.browser_idle.total_seconds()
        self._absolute = policy.absolute.total_seconds()
        self._reauth_within = policy.reauth_within.total_seconds()
        shortest = min(self._idle, self._browser_idle)
        self._touch_every = min(policy.touch_every.total_seconds(), shortest / 2)
        self._touched: dict[str, float] = {}
        # The object that keeps the sessions may keep the accounts too, and then one round trip answers both.
        same: object = users
        self._look_up: LookUp = self._look_up_apart
        if isinstance(store, JoinedSessionStore) and store is same:
            self._look_up = store.find_session_with_account

    def open(
        self, account: Account, notes: AccountNotes, client: Client, *, kept: bool, record: Record
    ) -> tuple[StoredSession, str]:
        """A new session under a new random secret, never one that a client sent; the row and the cookie's value.

        `account` and `notes` are as they were *before* the password was checked: a change meanwhile makes the session
        stillborn. Beyond 100 sessions an account the longest unseen end.
        """
        now = time.time()
        secret = secrets.token_urlsafe(32)
        stored = StoredSession(
            key=_key(secret),
            user_id=account.id,
            stamp=self._stamps.of(account, notes),
            created_at=now,
            seen_at=now,
            sent_at=now,
            kept=kept,
            client_address=one_line(client.address, 64),
            user_agent=one_line(client.user_agent),
            confirmed_at=now,
        )
        for surplus in self._store.sessions_of(account.id)[MOST_PER_ACCOUNT - 1 :]:
            self.end(surplus, why="cap", record=record)
        self._store.open_session(stored)
        return stored, self._signed.sign(secret)

    def find(self, cookie: str, *, prolong: bool = True) -> Live | None:
        """The live session behind a cookie's value, or None. Raises `StoreUnavailable`.

        A session found past its time or stamped with an earlier state of its account is ended on the spot.
        """
        secret = self._signed.open(cookie)
        if secret is None:
            return None
        key = _key(secret)
        # Before the row: a touch that is written and forgotten between the two would be missed in both.
        touched = self._touched.get(key)
        found = self._look_up(key)
        if found is None:
            return None
        stored, notes, account = found
        now = time.time()
        if touched is not None:
            stored = stored._replace(seen_at=max(stored.seen_at, touched))
        idle = self._idle if stored.kept else self._browser_idle
        over = now >= stored.seen_at + idle or now >= stored.created_at + self._absolute
        if over or stored.created_at > now + _CLOCK_TOLERANCE:
            self._expire(stored)
            return None
        if account is None or not account.active or not self._stamps.fits(stored.stamp, account, notes):
            self.end(stored, why=_why_over(account), record=self._recorder.record)
            return None
        if prolong and now - stored.seen_at >= self._touch_every:
            self._touch(stored.key, now)
        user = _user(account.id, account.email, account.name, account.role, notes.language, notes.notify_email)
        return Live(stored, user, stored.kept and now - stored.sent_at > _SEND_AGAIN, notes.change_by is not None)

    def fresh(self, stored: StoredSession) -> bool:
        """Whether the password was given lately enough for what is delicate."""
        return -_CLOCK_TOLERANCE <= time.time() - stored.confirmed_at < self._reauth_within

    def confirm(self, stored: StoredSession) -> bool:
        """Write down that the password was given just now; False if the session has ended meanwhile."""
        return self._store.confirm_session(stored.key, time.time())

    def renew(
        self, old: StoredSession, account: Account, notes: AccountNotes, client: Client, *, record: Record
    ) -> tuple[StoredSession, str] | None:
        """The same device's session under a new secret and the account's present stamp; None if `old` has ended
        meanwhile. Call it in a transaction. ASVS 5 7.2.4."""
        if self._store.end_session(old.key) is None:
            return None
        return self.open(account, notes, client, kept=old.kept, record=record)

    def end(self, stored: StoredSession, *, why: str, record: Record, actor: str = "") -> bool:
        """Remove it; one event however many do so at once. False if it had ended before."""
        ended = self._store.end_session(stored.key)
        if ended is None:
            return False
        device = Client(stored.client_address, stored.user_agent)
        record(
            event(
                "session_ended",
                time=time.time(),
                client=device,
                user_id=stored.user_id,
                session=public_id(stored),
                actor=actor,
                details={"why": why},
            )
        )
        return True

    def end_all(self, user_id: str, *, why: str, record: Record, actor: str = "", but: str = "") -> None:
        """End every session of an account, but the one with the key `but`."""
        for stored in self._store.sessions_of(user_id):
            if stored.key != but:
                self.end(stored, why=why, record=record, actor=actor)

    def of(self, user_id: str) -> list[StoredSession]:
        return list(self._store.sessions_of(user_id))

    def send_again(self, stored: StoredSession) -> bool:
        """Write down that the cookie goes out again; False when the session has ended meanwhile: then send nothing."""
        return self._store.mark_session_sent(stored.key, time.time())

    def sweep(self) -> int:
        """End the sessions that are past their time, and return how many this call ended."""
        ended = 0
        while True:
            touched = frozenset(self._touched)  # before the rows, as in `find`
            late = self._late(time.time())
            gone = sum(self._expire(stored) for stored in late if stored.key not in touched)
            ended += gone
            if len(late) < _SWEEP_BATCH or not gone:
                return ended

    def overdue(self) -> int:
        """How many a sweep would end, counted up to 500."""
        return len(self._late(time.time()))

    def _late(self, now: float) -> Sequence[StoredSession]:
        return self._store.expired_sessions(
            kept_before=now - self._idle,
            browser_before=now - self._browser_idle,
            created_before=now - self._absolute,
            limit=_SWEEP_BATCH,
        )

    def _look_up_apart(self, key: str) -> Found | None:
        found = self._store.find_session(key)
        return None if found is None else (*found, self._users.get(found[0].user_id))

    def _deadline(self, stored: StoredSession) -> float:
        idle = self._idle if stored.kept else self._browser_idle
        return min(stored.seen_at + idle, stored.created_at + self._absolute)

    def _expire(self, stored: StoredSession) -> bool:
        if self._store.end_session(stored.key) is None:
            return False
        self._recorder.record(self._expiry(stored))
        return True

    def _expiry(self, stored: StoredSession) -> Event:
        """Disuse as an event: its time is the deadline, since nobody was there when it happened."""
        deadline = self._deadline(stored)
        absolute = deadline == stored.created_at + self._absolute
        return event(
            "session_expired",
            time=deadline,
            client=Client(stored.client_address, stored.user_agent),
            user_id=stored.user_id,
            session=public_id(stored),
            details={"limit": "absolute" if absolute else "idle", "last_seen": int(stored.seen_at)},
        )

    def _touch(self, key: str, now: float) -> None:
        """Write "last seen" out of the request's way; until it is written this process remembers it."""
        self._touched[key] = now

        def write() -> None:
            try:
                self._store.touch_session(key, now)
            finally:
                if self._touched.get(key) == now:
                    self._touched.pop(key, None)

        self._worker.submit(write)


@lru_cache(maxsize=4096)
def _user(
    user_id: str, email: str, name: str | None, role: str, language: str | None, notify_email: str | None
) -> User:
    """The value for these facts; equal facts give one immutable object."""
    return User(user_id, email, True, name or "", role, language, notify_email)


def _key(secret: str) -> str:
    """What the store knows a session by. The secret has 256 random bits, so a plain hash cannot be guessed at."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _why_over(account: Account | None) -> str:
    if account is None:
        return "account_deleted"
    return "account_changed" if account.active else "account_disabled"
