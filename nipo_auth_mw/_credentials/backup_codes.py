"""Backup codes: the way in for a user who has lost the app and every passkey (NIST SP 800-63B-4 4.2.1.1).

Ten codes of 65 random bits. A store has argon2id of each, with one salt for the set, under a key of ours, so that a
guess costs one hash and a stolen table is worthless (ASVS 5 6.5.2 to 6.5.4).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from nipo_auth_mw._credentials.hashing import PasswordHashing
from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw._credentials.typed_codes import plain

CODES = 10
_LENGTH = 13
_SALT_BYTES = 16
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LOOK_ALIKES = str.maketrans("oil", "011")


def new_codes() -> list[str]:
    """A new set of ten codes, as a page shows them: `xxxx-xxxx-xxxxx`."""
    codes = ("".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(CODES))
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def normalised(text: str) -> str | None:
    """The 13 characters of a code as it was typed; None for a text that is none, which needs no hash.

    Upper case, full width, blanks and hyphens make no difference, nor do o, i and l in place of 0, 1 and 1, which no
    code has.
    """
    code = plain(text).lower().translate(_LOOK_ALIKES)
    return code if len(code) == _LENGTH and set(code) <= set(_ALPHABET) else None


class BackupCodes:
    """Makes and compares the stored digests: salt, name of the key and digest, in hexadecimal with `$` between them.

    `keyed` has a key for them alone. Its name tells which codes are valid, and which end with an older key.
    """

    def __init__(self, hashing: PasswordHashing, keyed: KeyedDigests) -> None:
        self._hashing = hashing
        self._keyed = keyed

    def hashes(self, codes: Sequence[str], user_id: str) -> list[str]:
        """The digests of a new set of an account, with a salt of its own. Costs one hash a code.

        Raises `Busy` after five seconds without a slot of the hash pool, `HashingFailed`, and `ValueError` for a text
        that is no code.
        """
        salt = secrets.token_bytes(_SALT_BYTES)
        return [self._hash(code, salt, user_id)[0] for code in codes]

    def find(self, stored: Sequence[str], text: str, user_id: str) -> str | None:
        """The stored digest of this code, under any of the keys; None for no code of this account.

        Costs one hash for a text of a code's form while codes are left, and none otherwise. Raises `Busy` and
        `HashingFailed`.
        """
        code, salt = normalised(text), _salt_of(stored)
        if code is None or salt is None:
            return None
        digests = self._hash(code, salt, user_id)
        pairs = [(one, digest) for one in stored for digest in digests]
        return next((one for one, digest in pairs if hmac.compare_digest(one.encode(), digest.encode())), None)

    def valid(self, stored: Sequence[str]) -> list[str]:
        """The stored digests that were made under one of our keys."""
        return [one for one in stored if _key_of(one) in self._keyed.names]

    def of_older_keys(self, stored: Sequence[str]) -> list[str]:
        """Those of them that end with an older key."""
        return [one for one in self.valid(stored) if _key_of(one) != self._keyed.names[0]]

    def _hash(self, code: str, salt: bytes, user_id: str) -> tuple[str, ...]:
        """The digests of a code under all keys, newest first."""
        plain_code = normalised(code)
        if plain_code is None:
            raise ValueError("not a backup code")
        derived = self._hashing.derive(plain_code, salt).hex()
        named = zip(self._keyed.names, self._keyed.digests(derived, user_id), strict=True)
        return tuple(f"{salt.hex()}${name}${digest}" for name, digest in named)


def _key_of(stored: str) -> str:
    """The name of the key of a stored digest."""
    return stored.partition("$")[2].partition("$")[0]


def _salt_of(stored: Sequence[str]) -> bytes | None:
    """The salt of a set; None for no set. A row that was planted with a salt of its own costs no further hash."""
    for one in stored:
        try:
            salt = bytes.fromhex(one.partition("$")[0])
        except ValueError:
            continue
        if len(salt) == _SALT_BYTES:
            return salt
    return None
