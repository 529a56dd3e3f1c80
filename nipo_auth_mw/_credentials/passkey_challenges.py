"""The challenges of passkeys. A challenge is a signed token, so that nothing is stored for a visitor.

The authenticator signs it and the browser sends it back within the client data, so it needs no form field of its own.
A challenge is valid for one purpose and one subject, and for a few minutes. WebAuthn Level 3 section 13.4.3; ASVS
5 6.5.1.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from datetime import timedelta
from typing import Final, Literal, NamedTuple

from nipo_auth_mw._credentials.tokens import SignedTokens

Purpose = Literal["create", "login", "second", "confirm"]

CREATE_LASTS: Final = timedelta(minutes=5)
GET_LASTS: Final = timedelta(minutes=15)
_CLOCK_TOLERANCE = 300
_MOST_CHARACTERS = 256


class PasskeyRejected(Exception):
    """A credential that is not accepted. `reason` is a short word for the audit log; users see one text for all.

    `key` is that of `Rejected`.
    """

    def __init__(self, reason: str, key: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.key = key


class Challenge(NamedTuple):
    """A valid challenge. `nonce` names it, so that a flow can count it as used; `about` is what `make` was given."""

    nonce: str
    about: str


class PasskeyChallenges:
    """Makes and opens challenges. `signed` has keys for this purpose alone."""

    def __init__(self, signed: SignedTokens) -> None:
        self._signed = signed

    def make(self, purpose: Purpose, subject: str = "", about: str = "") -> str:
        """A challenge for the account with the id `subject`, or for any account.

        It has 128 random bits: the specification asks for at least 16 bytes. `about` is bound into it and consists of
        letters and digits.
        """
        made = int(time.time())
        return self._signed.sign(f"{purpose}.{made}.{secrets.token_urlsafe(16)}.{_digest(subject)}.{about}")

    def open(self, challenge: str, purpose: Purpose, subject: str = "") -> Challenge:
        """What a challenge for this purpose and subject says.

        Raises `PasskeyRejected`: `expired` for one that was valid, `challenge` for any other text. A clock that was set
        back by up to five minutes ends no challenge.
        """
        text = self._signed.open(challenge) if len(challenge) <= _MOST_CHARACTERS else None
        if text is None:
            raise PasskeyRejected("challenge")
        made_for, made, nonce, digest, about = text.split(".")
        if (made_for, digest) != (purpose, _digest(subject)):
            raise PasskeyRejected("challenge")
        age = time.time() - int(made)
        if not -_CLOCK_TOLERANCE <= age < lasts(purpose).total_seconds():
            raise PasskeyRejected("expired")
        return Challenge(nonce, about)


def lasts(purpose: Purpose) -> timedelta:
    """How long a challenge of this purpose is valid."""
    return CREATE_LASTS if purpose == "create" else GET_LASTS


def _digest(subject: str) -> str:
    """The id in a fixed length and alphabet, since a host app's ids may hold dots."""
    return hashlib.sha256(subject.encode()).hexdigest()[:32]
