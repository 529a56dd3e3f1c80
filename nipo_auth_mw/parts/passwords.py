"""What a password must be, and how one is kept and checked: the one door of argon2-cffi and zxcvbn.

argon2id with OWASP's 19 MiB, t=2, p=1 (Password Storage Cheat Sheet; ASVS 5 11.4.2). Lengths are checked before
anything else is done with the text, because Unicode normalisation is quadratic on long combining runs
(CVE-2023-46695); then NFC and nothing else (NIST SP 800-63B-4 3.1.1.2, RFC 8265).
"""

from __future__ import annotations

import math
import secrets
import time
import unicodedata

import argon2
from argon2.exceptions import Argon2Error, InvalidHashError

from nipo_auth_mw.config import PasswordPolicy
from nipo_auth_mw.errors import ConfigError, PasswordRejected
from nipo_auth_mw.parts.gate import Gate
from nipo_auth_mw.protocols import PasswordHasher

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
_LONGEST_GUESSED_AT = 72
_JUDGED = 40
"""Characters of a password that zxcvbn is shown at a time: what it costs grows with the square of them."""
# zxcvbn tries each of these for each letter it may stand for, all at once: 72 well-chosen characters cost 11 seconds.
_LOOK_ALIKES = ("4@", "({[<", "69", "1!|", "1|7", "$5", "+7")
_MOST_READINGS = 16
_ONE_OF_EACH = str.maketrans("@{[<!|$+", "4(((1157")
# Without what is mistaken for something else: 0 o, 1 i l.
_EASY = "abcdefghjkmnpqrstuvwxyz23456789"
_NOBODYS_PASSWORD = "nobody's password"  # noqa: S105  # nosec B105


class FastHasher(argon2.PasswordHasher):
    """Real argon2id at its smallest, for test suites alone: the only hasher below the minimum that is let in.

    It is known by the odd lengths in its hashes, so that a suite's spy around it is let in too.
    """

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1, hash_len=33, salt_len=17)


class Passwords:
    """Hashes, verifies and judges passwords. Built once; costs one hash at construction."""

    def __init__(self, policy: PasswordPolicy, hasher: PasswordHasher | None = None, site_name: str = "") -> None:
        self._policy = policy
        self._hasher = hasher or argon2.PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._site_words = [word for word in site_name.split() if word]
        self.gate = Gate()
        with self.gate.slot(time.monotonic()):
            self._nobodys = self._hasher.hash(_NOBODYS_PASSWORD)
        _check_parameters(self._nobodys)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one. Exactly one `verify` of the hasher, whatever `stored` is.

        For nobody (None) and for a hash that is no argon2 hash, a hash of nobody's password is verified instead, so
        that the time tells nothing about whether an account exists; a cheaper, older hash is made up for
        (CVE-2024-39329, CVE-2025-13473). The caller holds a slot of the gate.
        """
        known = stored is not None and _parameters(stored) is not None
        compared = stored if stored is not None and known else self._nobodys
        try:
            right = bool(self.gate.apart(self._hasher.verify, compared, _normal(password)))
        except (Argon2Error, InvalidHashError):
            right = False
        if not right:
            self._make_up_for(compared)
        return right and known

    def hash(self, password: str) -> str:
        """A new hash with the parameters of today, under a salt of its own."""
        with self.gate.slot(time.monotonic() + 5):
            return self.gate.apart(self._hasher.hash, _normal(password))

    def outdated(self, stored: str) -> bool:
        """Whether a right password should be hashed anew, since the parameters have risen."""
        return self._hasher.check_needs_rehash(stored)

    def hashable(self, password: str) -> bool:
        """Whether the text could be anybody's password here; what could not is a wrong one and hashes nothing."""
        return 0 < len(password) <= self._policy.max_length and _is_text(password)

    def check(self, password: str, *, about: tuple[str, ...] = ()) -> None:
        """Raises `PasswordRejected` for a password that may not be set. `about`: the account's address and name."""
        if len(password) < self._policy.min_length:
            raise PasswordRejected("too_short")
        if len(password) > self._policy.max_length:
            raise PasswordRejected("too_long")
        if not _is_text(password):
            raise PasswordRejected("not_text")
        if self._policy.refuse_guessable:
            _refuse_guessable(_normal(password), [*about, *self._site_words])

    def generate(self) -> str:
        """A password for somebody else to change: over 78 bits, easy to read out and to type."""
        length = max(16, self._policy.min_length)
        letters = [secrets.choice(_EASY) for _ in range(length)]
        parted = "-".join("".join(letters[start : start + 4]) for start in range(0, length, 4))
        return parted[: self._policy.max_length]

    def _make_up_for(self, stored: str) -> None:
        """Spend what verifying `stored` saved against a hash of today."""
        today, then = _parameters(self._nobodys), _parameters(stored)
        if today is None or then is None:
            return
        saved = today.memory_cost * today.time_cost - then.memory_cost * then.time_cost
        if saved > today.memory_cost // 4:
            memory = min(saved, today.memory_cost)
            self.gate.apart(argon2.PasswordHasher(round(saved / memory), memory, 1).hash, _NOBODYS_PASSWORD)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFC", password)


def _is_text(password: str) -> bool:
    """Lone surrogates are no text: they have no bytes to hash."""
    return not any("\ud800" <= character <= "\udfff" for character in password)


def _parameters(stored: str) -> argon2.Parameters | None:
    try:
        return argon2.extract_parameters(stored)
    except (InvalidHashError, ValueError):
        return None


def _check_parameters(sample: str) -> None:
    """OWASP's minimum: 19 MiB with two passes, or 46 MiB with one."""
    mend = "Use argon2.PasswordHasher(2, 19456, 1) or more; nipo_auth_mw.testing.fast_hasher() in tests."
    found = _parameters(sample)
    if found is None or found.type is not argon2.Type.ID:
        raise ConfigError("hasher", "does not make argon2id hashes", mend)
    if _parameters_of_tests(found):
        return
    strong = (found.memory_cost >= MEMORY_KIB and found.time_cost >= PASSES) or found.memory_cost >= 46 * 1024
    if not strong or found.salt_len < 16 or found.hash_len < 32:
        raise ConfigError("hasher", "is cheaper to guess at than OWASP's minimum", mend)


def _parameters_of_tests(found: argon2.Parameters) -> bool:
    return found == argon2.extract_parameters(FastHasher().hash(""))


def _refuse_guessable(password: str, about: list[str]) -> None:
    """Refuse below zxcvbn's score 2. A long password is guessable when its beginning and its end both are, and above 72
    characters only where it repeats itself."""
    shown = password if len(password) <= _JUDGED else _without_its_repetitions(password)
    if len(shown) > _LONGEST_GUESSED_AT:
        return
    # Imported here: its word lists cost 26 ms and 10 MiB, and only setting a password needs them.
    from zxcvbn import zxcvbn

    words = {part for text in about for part in [text, *text.replace("@", " ").replace(".", " ").split()] if part}
    inputs = [end for word in words for end in _ends(word)]
    judged = [zxcvbn(_readable(end), user_inputs=inputs) for end in _ends(shown)]
    if all(found["score"] < 2 for found in judged):
        feedback = judged[0]["feedback"]
        advice = [feedback["warning"], *feedback["suggestions"]]
        raise PasswordRejected("guessable", tuple(text for text in advice if text))


def _without_its_repetitions(text: str) -> str:
    """What the text repeats from its beginning to its end, as often as zxcvbn can be shown it whole; all of a text that
    repeats nothing. Cut in the middle of a word, a repeated one would seem to be unguessable."""
    period = next(period for period in range(1, len(text) + 1) if text.startswith(text[period:]))
    return text[:period] * max(1, _JUDGED // period)


def _ends(text: str) -> list[str]:
    """What zxcvbn is shown of a text: its beginning and its end, or all of a short one."""
    return [text] if len(text) <= _JUDGED else [text[:_JUDGED], text[-_JUDGED:]]


def _readable(text: str) -> str:
    """The text with fewer ways of reading it as letters, where there are many."""
    readings = math.prod(max(1, len(set(alike) & set(text))) for alike in _LOOK_ALIKES)
    return text.translate(_ONE_OF_EACH) if readings > _MOST_READINGS else text
