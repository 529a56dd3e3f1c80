"""Random passwords that an administrator gives to a user."""

from __future__ import annotations

import secrets

from nipo_auth_mw.config import PasswordPolicy

# Letters and digits that no reader takes for another: without 0 and o, 1, i and l.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_MIN_CHARACTERS = 16


def generate_password(policy: PasswordPolicy) -> str:
    """A password for the user to replace: more than 78 random bits, easy to read aloud and to type.

    Groups of four characters, joined by dashes, within the policy's lengths.
    """
    length = max(_MIN_CHARACTERS, policy.min_length)
    characters = [secrets.choice(_ALPHABET) for _ in range(length)]
    grouped = "-".join("".join(characters[start : start + 4]) for start in range(0, length, 4))
    return grouped[: policy.max_length]
