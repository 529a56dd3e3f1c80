"""The lock after repeated failures, and the limit per client address; on the counters of `limits`.

Every check of a password takes one of `failures` places *before* anything is verified, and a wrong password burns its
place for the length of the window. So however many threads, processes and hosts check at once, no more than `failures`
wrong passwords of an unlocked address are ever looked at (CVE-2019-5421, CVE-2024-4629); right ones in parallel wait
for one another instead of being refused. ASVS 5 6.3.1; NIST SP 800-63B-4 3.2.2.

A place `i` is two counters. `p:i` says that somebody is checking: whoever raises it from nothing to one holds it,
and it expires by itself when that process dies. `f:i` says that a wrong password burnt it. It is written before `p:i`
is let go, and whoever has taken `p:i` looks at `f:i` once more, so a place is never used twice inside the window.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limits.errors import StorageError
from limits.storage import Storage, storage_from_string

from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.parts.signing import Keyed

_PLACE_EXPIRES = 10
_RETRY_PAUSE = 0.005
_YEARS = 400 * 86400
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Locked:
    """No password is checked. `retry_after` is whole seconds, None when only a reset or an administrator helps."""

    retry_after: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A lock that ran out, found at the first attempt after it: `refused` attempts met it."""

    refused: int


@dataclass(frozen=True, slots=True)
class Place:
    """The right to check one password of `subject`."""

    subject: str
    number: int
    taken: float


class NoPlace(Exception):
    """All places stayed taken for as long as one may wait; nothing was checked."""


class Lockout:
    """Places, locks and limits. Raises `StoreUnavailable` when the counters cannot be reached: then check nothing."""

    def __init__(self, policy: LockoutPolicy, counters: Storage, names: Keyed) -> None:
        self._policy = policy
        self._counters = counters
        self._names = names
        self._window = int(policy.window.total_seconds())

    # Whose counter: keyed digests, so that neither Redis nor a table of counters holds addresses to read.

    def address(self, email: str) -> str:
        return "a:" + self._names.digest("address", email)[:32]

    def device(self, device_id: str, user_id: str) -> str:
        return "d:" + self._names.digest("device", device_id, user_id)[:32]

    # The lock.

    def locked(self, subject: str) -> Locked | None:
        with _outages():
            if self._counters.get(f"{subject}:lock"):
                left = math.ceil(self._counters.get_expiry(f"{subject}:lock") - time.time())
                if left > self._longest:
                    # The clock was set back; that must not lengthen a lock.
                    left = self._longest
                    self._counters.clear(f"{subject}:lock")
                    self._counters.incr(f"{subject}:lock", left)
                return Locked(max(1, left))
            limit = self._policy.give_up_after
            if limit is not None and self._counters.get(f"{subject}:row") >= limit:
                return Locked(None)
        return None

    def take(self, subject: str, deadline: float) -> Place | Locked:
        """A place, or the lock that stands before it. Raises `NoPlace` at `deadline` (on `time.monotonic`)."""
        while True:
            if locked := self.locked(subject):
                return locked
            if place := self._take_one(subject):
                return place
            if time.monotonic() + _RETRY_PAUSE >= deadline:
                raise NoPlace
            time.sleep(_RETRY_PAUSE)

    def _take_one(self, subject: str) -> Place | None:
        with _outages():
            for number in range(self._policy.failures):
                mine, burnt = f"{subject}:p:{number}", f"{subject}:f:{number}"
                if self._counters.get(burnt) or self._counters.get(mine):
                    continue
                if self._counters.incr(mine, _PLACE_EXPIRES) != 1:
                    continue
                place = Place(subject, number, time.monotonic())
                if self._counters.get(burnt) or self._counters.get(f"{subject}:lock") or not self._count_on(subject):
                    self.give_back(place)
                    continue
                return place
        return None

    def _count_on(self, subject: str) -> bool:
        """Count one more password in a row where that is bounded, before it is checked."""
        limit = self._policy.give_up_after
        if limit is None or self._counters.incr(f"{subject}:row", _YEARS) <= limit:
            return True
        self._counters.incr(f"{subject}:row", _YEARS, -1)
        return False

    def give_back(self, place: Place, *, checked: bool = True) -> None:
        """Free a place. `checked=False`: no password was looked at, so none is counted."""
        with _outages():
            if not checked and self._policy.give_up_after is not None:
                self._counters.incr(f"{place.subject}:row", _YEARS, -1)
            if time.monotonic() - place.taken < _PLACE_EXPIRES - 1:
                self._counters.clear(f"{place.subject}:p:{place.number}")

    def burn(self, place: Place) -> Locked | None:
        """A wrong password was checked in this place. The lock, if this one began it."""
        subject = place.subject
        with _outages():
            self._counters.incr(f"{subject}:f:{place.number}", self._window)
            began = None
            if self._burnt(subject) >= self._policy.failures:
                began = self._lock(subject)
            self.give_back(place)
        return began

    def _burnt(self, subject: str) -> int:
        return sum(self._counters.get(f"{subject}:f:{n}") > 0 for n in range(self._policy.failures))

    def _lock(self, subject: str) -> Locked | None:
        seconds = self._next_duration(subject)
        # The lock stands before the places are freed: at no moment is the address neither counted nor locked.
        first = self._counters.incr(f"{subject}:lock", seconds) == 1
        if first:
            self._counters.clear(f"{subject}:refused")
            self._counters.incr(f"{subject}:refused", seconds + _DAY)
            self._raise_level(subject)
        self._clear_burnt(subject)
        return Locked(seconds) if first else None

    @property
    def _longest(self) -> int:
        return int((self._policy.longest or self._policy.duration).total_seconds())

    def _next_duration(self, subject: str) -> int:
        first = int(self._policy.duration.total_seconds())
        if self._longest == first:
            return first
        level = min(self._counters.get(f"{subject}:level"), 30)
        return min(first << level, self._longest)

    def _raise_level(self, subject: str) -> None:
        if self._longest > self._policy.duration.total_seconds():
            level = self._counters.get(f"{subject}:level") + 1
            self._counters.clear(f"{subject}:level")
            self._counters.incr(f"{subject}:level", 2 * self._longest + _DAY, level)

    def _clear_burnt(self, subject: str) -> None:
        for number in range(self._policy.failures):
            if self._counters.get(f"{subject}:f:{number}"):
                self._counters.clear(f"{subject}:f:{number}")

    def clear(self, subject: str) -> Ended | None:
        """Forget the count and the lock: a right password, a reset by mail, an administrator.

        Returns the lock that this ended, if any.
        """
        with _outages():
            ended = self.ended(subject, by_hand=True)
            for name in ("lock", "level", "row"):
                if self._counters.get(f"{subject}:{name}"):
                    self._counters.clear(f"{subject}:{name}")
            self._clear_burnt(subject)
        return ended

    # Attempts refused by a lock are counted, not listed, so that guesses cannot fill the disk.

    def refuse(self, subject: str) -> None:
        """Count an attempt that met the lock."""
        with _outages():
            if self._counters.get(f"{subject}:refused"):
                self._counters.incr(f"{subject}:refused", _DAY)

    def ended(self, subject: str, *, by_hand: bool = False) -> Ended | None:
        """The lock that has run out and was not reported yet; reported to one caller only."""
        with _outages():
            refused = self._counters.get(f"{subject}:refused")
            if not refused or (not by_hand and self._counters.get(f"{subject}:lock")):
                return None
            if self._counters.incr(f"{subject}:reported", _PLACE_EXPIRES) != 1:
                return None
            self._counters.clear(f"{subject}:refused")
            self._counters.clear(f"{subject}:reported")
        return Ended(refused - 1)

    # The limit per client address, over all accounts; a success never clears it.

    def limited(self, client_address: str) -> int | None:
        """Whole seconds until this client address may try again, or None when it may now."""
        if key := self._client(client_address):
            with _outages():
                if self._counters.get(key) >= self._policy.address_failures:
                    left = self._counters.get_expiry(key) - time.time()
                    return max(1, min(math.ceil(left), self._window))
        return None

    def count_against(self, client_address: str) -> bool:
        """Count one failure against it; True for the one that met the limit."""
        if key := self._client(client_address):
            with _outages():
                return self._counters.incr(key, self._window) == self._policy.address_failures
        return False

    def seldom(self, what: str, client_address: str) -> bool:
        """True once a minute for a client address: what anybody can cause must not fill the history."""
        key = self._client(client_address)
        with _outages():
            return self._counters.incr(f"{key or 'c:unknown'}:{what}", 60) == 1

    def may_mail(self, email: str, what: str, *, an_hour: int) -> bool:
        """Whether another mail that anybody can cause may go to this address now, known or not; if so, it is counted.
        One a minute, `an_hour` in any hour (OWASP, "Forgot Password Cheat Sheet")."""
        return self._ration(f"{self.address(email)}:{what}", an_hour, spaced=True)

    def may_tell(self, user_id: str, what: str, *, an_hour: int, spaced: bool = True) -> bool:
        """The same for what an account's owner causes, to mailboxes that may be anybody's. Counted for the account,
        whose address its owner can change. Without `spaced` also several a minute."""
        return self._ration(f"m:{self._names.digest('told', user_id)[:32]}:{what}", an_hour, spaced=spaced)

    def _ration(self, name: str, an_hour: int, *, spaced: bool) -> bool:
        with _outages():
            if spaced and self._counters.incr(f"{name}:minute", 60) != 1:
                return False
            return any(self._counters.incr(f"{name}:{number}", 3600) == 1 for number in range(an_hour))

    def now(self) -> float | None:
        """The clock of the counters' own server, in seconds since the epoch; None where it is this machine's."""
        server: Any = getattr(self._counters, "storage", None)
        if not hasattr(server, "time"):
            return None
        with _outages():
            seconds, microseconds = server.time()
        return float(seconds + microseconds / 1e6)

    def _client(self, client_address: str) -> str | None:
        """One counter an IPv4 address, one a /64 of IPv6 (what one customer is given). No address, no shared bucket."""
        try:
            address = ipaddress.ip_address(client_address)
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        bits = 32 if address.version == 4 else 64
        network = ipaddress.ip_network((address, bits), strict=False)
        return "c:" + self._names.digest("client", str(network))[:32]


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise StoreUnavailable("the counters cannot be reached") from None


def open_counters(policy: LockoutPolicy, own: Storage | None, *, memory_allowed: bool) -> Storage:
    """The counter storage that the policy names. Raises `ConfigError`.

    `own` is the store's; `memory_allowed` says that it lives in this process alone too.
    """
    if policy.counters in {"store", "memory://"}:
        if own is None:
            raise ConfigError("store", "has no `counters`", 'Set lockout.counters to a "redis://" address.')
        if policy.counters == "memory://" and not memory_allowed:
            raise ConfigError(
                "lockout.counters",
                "memory:// is not shared by processes, so each would allow its own number of guesses",
                'Use "store" or a "redis://" address; memory:// goes with MemoryStore only.',
            )
        return own
    options = {"socket_timeout": 3, "socket_connect_timeout": 3}
    try:
        return storage_from_string(policy.counters, wrap_exceptions=True, **options)  # type: ignore[return-value]
    except Exception as problem:
        raise ConfigError(
            "lockout.counters",
            f"the storage cannot be opened ({type(problem).__name__})",
            "Install nipo_auth_mw[redis] and check the address.",
        ) from None
