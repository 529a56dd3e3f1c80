"""How passwords are stored and verified. The only module that imports argon2-cffi.

argon2id with OWASP's 19 MiB, t=2, p=1 (Password Storage Cheat Sheet; ASVS 5 11.4.2), over the NFC form of the password.
The caller has checked the length: see `policy`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import argon2
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from nipo_auth_mw._credentials.hash_kinds import FOREIGN, HashKinds, Kind, kind_of
from nipo_auth_mw._credentials.hash_pool import HashPool
from nipo_auth_mw._credentials.policy import normalized
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw.errors import ConfigError, HashingFailed, StoreUnavailable
from nipo_auth_mw.protocols import PasswordHasher

_log = logging.getLogger("nipo_auth_mw")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
_AGAIN_AFTER = 60.0
_HINT = "Use argon2.PasswordHasher(2, 19456, 1) or more. In tests, use nipo_auth_mw.testing.fast_hasher()."
_ARGON2_REASONS = frozenset(argon2.low_level.error_to_str(number) for number in range(-40, 0))
_DUMMY_PASSWORD = "no account has this password"  # noqa: S105  # nosec B105


class FastHasher(argon2.PasswordHasher):
    """Real argon2id with its smallest parameters, for test suites. The only accepted hasher below OWASP's minimum.

    `PasswordHashing` recognises it by the odd lengths in its hashes, so a test's wrapper around it is accepted, too.
    """

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1, hash_len=33, salt_len=17)


class PasswordHashing:
    """Hashes and verifies passwords. Built once; the construction takes the time of one hash.

    `users` is asked for the kinds of its hashes before the first check of a process. Raises `ConfigError` for a hasher
    below OWASP's minimum.
    """

    def __init__(self, hasher: PasswordHasher | None = None, users: object = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._plain = argon2.PasswordHasher()
        self.hash_pool: HashPool = HashPool()
        with self.hash_pool.slot(time.monotonic()):
            self._dummy_hash = self._hasher.hash(_DUMMY_PASSWORD)
        _check_parameters(self._dummy_hash)
        self._users = users
        self._kinds = HashKinds(_kind_of_today(self._dummy_hash))
        self._learning = PerProcess(_Learning)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the stored hash is of this password. The caller holds a slot of `hash_pool`.

        Asks the hasher once: about the stored hash, or about a dummy hash if there is none (None) or if argon2 could
        not read it. A wrong password is then compared with a specimen of every other kind of hash in the store, so the
        time does not reveal whether an account exists. Raises `HashingFailed` if the hasher fails in any way except a
        mismatch: then the password is neither right nor wrong.
        """
        self._learn()
        return self._guarded(self._compare, stored, normalized(password))

    def hash(self, password: str) -> str:
        """A new hash with today's parameters and a salt of its own.

        Raises `Busy` after five seconds without a slot, and `HashingFailed`.
        """
        with self.hash_pool.slot(time.monotonic() + 5):
            return self._guarded(self._hasher.hash, normalized(password))

    def outdated(self, stored: str) -> bool:
        """Whether a stored hash has other parameters than today's, so that a correct password should be rehashed.

        Raises `HashingFailed`.
        """
        try:
            return bool(self._hasher.check_needs_rehash(stored))
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

    def _compare(self, stored: str | None, password: str) -> bool:
        """Compare the password with the stored hash, and with a specimen of each other kind. Runs on the pool."""
        compared = stored or self._dummy_hash
        kind = kind_of(compared)
        if kind is None:
            compared, kind = self._dummy_hash, self._kinds.today
        right = self._ask(compared, password)
        if right is None:
            self._kinds.forget(compared)
        else:
            self._kinds.meet(kind, compared)
        if right and compared is stored:
            return True
        for specimen in self._kinds.specimens(but=kind):
            _matches(self._plain, specimen, password)
        if kind != FOREIGN or right is None:
            self._ask_about_a_foreign_one(password)
        return False

    def _ask_about_a_foreign_one(self, password: str) -> None:
        """Ask the hasher about the first foreign text that it can read, for the time that this takes."""
        for foreign in self._kinds.foreign:
            if self._ask(foreign, password) is not None:
                return
            self._kinds.forget(foreign)

    def _ask(self, stored: str, password: str) -> bool | None:
        """Whether the hasher finds that the password fits; None if the hasher cannot read this foreign text."""
        try:
            return _matches(self._hasher, stored, password)
        except ValueError:
            if kind_of(stored) == FOREIGN:
                return None
            raise

    def _learn(self) -> None:
        """Look for the kinds of hashes in the store, once a process, and again after a minute if that failed."""
        state = self._learning.get()
        with state.lock:
            if time.monotonic() < state.due:
                return
            state.due = math.inf
            try:
                self._kinds.learn(self._users)
            except Exception as problem:
                state.due = time.monotonic() + _AGAIN_AFTER
                _log.warning("the store was not asked for its kinds of hashes: %s", type(problem).__qualname__)


class _Learning:
    """Whether a process has asked its store. `due` is on `time.monotonic`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.due = 0.0


def _matches(hasher: PasswordHasher, stored: str, password: str) -> bool:
    """Whether the password fits. Raises every exception of the hasher except a mismatch."""
    try:
        return bool(hasher.verify(stored, password))
    except VerifyMismatchError:
        return False


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
    if kind is None or kind == FOREIGN:
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


def _is_fast_hasher(found: argon2.Parameters) -> bool:
    return found == argon2.extract_parameters(FastHasher().hash(""))
