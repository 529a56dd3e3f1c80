"""The protocol of the verifiers of other systems' password hashes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from nipo_auth_mw.models import LegacyHash


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
