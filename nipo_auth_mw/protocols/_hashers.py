"""The protocols of password hashes: today's hasher, those of other systems, and the look at what a store holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from nipo_auth_mw.models import LegacyHash


@runtime_checkable
class HashSamples(Protocol):
    """Optional: the user store finds the kinds of its password hashes quickly. Otherwise up to 10,000 accounts of a
    `StaffDirectory` are looked at. A check costs the same for every address only if all kinds are known."""

    def hash_unlike(self, beginnings: Sequence[str], *, start: str) -> str | None:
        """A stored password hash that begins with `start` and with none of `beginnings`; None if there is none. Called
        a few times before the first check of a password in each process."""


@runtime_checkable
class PasswordHasher(Protocol):
    """The methods of argon2-cffi's `PasswordHasher` that the middleware calls."""

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        """A hash in PHC format under a new salt, or under `salt`."""

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:
        """Return a true value for the right password. For a wrong one return False or raise argon2-cffi's
        `VerifyMismatchError`. Any other exception is a failure, answered with 503 and not counted as a wrong password.
        """

    def check_needs_rehash(self, hash: str | bytes) -> bool:
        """Whether the parameters have risen since the hash was made."""


@runtime_checkable
class LegacyHasher(Protocol):
    """Reads the password hashes of one other system. `nipo_auth_mw.legacy` has those of widespread ones."""

    @property
    def name(self) -> str:
        """The system, for the log and for `nipo-auth check`."""

    def read(self, stored: str) -> LegacyHash | None:
        """The hash, or None for a text that this system did not write.

        Computes no hash. Raises `HashRejected` for a text of this system that is broken, or that asks for more work
        than a sign-in may take: a hostile row of an import must not stop the process.
        """
