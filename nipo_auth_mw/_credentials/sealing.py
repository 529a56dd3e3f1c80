"""Secrets that the package has to read back, sealed before a store sees them. The only module that imports the ciphers
of cryptography for them.

AES-256-GCM (NIST SP 800-38D; ASVS 5 11.3.2) under a subkey for one purpose, with a random nonce of 96 bits. What a
secret is for is its associated data, so a sealed secret that was moved to another row opens nothing. Without a realm,
since two realms may share one store. The secret keys are in order, newest first: the newest seals, all open (ASVS 5
13.3.4).
"""

from __future__ import annotations

import base64
import json
import secrets as randomness
from collections.abc import Sequence

from nipo_auth_mw._credentials.tokens import KeyedDigests, subkeys

_NONCE = 12
_MAX_LENGTH = 2000


class Sealing:
    """Seals and opens the secrets of one purpose. Needs the extra `nipo_auth_mw[two-step]`."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._names = KeyedDigests(secrets, f"{purpose} name").names
        self._keys = dict(zip(self._names, subkeys(secrets, purpose), strict=True))

    def seal(self, plain: bytes, *about: str) -> str:
        """The secret under the newest key, bound to the texts `about`. Letters, digits, `-`, `_`, `=` and one dot."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, nonce = self._names[0], randomness.token_bytes(_NONCE)
        sealed = AESGCM(self._keys[name]).encrypt(nonce, plain, _bound(about))
        return f"{name}.{_packed(nonce + sealed)}"

    def open(self, sealed: str, *about: str) -> bytes | None:
        """The secret; None for a changed text, for other texts `about`, and for a key that is not ours. Never raises.

        Accepts only the canonical spelling.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, _, packed = sealed.partition(".")
        if name not in self._keys or len(sealed) > _MAX_LENGTH:
            return None
        try:
            raw = base64.urlsafe_b64decode(packed)
            plain = AESGCM(self._keys[name]).decrypt(raw[:_NONCE], raw[_NONCE:], _bound(about))
        except (InvalidTag, ValueError):
            return None
        return plain if _packed(raw) == packed else None

    def outdated(self, sealed: str) -> bool:
        """Whether another key than the newest sealed it."""
        return sealed.partition(".")[0] != self._names[0]


def _packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii")


def _bound(about: tuple[str, ...]) -> bytes:
    """The texts as associated data, which differ for any other sequence of texts."""
    return json.dumps(about).encode("ascii")
