"""How passwords are stored and verified. The only module that imports argon2-cffi.

argon2id with OWASP's 19 MiB, t=2, p=1 (Password Storage Cheat Sheet; ASVS 5 11.4.2), over the NFC form of the password.
The caller has checked the length: see `policy`.
"""

from __future__ import annotations

import time

import argon2
from argon2.exceptions import Argon2Error, InvalidHashError

from nipo_auth_mw._credentials.hash_pool import HashPool
from nipo_auth_mw._credentials.policy import normalized
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.protocols import PasswordHasher

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
_DUMMY_PASSWORD = "no account has this password"  # noqa: S105  # nosec B105


class FastHasher(argon2.PasswordHasher):
    """Real argon2id with its smallest parameters, for test suites. The only accepted hasher below OWASP's minimum.

    `PasswordHashing` recognises it by the odd lengths in its hashes, so a test's wrapper around it is accepted, too.
    """

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1, hash_len=33, salt_len=17)


class PasswordHashing:
    """Hashes and verifies passwords. Built once; the construction takes the time of one hash.

    Raises `ConfigError` for a hasher below OWASP's minimum.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self.hash_pool: HashPool = HashPool()
        with self.hash_pool.slot(time.monotonic()):
            self._dummy_hash = self._hasher.hash(_DUMMY_PASSWORD)
        _check_parameters(self._dummy_hash)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the stored hash is of this password. The caller holds a slot of `hash_pool`.

        Calls the hasher's `verify` exactly once. Without a stored hash (None), or with one that is no argon2 hash, it
        verifies a dummy hash and returns False. If the stored hash has cheaper parameters, a wrong password costs the
        difference in addition. So the time does not reveal whether an account exists (CVE-2024-39329, CVE-2025-13473).
        """
        known = stored is not None and _parameters(stored) is not None
        compared = stored if stored is not None and known else self._dummy_hash
        try:
            right = bool(self.hash_pool.run(self._hasher.verify, compared, normalized(password)))
        except (Argon2Error, InvalidHashError):
            right = False
        if not right:
            self._spend_difference(compared)
        return right and known

    def hash(self, password: str) -> str:
        """A new hash with today's parameters and a salt of its own. Raises `Busy` after five seconds without a slot."""
        with self.hash_pool.slot(time.monotonic() + 5):
            return self.hash_pool.run(self._hasher.hash, normalized(password))

    def outdated(self, stored: str) -> bool:
        """Whether a stored hash has other parameters than today's, so that a correct password should be rehashed."""
        return self._hasher.check_needs_rehash(stored)

    def _spend_difference(self, stored: str) -> None:
        """Spend the work that a stored hash with cheaper parameters saved against a hash with today's."""
        today, then = _parameters(self._dummy_hash), _parameters(stored)
        if today is None or then is None:
            return
        saved = today.memory_cost * today.time_cost - then.memory_cost * then.time_cost
        if saved > today.memory_cost // 4:
            memory = min(saved, today.memory_cost)
            self.hash_pool.run(argon2.PasswordHasher(round(saved / memory), memory, 1).hash, _DUMMY_PASSWORD)


def _parameters(stored: str) -> argon2.Parameters | None:
    """The parameters of an argon2 hash, None for any other text."""
    try:
        return argon2.extract_parameters(stored)
    except (InvalidHashError, ValueError):
        return None


def _check_parameters(sample: str) -> None:
    """Raise `ConfigError` below OWASP's minimum: 19 MiB with two passes, or 46 MiB with one."""
    hint = "Use argon2.PasswordHasher(2, 19456, 1) or more. In tests, use nipo_auth_mw.testing.fast_hasher()."
    found = _parameters(sample)
    if found is None or found.type is not argon2.Type.ID:
        raise ConfigError("hasher", "does not produce argon2id hashes", hint)
    if _is_fast_hasher(found):
        return
    strong = (found.memory_cost >= MEMORY_KIB and found.time_cost >= PASSES) or found.memory_cost >= 46 * 1024
    if not strong or found.salt_len < 16 or found.hash_len < 32:
        raise ConfigError("hasher", "produces hashes that are cheaper to guess than OWASP's minimum", hint)


def _is_fast_hasher(found: argon2.Parameters) -> bool:
    return found == argon2.extract_parameters(FastHasher().hash(""))
