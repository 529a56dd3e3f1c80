"""Signed values, each under a key of its own purpose: the one door of itsdangerous.

A subkey per purpose and realm (ASVS 5 11.1.2) makes a value signed for one use worthless for every other. Signatures
are HMAC-SHA-256 (itsdangerous' default is SHA-1; ASVS 5 11.4.1). The secret keys are given newest first: the first
signs, all of them verify, so that a key can be replaced without signing anybody out (ASVS 5 13.3.4).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from itsdangerous import Signer
from itsdangerous.encoding import base64_encode
from itsdangerous.signer import SigningAlgorithm


class _HmacSha256(SigningAlgorithm):
    """HMAC-SHA-256 in one call."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


def subkeys(secrets: Sequence[str], purpose: str, realm: str = "") -> tuple[bytes, ...]:
    """One 32-byte key a secret, newest first, for this purpose and realm alone."""
    label = f"nipo_auth_mw:{purpose}:{realm}".encode()
    return tuple(hmac.digest(secret.encode(), label, "sha256") for secret in secrets)


class Signed:
    """Signs short ASCII texts and takes them back: `text.signature`.

    Only the canonical spelling of a signature is taken. base64 leaves two bits of the last character unused, so a
    decoder would accept four spellings of one signature; here the texts themselves are compared, in constant time.
    """

    def __init__(self, secrets: Sequence[str], purpose: str, realm: str = "") -> None:
        keys = subkeys(secrets, purpose, realm)
        self._signer = Signer(keys[0], sep=".", key_derivation="none", algorithm=_HmacSha256())
        # Copying a keyed state costs two thirds of keying one, and each request walks here.
        self._keyed = tuple(hmac.new(key, digestmod="sha256") for key in keys)

    def sign(self, text: str) -> str:
        return self._signer.sign(text).decode("ascii")

    def open(self, value: str) -> str | None:
        """The text inside, or None for anything we did not sign. Never raises."""
        try:
            data, _, signature = value.encode("ascii").rpartition(b".")
        except UnicodeEncodeError:
            return None
        for keyed in self._keyed:
            mac = keyed.copy()
            mac.update(data)
            if hmac.compare_digest(base64_encode(mac.digest()), signature):
                return value[: len(data)]
        return None


class Keyed:
    """Keyed digests for comparing and for names of things that must not be readable, such as a counter's key."""

    def __init__(self, secrets: Sequence[str], purpose: str, realm: str = "") -> None:
        self._keys = subkeys(secrets, purpose, realm)

    def digest(self, *parts: object) -> str:
        """64 hexadecimal characters under the newest key. The parts are told apart whatever they hold."""
        return hmac.digest(self._keys[0], repr(parts).encode("utf-8", "backslashreplace"), "sha256").hex()

    @property
    def names(self) -> tuple[str, ...]:
        """What each key is called, newest first; tells nothing about it."""
        return tuple(hmac.digest(key, b"name", "sha256").hex()[:8] for key in self._keys)

    def begins(self, start: str, *parts: object) -> bool:
        """Whether a digest of these parts under any of the keys begins so; in constant time for each key."""
        data = repr(parts).encode("utf-8", "backslashreplace")
        made = (hmac.digest(key, data, "sha256").hex()[: len(start)] for key in self._keys)
        return any(hmac.compare_digest(one, start) for one in made)

    def matches(self, digest: str, *parts: object) -> bool:
        """Whether `digest` was made of these parts under any of the keys; in constant time for each key."""
        data = repr(parts).encode("utf-8", "backslashreplace")
        return any(hmac.compare_digest(hmac.digest(key, data, "sha256").hex(), digest) for key in self._keys)
