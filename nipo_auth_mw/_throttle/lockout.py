"""Attempt slots, and the lock after repeated failures.

A *subject* is an address, or one account on a known device. Each subject has `failures` attempt slots. A check of a
password reserves a slot *before* it verifies, for the length of the window; only a check without a failure frees it. So
an unlocked subject never gets more than `failures` wrong passwords verified, however many threads, processes and
machines check at the same time, also if they die, freeze or lose the counters in between (CVE-2019-5421,
CVE-2024-4629). Correct passwords that arrive in parallel wait for one another and are not refused. ASVS 5 6.3.1; NIST
SP 800-63B-4 3.2.2.

Slot `i` is one counter, `s:i`. The request that raises it from 0 to 1 holds the slot, and a wrong password raises it to
`_USED_UP` and more. A slot that was reserved ten seconds ago and is not used up belongs to a request that died or could
not record its result: it counts as used up.

The lock is one counter, too: the request that raises it from 0 to 1 begins the lock. The counter outlives the lock by a
day, so that the first request after the lock reports it, and then frees the slots. So a request that read no lock and a
free slot, and then raises `s:i` to 1, knows that no lock began in between: the slot would still be taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from nipo_auth_mw._throttle.client_limit import ClientCounter
from nipo_auth_mw._throttle.counters import CounterNames, OneByOne, Reading, outages
from nipo_auth_mw._throttle.slots import CHECK_SECONDS, Ended, Locked, NoSlot, Slot, key_of
from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.protocols import BatchCounters

_USED_UP = 1_000_000
"""More than the requests that raise the same free counter at once, of which the first one gets the slot."""
_TRUSTED_SECONDS = 1.0
"""How old a reading may be when a slot is reserved. No window is shorter, on which `reserve` relies."""
_RETRY_PAUSE = 0.005
_YEARS = 400 * 86400
_DAY = 86400


class Lockout:
    """Reserves attempt slots and locks subjects.

    Every method raises `StoreUnavailable` if the counters cannot be reached; the caller then verifies no password.
    """

    def __init__(self, policy: LockoutPolicy, counters: BatchCounters, names: CounterNames) -> None:
        self._policy = policy
        self._counters = counters
        self._names = names
        self._window = int(policy.window.total_seconds())
        self._max_duration = int((policy.max_duration or policy.duration).total_seconds())
        self._doubles = self._max_duration > policy.duration.total_seconds()
        self._numbers = range(policy.failures)
        self._lifetimes = {"lock": self._max_duration + _DAY, "refused": self._max_duration + _DAY}
        self._lifetimes |= {f"s:{number}": self._window for number in self._numbers}
        if self._doubles:
            self._lifetimes["level"] = 2 * self._max_duration + _DAY
        if policy.permanent_after is not None:
            self._lifetimes["row"] = _YEARS

    @property
    def in_store(self) -> bool:
        """Whether a transaction of the store holds the counters too."""
        return not isinstance(self._counters, OneByOne)

    def address(self, email: str) -> str:
        """The subject of an attempt on a canonical address."""
        return self._names.address(email)

    def device(self, device_id: str, user_id: str, unlocks: int) -> str:
        """The subject of an attempt on an account from a known device, after so many unlocks of the account."""
        return self._names.device(device_id, user_id, unlocks)

    def account(self, user_id: str) -> str:
        """The subject of an attempt on an account, whatever address it has."""
        return self._names.account(user_id)

    def names(self, subject: str) -> dict[str, int]:
        """The names of the subject's counters and their lifetimes, to be read together with others."""
        return {f"{subject}:{name}": lifetime for name, lifetime in self._lifetimes.items()}

    def look(self, subject: str, beside: Mapping[str, int] | None = None) -> Reading:
        """Read the subject's counters, and those of the names `beside` with their lifetimes, at once."""
        at = time.monotonic()
        with outages():
            return Reading(self._counters.read(self.names(subject) | dict(beside or {})), at)

    def locked(self, subject: str, seen: Reading | None = None) -> Locked | None:
        """The subject's lock, or None if it has none. A clock that was set back never lengthens a lock."""
        seen = seen or self.look(subject)
        if self._for_good(subject, seen):
            return Locked(None)
        _, left = seen.counts.get(f"{subject}:lock", (0, 0.0))
        return Locked(math.ceil(left - _DAY)) if left > _DAY else None

    def _for_good(self, subject: str, seen: Reading, after: int = 0) -> bool:
        """Whether the wrong passwords in a row, and `after` further ones, are as many as the policy allows."""
        limit = self._policy.permanent_after
        return limit is not None and seen.counts.get(f"{subject}:row", (0, 0))[0] + after >= limit

    def reserve(
        self, subject: str, deadline: float, seen: Reading | None = None, client: ClientCounter | None = None
    ) -> Slot | Locked:
        """Reserve a slot, or return the lock that forbids it. The check counts for the client from then on, too.

        Waits for a free slot until `deadline` (on `time.monotonic`), then raises `NoSlot`. The caller must end with
        `fail`, `succeed` or `release`. If the slots stay used up without a lock, since a process died or an outage came
        between the two, this call starts the lock. It waits before: a request that frees the slots of an ended lock
        may be halfway. A client that has no failures left waits for nothing.
        """
        beside = client.names if client else {}
        seen = seen or self.look(subject, beside)
        while True:
            if locked := self.locked(subject, seen):
                return locked
            if client and client.wait(seen.counts):
                raise NoSlot
            if slot := self._reserve_one(subject, seen, client):
                return slot
            if time.monotonic() + _RETRY_PAUSE >= deadline:
                if locked := self._lock_if_used_up(subject, seen):
                    return locked
                raise NoSlot
            time.sleep(_RETRY_PAUSE)
            seen = self.look(subject, beside)

    def _reserve_one(self, subject: str, seen: Reading, client: ClientCounter | None = None) -> Slot | None:
        if client and client.wait_if_full(seen.counts):
            return None
        # Counted before the check too, so that parallel checks cannot pass the limit.
        row = self._row(subject)
        with outages():
            for number in self._numbers:
                key = key_of(subject, number)
                if key in seen.counts:
                    continue
                sums = self._counters.add({key: (1, self._window), **_raised(row), **(client.check if client else {})})
                slot = self._slot(subject, number, seen, client)
                if sums[key] != 1:
                    self._end([], slot.given_back | row)
                    continue
                too_many = client is not None and client.exceeded(sums[client.key])
                too_many |= any(sums[name] > (self._policy.permanent_after or 0) for name in row)
                if slot.reserved_at - seen.at < _TRUSTED_SECONDS and not too_many:
                    return slot
                self._end([key], slot.given_back | row)
                return None
        return None

    def _slot(self, subject: str, number: int, seen: Reading, client: ClientCounter | None) -> Slot:
        """The slot that this request has just reserved."""
        ends = seen.at + seen.counts.get(client.key, (0, self._window))[1] if client else 0.0
        return Slot(subject, number, time.monotonic(), self._window, self._count(subject, seen), client, ends)

    def _count(self, subject: str, seen: Reading) -> tuple[str, ...]:
        """The counters that hold the subject's failures and locks."""
        names = [f"{subject}:{name}" for name in self._lifetimes if not name.startswith("s:")]
        found = [name for name in names if name in seen.counts or name.endswith(":row")]
        return (*found, *(key_of(subject, number) for number in self._used_up(subject, seen)))

    def _row(self, subject: str) -> dict[str, int]:
        """The counter of the checks in a row and its lifetime, if the policy limits them."""
        return {f"{subject}:row": _YEARS} if "row" in self._lifetimes else {}

    def _end(self, keys: list[str], less: dict[str, int]) -> None:
        if keys or less:
            self._counters.end(keys, less)

    def clears(self, subject: str, seen: Reading) -> tuple[str, ...]:
        """The counters that a success without a slot ends, as they were read: a lock and its count stay."""
        return () if f"{subject}:lock" in seen.counts or self.locked(subject, seen) else self._count(subject, seen)

    def release(self, slot: Slot, *, checked: bool = True) -> None:
        """Free a slot without a failure. `checked=False` says that no password was verified, so none is counted."""
        row = {} if checked else self._row(slot.subject)
        with outages():
            self._end([] if slot.lapsed else [slot.key], row if slot.lapsed else slot.given_back | row)

    def succeed(self, slot: Slot | None, others: Sequence[str] = ()) -> None:
        """Free the slot after a correct password, and clear the subject's count, as it was when the slot was reserved.

        Ends the counters of `others` with them. Inside a transaction of the store, the counters of the store are part
        of it.
        """
        keys = [*slot.clears, *others] if slot else [*others]
        if slot and not slot.lapsed:
            keys.insert(0, slot.key)
        with outages():
            self._end(keys, slot.given_back if slot else {})

    def fail(self, slot: Slot) -> Locked | None:
        """Record a wrong password and use the slot up. Returns the lock if this failure started one."""
        with outages():
            changes = {slot.key: (_USED_UP, self._window), **(slot.client.failure if slot.client else {})}
            sums = self._counters.add(changes)
        slot.limited = slot.client is not None and slot.client.reached(sums[slot.client.key])
        seen = self.look(slot.subject)
        slot.last = self._for_good(slot.subject, seen, after=1)
        slot.left = self._policy.failures - len(self._used_up(slot.subject, seen))
        return self._lock_if_used_up(slot.subject, seen)

    def next_duration(self, subject: str) -> timedelta:
        """How long the next lock of the subject lasts."""
        return timedelta(seconds=self._next_duration(subject, self.look(subject)))

    def mark_device(self, user_id: str, lock: Locked) -> None:
        """Note that a known device of this account is locked: an administrator cannot name its subject."""
        with outages():
            self._counters.incr(self._names.locked_device(user_id), lock.retry_after or _YEARS)

    def device_locked(self, user_id: str) -> bool:
        """Whether a known device of this account is locked. An unlock of the account lifts it."""
        with outages():
            return bool(self._counters.read({self._names.locked_device(user_id): _YEARS}))

    def locked_among(self, emails: Mapping[str, str]) -> set[str]:
        """The ids of accounts that a lock of their address or of a known device concerns. `emails` are the canonical
        addresses by id. All are read at once."""
        subjects = {user_id: self.address(email) for user_id, email in emails.items()}
        devices = {user_id: self._names.locked_device(user_id) for user_id in emails}
        if not emails:
            return set()
        parts = {name: lifetime for name, lifetime in self._lifetimes.items() if name in {"lock", "row"}}
        names = {f"{subject}:{name}": lasts for subject in subjects.values() for name, lasts in parts.items()}
        with outages():
            counts = self._counters.read(names | dict.fromkeys(devices.values(), _YEARS))
        seen = Reading(counts, time.monotonic())
        return {user_id for user_id in emails if self.locked(subjects[user_id], seen) or devices[user_id] in counts}

    def unmark_devices(self, user_id: str) -> bool:
        """Remove the mark; whether there was one."""
        with outages():
            return bool(self._counters.remove([self._names.locked_device(user_id)]))

    def clear(self, subject: str) -> Ended | None:
        """Remove the count and the lock, for a password reset or an administrator. Returns a lock that ended."""
        with outages():
            return _ended(subject, self._counters.remove([f"{subject}:{name}" for name in self._lifetimes]))

    def refuse(self, subject: str) -> None:
        """Count an attempt that a lock refused. The audit log gets the sum, so that guesses cannot fill the disk."""
        with outages():
            self._counters.incr(f"{subject}:refused", self._max_duration + _DAY)

    def ended(self, subject: str, seen: Reading | None = None) -> Ended | None:
        """The lock that has ended and was not reported yet. Only one caller gets it."""
        seen = seen or self.look(subject)
        if f"{subject}:lock" not in seen.counts or self.locked(subject, seen):
            return None
        with outages():
            if not self._counters.remove([f"{subject}:lock"]):
                return None
            # Only the caller that got the lock frees the slots: another one could free a slot that was reserved since.
            removed = self._counters.remove([f"{subject}:refused", *self._slots(subject)])
        return Ended(removed.get(f"{subject}:refused", 0))

    def _slots(self, subject: str) -> list[str]:
        return [key_of(subject, number) for number in self._numbers]

    def _used_up(self, subject: str, seen: Reading) -> tuple[int, ...]:
        """The slots of failures, and those whose check must have ended: a count that is young enough is in progress."""
        young = self._window - CHECK_SECONDS
        counts = (seen.counts.get(key, (0, 0.0)) for key in self._slots(subject))
        return tuple(
            number for number, (count, left) in enumerate(counts) if count >= _USED_UP or (count and left < young)
        )

    def _lock_if_used_up(self, subject: str, seen: Reading) -> Locked | None:
        """Start the lock if all slots are used up, or if the last wrong password has locked the subject for good."""
        used_up = len(self._used_up(subject, seen)) >= self._policy.failures
        return self._lock(subject, seen) if used_up or self._for_good(subject, seen) else None

    def _lock(self, subject: str, seen: Reading) -> Locked | None:
        """Lock the subject. Of several requests that do so at once, one gets the lock and the others None."""
        seconds = self._next_duration(subject, seen)
        with outages():
            if self._counters.incr(f"{subject}:lock", seconds + _DAY) != 1:
                self._counters.incr(f"{subject}:lock", self._max_duration + _DAY, -1)
                return None
            self._raise_level(subject, seen)
        return Locked(None if self._for_good(subject, seen) else seconds, begun=True)

    def _next_duration(self, subject: str, seen: Reading) -> int:
        """Seconds of the next lock: `duration`, doubled for each lock in a row up to `max_duration`."""
        level = min(seen.counts.get(f"{subject}:level", (0, 0))[0], 30)
        return min(int(self._policy.duration.total_seconds()) << level, self._max_duration)

    def _raise_level(self, subject: str, seen: Reading) -> None:
        """Count one more lock in a row, if locks double. A row ends `2 * max_duration` + 1 day after its last."""
        if self._doubles:
            level = seen.counts.get(f"{subject}:level", (0, 0))[0] + 1
            self._counters.remove([f"{subject}:level"])
            self._counters.incr(f"{subject}:level", 2 * self._max_duration + _DAY, level)


def _raised(names: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The change that adds 1 to each of these counters."""
    return {name: (1, lifetime) for name, lifetime in names.items()}


def _ended(subject: str, removed: Mapping[str, int]) -> Ended | None:
    """The lock that these removed counters were of."""
    return Ended(removed.get(f"{subject}:refused", 0)) if f"{subject}:lock" in removed else None
