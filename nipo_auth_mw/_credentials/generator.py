"""Random passwords that an administrator gives to a user."""

from __future__ import annotations

import hashlib
import secrets

from nipo_auth_mw.config import PasswordPolicy

# Letters and digits that no reader takes for another: without 0 and o, 1, i and l.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_MIN_CHARACTERS = 16


def generate_password(policy: PasswordPolicy, seed: bytes | None = None) -> str:
    """A password for the user to replace: more than 78 random bits, easy to read aloud and to type.

    Groups of four characters, joined by dashes, within the policy's lengths. One seed gives one password: it must hold
    32 bytes that no attacker can guess. Without a seed the password is random.
    """
    length = max(_MIN_CHARACTERS, policy.min_length)
    stream = hashlib.shake_256(seed or secrets.token_bytes(32)).digest(4 * length + 64)
    # Bytes above the last whole multiple of the alphabet would make its first characters likelier.
    even = [byte for byte in stream if byte < 256 - 256 % len(_ALPHABET)]
    characters = [_ALPHABET[byte % len(_ALPHABET)] for byte in even[:length]]
    grouped = "-".join("".join(characters[start : start + 4]) for start in range(0, length, 4))
    return grouped[: policy.max_length]
