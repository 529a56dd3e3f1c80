"""Links that cancel a change of address. The store keeps a hash of each link's secret, and nothing to make a link from.

A secret is a keyed digest of a nonce, so the link can be made later, when its mail is sent: the outbox keeps the nonce,
which is worthless without the server's secret key.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from nipo_auth_mw._credentials.tokens import KeyedDigests, SignedTokens


class CancelLinks:
    """Makes and opens the tokens of cancel links. `signed` and `keyed` have keys for this purpose alone."""

    def __init__(self, signed: SignedTokens, keyed: KeyedDigests) -> None:
        self._signed = signed
        self._keyed = keyed

    def prepare(self) -> tuple[str, str]:
        """A new nonce, and the key under which the store keeps the change."""
        nonce = secrets.token_hex(16)
        return nonce, _key(self._keyed.digest(nonce))

    def make(self, nonce: str, is_stored: Callable[[str], bool]) -> str | None:
        """The token of this nonce; None if the store has its change no more.

        `is_stored` tells whether the store has a change with this key: the secret key may be another than at `prepare`.
        """
        secret = next((secret for secret in self._keyed.digests(nonce) if is_stored(_key(secret))), None)
        return None if secret is None else self._signed.sign(secret)

    def key_of(self, token: str) -> str | None:
        """The key of the change that a token cancels, or None for a forged one."""
        secret = self._signed.open(token)
        return None if secret is None else _key(secret)


def _key(secret: str) -> str:
    """The secret has 256 bits that an attacker cannot guess, so its plain hash tells nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
