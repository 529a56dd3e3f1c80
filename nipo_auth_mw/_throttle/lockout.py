"""Attempt slots, and the lock after repeated failures.

A *subject* is an address, or one account on a known device. Each subject has `failures` attempt slots. A check of a
password reserves a slot *before* it verifies; a wrong password uses the slot up for the length of the window. So an
unlocked subject never gets more than `failures` wrong passwords verified, however many threads, processes and machines
check at the same time (CVE-2019-5421, CVE-2024-4629). Correct passwords that arrive in parallel wait for one another
and are not refused. ASVS 5 6.3.1; NIST SP 800-63B-4 3.2.2.

Slot `i` is two counters. `p:i` says that a check is in progress: the request that raises it from 0 to 1 holds the slot,
and the counter expires if the process dies. `f:i` says that a wrong password used the slot up. `fail` writes `f:i`
before it releases `p:i`, and `reserve` reads `f:i` again once it holds `p:i`. So a slot is never used twice within the
window.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from nipo_auth_mw._throttle.counters import CounterNames, outages
from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.protocols import Counters

_SLOT_EXPIRES = 10
_RETRY_PAUSE = 0.005
_YEARS = 400 * 86400
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Locked:
    """The subject is locked, so no password is verified.

    `retry_after` is in whole seconds; None if only a password reset or an administrator ends the lock.
    """

    retry_after: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A lock that has ended and was not reported before. It refused `refused` attempts."""

    refused: int


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to verify one password for `subject`. `reserved_at` is on `time.monotonic`."""

    subject: str
    number: int
    reserved_at: float


class NoSlot(Exception):
    """All slots stayed reserved until the deadline; no password was verified."""


class Lockout:
    """Reserves attempt slots and locks subjects.

    Every method raises `StoreUnavailable` if the counters cannot be reached; the caller then verifies no password.
    """

    def __init__(self, policy: LockoutPolicy, counters: Counters, names: CounterNames) -> None:
        self._policy = policy
        self._counters = counters
        self._names = names
        self._window = int(policy.window.total_seconds())

    def address(self, email: str) -> str:
        """The subject of an attempt on a canonical address."""
        return self._names.address(email)

    def device(self, device_id: str, user_id: str) -> str:
        """The subject of an attempt on an account from a known device."""
        return self._names.device(device_id, user_id)

    def locked(self, subject: str) -> Locked | None:
        """The subject's lock, or None if it has none. A clock that was set back never lengthens a lock."""
        with outages():
            if self._counters.get(f"{subject}:lock"):
                left = math.ceil(self._counters.get_expiry(f"{subject}:lock") - time.time())
                if left > self._max_duration:
                    left = self._max_duration
                    self._counters.clear(f"{subject}:lock")
                    self._counters.incr(f"{subject}:lock", left)
                return Locked(max(1, left))
            limit = self._policy.permanent_after
            if limit is not None and self._counters.get(f"{subject}:row") >= limit:
                return Locked(None)
        return None

    def reserve(self, subject: str, deadline: float) -> Slot | Locked:
        """Reserve a slot, or return the lock that forbids it.

        Waits for a free slot until `deadline` (on `time.monotonic`), then raises `NoSlot`. The caller must end with
        `fail` or `release`.
        """
        while True:
            if locked := self.locked(subject):
                return locked
            if slot := self._reserve_one(subject):
                return slot
            if time.monotonic() + _RETRY_PAUSE >= deadline:
                raise NoSlot
            time.sleep(_RETRY_PAUSE)

    def _reserve_one(self, subject: str) -> Slot | None:
        with outages():
            for number in range(self._policy.failures):
                reserved, failed = f"{subject}:p:{number}", f"{subject}:f:{number}"
                if self._counters.get(failed) or self._counters.get(reserved):
                    continue
                if self._counters.incr(reserved, _SLOT_EXPIRES) != 1:
                    continue
                slot = Slot(subject, number, time.monotonic())
                if self._counters.get(failed) or self._counters.get(f"{subject}:lock") or not self._count(subject):
                    self.release(slot)
                    continue
                return slot
        return None

    def _count(self, subject: str) -> bool:
        """Count one more check towards `permanent_after`, if that is set. False if the limit is reached.

        Counts before the check, so that parallel checks cannot pass the limit.
        """
        limit = self._policy.permanent_after
        if limit is None or self._counters.incr(f"{subject}:row", _YEARS) <= limit:
            return True
        self._counters.incr(f"{subject}:row", _YEARS, -1)
        return False

    def release(self, slot: Slot, *, checked: bool = True) -> None:
        """Free a slot without a failure. `checked=False` says that no password was verified, so none is counted.

        A slot that was held too long is left to expire: another request may have reserved it since.
        """
        with outages():
            if not checked and self._policy.permanent_after is not None:
                self._counters.incr(f"{slot.subject}:row", _YEARS, -1)
            if time.monotonic() - slot.reserved_at < _SLOT_EXPIRES - 1:
                self._counters.clear(f"{slot.subject}:p:{slot.number}")

    def fail(self, slot: Slot) -> Locked | None:
        """Record a wrong password and use the slot up. Returns the lock if this failure started one."""
        subject = slot.subject
        with outages():
            self._counters.incr(f"{subject}:f:{slot.number}", self._window)
            started = None
            if self._failed(subject) >= self._policy.failures:
                started = self._lock(subject)
            self.release(slot)
        return started

    def _failed(self, subject: str) -> int:
        """How many slots wrong passwords have used up within the window."""
        return sum(self._counters.get(f"{subject}:f:{n}") > 0 for n in range(self._policy.failures))

    def _lock(self, subject: str) -> Locked | None:
        """Lock the subject. Of several requests that do so at once, one gets the lock and the others None."""
        seconds = self._next_duration(subject)
        # The lock is written before the slots are freed, so the subject is counted or locked at every moment.
        first = self._counters.incr(f"{subject}:lock", seconds) == 1
        if first:
            self._counters.clear(f"{subject}:refused")
            self._counters.incr(f"{subject}:refused", seconds + _DAY)
            self._raise_level(subject)
        self._clear_failed(subject)
        return Locked(seconds) if first else None

    @property
    def _max_duration(self) -> int:
        return int((self._policy.max_duration or self._policy.duration).total_seconds())

    def _next_duration(self, subject: str) -> int:
        """Seconds of the next lock: `duration`, doubled for each lock in a row up to `max_duration`."""
        first = int(self._policy.duration.total_seconds())
        if self._max_duration == first:
            return first
        level = min(self._counters.get(f"{subject}:level"), 30)
        return min(first << level, self._max_duration)

    def _raise_level(self, subject: str) -> None:
        """Count one more lock in a row, if locks double. A row ends `2 * max_duration` + 1 day after its last."""
        if self._max_duration > self._policy.duration.total_seconds():
            level = self._counters.get(f"{subject}:level") + 1
            self._counters.clear(f"{subject}:level")
            self._counters.incr(f"{subject}:level", 2 * self._max_duration + _DAY, level)

    def _clear_failed(self, subject: str) -> None:
        for number in range(self._policy.failures):
            if self._counters.get(f"{subject}:f:{number}"):
                self._counters.clear(f"{subject}:f:{number}")

    def clear(self, subject: str) -> Ended | None:
        """Forget the failures and the lock, after a correct password, a password reset or an administrator's unlock.

        Returns the lock that this ended, if any.
        """
        with outages():
            ended = self.ended(subject, by_hand=True)
            for name in ("lock", "level", "row"):
                if self._counters.get(f"{subject}:{name}"):
                    self._counters.clear(f"{subject}:{name}")
            self._clear_failed(subject)
        return ended

    def refuse(self, subject: str) -> None:
        """Count an attempt that a lock refused. The audit log gets the sum, so that guesses cannot fill the disk."""
        with outages():
            if self._counters.get(f"{subject}:refused"):
                self._counters.incr(f"{subject}:refused", _DAY)

    def ended(self, subject: str, *, by_hand: bool = False) -> Ended | None:
        """The lock that has ended and was not reported yet. Only one caller gets it.

        `by_hand=True` also reports a lock that still stands, because the caller is about to clear it.
        """
        with outages():
            refused = self._counters.get(f"{subject}:refused")
            if not refused or (not by_hand and self._counters.get(f"{subject}:lock")):
                return None
            if self._counters.incr(f"{subject}:reported", _SLOT_EXPIRES) != 1:
                return None
            self._counters.clear(f"{subject}:refused")
            self._counters.clear(f"{subject}:reported")
        return Ended(refused - 1)
