"""How passwords are stored and verified. The only module that imports argon2-cffi.

argon2id with OWASP's 19 MiB, t=2, p=1 (Password Storage Cheat Sheet; ASVS 5 11.4.2), over the NFC form of the password.
The caller has checked the length: see `policy`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, TypeVarTuple

import argon2
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from nipo_auth_mw._credentials.hash_kinds import ARGON2, HashKinds, Kind, kind_of, samples
from nipo_auth_mw._credentials.hash_pool import HashPool
from nipo_auth_mw._credentials.legacy_hashes import LegacyHashes, is_no_password
from nipo_auth_mw._credentials.policy import normalized
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw.errors import ConfigError, HashingFailed, HashRejected, StoreUnavailable
from nipo_auth_mw.models import LegacyHash
from nipo_auth_mw.protocols import LegacyHasher, PasswordHasher

_log = logging.getLogger("nipo_auth_mw")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
_AGAIN_AFTER = 60.0
_HINT = "Use argon2.PasswordHasher(2, 19456, 1) or more. In tests, use nipo_auth_mw.testing.fast_hasher()."
_ARGON2_REASONS = frozenset(argon2.low_level.error_to_str(number) for number in range(-40, 0))
_LOOKS = 4
"""Characters at which texts that no hasher reads are told apart."""
_DUMMY = "no account has this password"


class FastHasher(argon2.PasswordHasher):
    """Real argon2id with its smallest parameters, for test suites. The only accepted hasher below OWASP's minimum.

    `PasswordHashing` recognises it by the odd lengths in its hashes, so a test's wrapper around it is accepted, too.
    """

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1, hash_len=33, salt_len=17)


class PasswordHashing:
    """Hashes and verifies passwords. Built once; the construction takes the time of one hash.

    `users` is asked for the kinds of its hashes before the first check of a process. `legacy_hashers` read what other
    systems hashed. Raises `ConfigError` for a hasher below OWASP's minimum.
    """

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        users: object = None,
        legacy_hashers: Sequence[LegacyHasher] = (),
    ) -> None:
        self._hasher = hasher or argon2.PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._plain = argon2.PasswordHasher()
        self.hash_pool: HashPool = HashPool()
        with self.hash_pool.slot(time.monotonic()):
            self._dummy_hash = self._hasher.hash(_DUMMY)
        _check_parameters(self._dummy_hash)
        self._for_tests = _is_fast_hasher(_parameters(self._dummy_hash))
        self._users = users
        self._kinds = HashKinds(_kind_of_today(self._dummy_hash))
        self._legacy = LegacyHashes(legacy_hashers)
        self._learning = PerProcess(_Learning)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the stored hash is of this password. The caller holds a slot of `hash_pool`.

        Asks the hasher once: about the stored hash, or about a dummy hash if there is none (None), if argon2 could not
        read it, or if a wrong password was compared with a legacy hash. A wrong password is then compared with a
        specimen of every other kind of hash in the store, so the time does not reveal whether an account exists. Raises
        `HashingFailed` if the hasher fails in any way except a mismatch: then the password is neither right nor wrong.
        """
        self._learn()
        return self._guarded(self._compare, stored, password)

    def check(self, stored: str) -> str:
        """The name of the system that made a hash; "" for argon2.

        Raises `HashRejected` for a text that no password can be compared with. Computes no hash.
        """
        legacy = self._read(stored)
        return "" if legacy is None else self._legacy.name_of(stored)

    def accepted(self, stored: str | None) -> str | None:
        """The hash that an account gets for one that another system made; None for no password.

        Raises `HashRejected`.
        """
        if stored is None or is_no_password(stored):
            return None
        self.check(stored)
        return stored

    def readable(self, stored: str | None) -> bool:
        """Whether a password can be compared with the text; True for an account without a password."""
        try:
            return is_no_password(stored) or self.check(stored or "") is not None
        except HashRejected:
            return False

    def length(self) -> int:
        """How many characters a new hash has."""
        return len(self._dummy_hash)

    def survey(self) -> Iterator[tuple[str, HashRejected | None]]:
        """The systems that made the hashes of the store, each once with its problem. Raises `StoreUnavailable`."""
        found: dict[str, tuple[str, HashRejected | None]] = {}
        for stored in samples(self._users, self._beginning_of):
            if is_no_password(stored):
                continue
            try:
                name = self.check(stored)
                found.setdefault(name, (name, None))
            except HashRejected as problem:
                found.setdefault(str(problem), (problem.kind, problem))
        yield from found.values()

    def hash(self, password: str) -> str:
        """A new hash with today's parameters and a salt of its own.

        Raises `Busy` after five seconds without a slot, and `HashingFailed`.
        """
        with self.hash_pool.slot(time.monotonic() + 5):
            return self._guarded(self._hasher.hash, normalized(password))

    def derive(self, text: str, salt: bytes) -> bytes:
        """32 bytes from a text and a salt of 16 bytes, by argon2id. Costs as much as a password.

        The parameters are this package's own, whatever hasher the host app has, so a new hasher ends no backup code.
        The caller holds no slot of `hash_pool`. Raises `Busy` after five seconds without one, and `HashingFailed`.
        """
        memory, passes = (8, 1) if self._for_tests else (MEMORY_KIB, PASSES)
        with self.hash_pool.slot(time.monotonic() + 5):
            return self._guarded(_derived, text.encode(), salt, passes, memory)

    def outdated(self, stored: str) -> bool:
        """Whether a stored hash has other parameters than today's, so that a correct password should be rehashed.

        Raises `HashingFailed`.
        """
        try:
            return self._read(stored) is not None or bool(self._hasher.check_needs_rehash(stored))
        except Exception as problem:
            raise _failed(problem) from None

    def _guarded(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Run `call` on the hash pool. Raises `HashingFailed` for whatever it raises."""
        try:
            return self.hash_pool.run(call, *arguments)
        except StoreUnavailable:
            raise
        except Exception as problem:
            raise _failed(problem) from None

    def _compare(self, stored: str | None, typed: str) -> bool:
        """Compare the password with the stored hash, and with a specimen of each other kind. Runs on the pool."""
        legacy, kind, password = None, None, normalized(typed)
        try:
            legacy = None if stored is None or is_no_password(stored) else self._read(stored)
            kind = kind_of(stored or self._dummy_hash) if legacy is None else None
        except HashRejected as problem:
            self._legacy.tell(problem)
        if legacy is not None:
            self._legacy.meet(legacy)
            if legacy.matches(typed):
                return True
        compared = (stored or self._dummy_hash) if kind else self._dummy_hash
        self._kinds.meet(kind or self._kinds.today)
        if _matches(self._hasher, compared, password) and compared is stored:
            return True
        for specimen in self._kinds.specimens(without=kind or self._kinds.today):
            _matches(self._plain, specimen, password)
        self._legacy.make_up(legacy, typed)
        return False

    def _read(self, stored: str) -> LegacyHash | None:
        """The legacy hash, None for a hash of argon2. Raises `HashRejected`.

        A hash with today's parameters is today's. Another argon2 hash may be one of Flask-Security, whose passwords are
        digests: so the legacy hashers see it first.
        """
        kind = kind_of(stored)
        if kind == self._kinds.today:
            return None
        try:
            return self._legacy.read(stored)
        except HashRejected as problem:
            if problem.reason != "unknown_kind" or (kind is None and not stored.startswith(ARGON2)):
                raise
            if kind is None:
                raise HashRejected("argon2", "broken", "Its users sign in after a reset by mail") from None
            return None

    def _beginning_of(self, stored: str) -> str:
        """The text that hashes of the same kind as this one begin with."""
        if is_no_password(stored):
            return stored[:1]
        try:
            legacy, kind = self._read(stored), kind_of(stored)
        except HashRejected:
            return stored[:_LOOKS]
        return legacy.beginning if legacy else kind.settings if kind else stored

    def _learn(self) -> None:
        """Look for the kinds of hashes in the store, once a process, and again after a minute if that failed."""
        state = self._learning.get()
        with state.lock:
            if time.monotonic() < state.due:
                return
            state.due = math.inf
            try:
                for stored in samples(self._users, self._beginning_of):
                    self._meet(stored)
            except Exception as problem:
                state.due = time.monotonic() + _AGAIN_AFTER
                _log.warning("the store was not asked for its kinds of hashes: %s", type(problem).__qualname__)

    def _meet(self, stored: str) -> None:
        """Remember the kind of a hash, or tell that no password can be compared with it."""
        if is_no_password(stored):
            return
        try:
            legacy, kind = self._read(stored), kind_of(stored)
        except HashRejected as problem:
            self._legacy.tell(problem)
            return
        if legacy is not None:
            self._legacy.meet(legacy)
        elif kind is not None:
            self._kinds.meet(kind)


class _Learning:
    """Whether a process has asked its store. `due` is on `time.monotonic`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.due = 0.0


def _matches(hasher: PasswordHasher, stored: str, password: str | bytes) -> bool:
    """Whether the password fits. Raises every exception of the hasher except a mismatch."""
    try:
        return bool(hasher.verify(stored, password))
    except VerifyMismatchError:
        return False


def matches_argon2(stored: str, password: bytes) -> bool:
    """Whether the argon2 hash of another system, which `kind_of` has read, is of these bytes."""
    return _matches(argon2.PasswordHasher(), stored, password)


def _derived(text: bytes, salt: bytes, passes: int, memory_kib: int) -> bytes:
    return argon2.low_level.hash_secret_raw(text, salt, passes, memory_kib, LANES, 32, argon2.Type.ID)


def _failed(problem: Exception) -> HashingFailed:
    """The exception to raise instead, after a line in the log.

    It names the type, and the reason if that is one of argon2's own: another text may quote the password.
    """
    reason = type(problem).__qualname__
    if str(problem) in _ARGON2_REASONS:
        reason = f"{reason} ({problem})"
    _log.error("the password hasher failed: %s", reason)
    return HashingFailed(f"the password hasher failed: {reason}")


def _kind_of_today(sample: str) -> Kind:
    """The kind of the hashes that the hasher makes. Raises `ConfigError`."""
    kind = kind_of(sample)
    if kind is None:
        raise ConfigError("hasher", "makes hashes that cannot be read back", _HINT)
    return kind


def _parameters(stored: str) -> argon2.Parameters | None:
    """The parameters of an argon2 hash, None for any other text."""
    try:
        return argon2.extract_parameters(stored)
    except (InvalidHashError, ValueError):
        return None


def _check_parameters(sample: str) -> None:
    """Raise `ConfigError` below OWASP's minimum: 19 MiB with two passes, or 46 MiB with one."""
    found = _parameters(sample)
    if found is None or found.type is not argon2.Type.ID:
        raise ConfigError("hasher", "does not produce argon2id hashes", _HINT)
    if _is_fast_hasher(found):
        return
    strong = (found.memory_cost >= MEMORY_KIB and found.time_cost >= PASSES) or found.memory_cost >= 46 * 1024
    if not strong or found.salt_len < 16 or found.hash_len < 32:
        raise ConfigError("hasher", "produces hashes that are cheaper to guess than OWASP's minimum", _HINT)


def _is_fast_hasher(found: argon2.Parameters | None) -> bool:
    return found == argon2.extract_parameters(FastHasher().hash(""))
