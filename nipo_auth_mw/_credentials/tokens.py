"""Signed tokens and keyed digests, each under a key for its purpose alone. The only module that imports itsdangerous.

A subkey per purpose and realm makes a token signed for one purpose worthless for every other (ASVS 5 11.1.2).
Signatures are HMAC-SHA-256, because the default of itsdangerous is SHA-1 (ASVS 5 11.4.1). The secret keys are in order,
newest first: the first key signs and all keys verify, so an administrator can replace a key without ending sessions
(ASVS 5 13.3.4).
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from collections.abc import Sequence

from itsdangerous import Signer
from itsdangerous.signer import SigningAlgorithm

# One step; `urlsafe_b64encode` and the removal of the padding take two thirds more.
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class _HmacSha256(SigningAlgorithm):
    """HMAC-SHA-256 in one call of OpenSSL."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


def subkeys(secrets: Sequence[str], purpose: str, realm: str = "") -> tuple[bytes, ...]:
    """One 32-byte key for each secret key, in the same order, for this purpose and realm alone."""
    label = f"nipo_auth_mw:{purpose}:{realm}".encode()
    return tuple(hmac.digest(secret.encode(), label, "sha256") for secret in secrets)


class SignedTokens:
    """Signs short ASCII texts as `text.signature`, and opens such tokens.

    Accepts only the canonical spelling of a signature. base64 leaves two bits of the last character unused, so a
    decoder would accept four spellings of one signature. This class compares the encoded texts, in constant time.
    """

    def __init__(self, secrets: Sequence[str], purpose: str, realm: str = "") -> None:
        keys = subkeys(secrets, purpose, realm)
        self._signer = Signer(keys[0], sep=".", key_derivation="none", algorithm=_HmacSha256())
        # Copying a keyed state takes two thirds of the time of keying a new one, and each request does it.
        self._keyed = tuple(hmac.new(key, digestmod="sha256") for key in keys)
        self.has_older_keys: bool = len(keys) > 1

    def sign(self, text: str) -> str:
        """The text and its signature under the newest key."""
        return self._signer.sign(text).decode("ascii")

    def open(self, value: str) -> str | None:
        """The signed text, or None unless one of the keys signed it. Never raises."""
        try:
            data, _, signature = value.encode("ascii").rpartition(b".")
        except UnicodeEncodeError:
            return None
        for keyed in self._keyed:
            mac = keyed.copy()
            mac.update(data)
            encoded = b2a_base64(mac.digest(), newline=False).translate(_URL_SAFE, b"=")
            if hmac.compare_digest(encoded, signature):
                return value[: len(data)]
        return None

    def renewed(self, value: str) -> str:
        """A token that `open` accepts, signed with the newest key."""
        return self.sign(value.rpartition(".")[0])

    def is_outdated(self, value: str) -> bool:
        """Whether an older key signed this token, which `open` accepts."""
        return self.has_older_keys and not hmac.compare_digest(self.renewed(value), value)


class KeyedDigests:
    """Keyed digests, for comparisons and as names of values that must stay unreadable, such as counters of addresses.

    A digest covers a sequence of parts and differs for any other sequence, however the parts are split.
    """

    def __init__(self, secrets: Sequence[str], purpose: str, realm: str = "") -> None:
        self._keys = subkeys(secrets, purpose, realm)

    def digest(self, *parts: object, key: int = 0) -> str:
        """64 hexadecimal characters under the newest key, or under the key with this number."""
        return hmac.digest(self._keys[key], repr(parts).encode("utf-8", "backslashreplace"), "sha256").hex()

    def digests(self, *parts: object) -> tuple[str, ...]:
        """The digests under all keys, newest first."""
        data = repr(parts).encode("utf-8", "backslashreplace")
        return tuple(hmac.digest(key, data, "sha256").hex() for key in self._keys)

    @property
    def names(self) -> tuple[str, ...]:
        """An identifier for each key, newest first. It reveals nothing about the key."""
        return tuple(hmac.digest(key, b"name", "sha256").hex()[:8] for key in self._keys)

    def key_of(self, start: str, *parts: object) -> int | None:
        """The number of the key under which a digest of these parts begins with `start`, in constant time for each key;
        None for no key. Never raises: `start` may be a text that an attacker wrote into a table."""
        data, given = repr(parts).encode("utf-8", "backslashreplace"), start.encode("utf-8", "backslashreplace")
        digests = (hmac.digest(key, data, "sha256").hex().encode()[: len(given)] for key in self._keys)
        return next((number for number, one in enumerate(digests) if hmac.compare_digest(one, given)), None)

    def matches(self, digest: str, *parts: object) -> bool:
        """Whether `digest` is of these parts under any of the keys; in constant time for each key. Never raises."""
        return len(digest) == 64 and self.key_of(digest, *parts) is not None
