"""What a password must be. The only module that imports zxcvbn.

Every function checks the length before it does anything else with the text, because Unicode normalisation takes
quadratic time on long runs of combining marks (CVE-2023-46695). There are no composition rules: length and
guessability are all that counts (NIST SP 800-63B-4 3.1.1.2; ASVS 5 6.2.5).
"""

from __future__ import annotations

import math
import unicodedata

from nipo_auth_mw._credentials import japanese
from nipo_auth_mw.config import PasswordPolicy
from nipo_auth_mw.errors import PasswordRejected

_MAX_ESTIMATED = 72
"""Characters. A longer password is estimated only as far as it repeats itself."""
_MAX_SHOWN = 40
"""Characters that zxcvbn gets in one call. Its time grows with the square of them."""
# zxcvbn tries all substitutions of these characters at once. 72 well-chosen characters would take it 11 seconds.
_LOOK_ALIKES = ("4@", "({[<", "69", "1!|", "1|7", "$5", "+7")
_MAX_READINGS = 16
_WITHOUT_LOOK_ALIKES = str.maketrans("@{[<!|$+", "4(((1157")


# Like zxcvbn's texts, these are keys of the catalogues.
_JAPANESE_ADVICE = (
    "Japanese names and words with a few figures are easy to guess.",
    "Join three or more words that have nothing to do with each other.",
)


class PasswordRules:
    """Decides which passwords an account may be given. `site_name` counts as guessable, too."""

    def __init__(self, policy: PasswordPolicy, site_name: str = "") -> None:
        self._policy = policy
        self._site_words = [word for word in site_name.split() if word]

    def hashable(self, password: str) -> bool:
        """Whether an account can have this password at all. If not, it is wrong, and the caller hashes nothing."""
        return 0 < len(password) <= self._policy.max_length and _is_text(password)

    def spellings(self, typed: str) -> list[str]:
        """What a typed password may be: itself, and itself without the blanks and line feeds at its ends, which come
        along when a password is copied (NIST SP 800-63B-4 3.1.1.2). Without those that no account can have."""
        trimmed = typed.strip()
        also = [trimmed] if trimmed != typed and len(trimmed) >= self._policy.min_length else []
        return [one for one in (typed, *also) if self.hashable(one)]

    def check(self, password: str, *, about: tuple[str, ...] = ()) -> None:
        """Raise `PasswordRejected` unless the password may be set. `about` holds the account's address and name.

        Lengths count code points before normalisation.
        """
        if len(password) < self._policy.min_length:
            raise PasswordRejected("too_short", limit=self._policy.min_length)
        if len(password) > self._policy.max_length:
            raise PasswordRejected("too_long", limit=self._policy.max_length)
        if not _is_text(password):
            raise PasswordRejected("not_text")
        if self._policy.refuse_guessable:
            known = [*about, *self._site_words]
            _refuse_japanese(normalized(password), known)
            _refuse_guessable(normalized(password), known)


def normalized(password: str) -> str:
    """The password in NFC, so that it is the same from every keyboard (RFC 8265). Nothing else is changed."""
    return unicodedata.normalize("NFC", password)


def _is_text(password: str) -> bool:
    """Whether the password has bytes to hash: lone surrogates have none."""
    return not any("\ud800" <= character <= "\udfff" for character in password)


def _refuse_japanese(password: str, about: list[str]) -> None:
    """Raise `PasswordRejected` if the password is a Japanese word or two, with a few figures and signs."""
    if japanese.guesses(password, about) < japanese.GUESSABLE_BELOW:
        raise PasswordRejected("guessable", _JAPANESE_ADVICE)


def _refuse_guessable(password: str, about: list[str]) -> None:
    """Raise `PasswordRejected` if zxcvbn scores the password below 2.

    A long password is guessable if both its beginning and its end are. Above 72 characters it is guessable only if it
    repeats itself.
    """
    shown = password if len(password) <= _MAX_SHOWN else _without_repetitions(password)
    if len(shown) > _MAX_ESTIMATED:
        return
    # Imported late: the word lists take 26 ms and 10 MiB, and only a process that sets a password needs them.
    from zxcvbn import zxcvbn

    words = {part for text in about for part in [text, *text.replace("@", " ").replace(".", " ").split()] if part}
    inputs = [end for word in words for end in _ends(word)]
    results = [zxcvbn(_with_few_readings(end), user_inputs=inputs) for end in _ends(shown)]
    if all(result["score"] < 2 for result in results):
        feedback = results[0]["feedback"]
        advice = [feedback["warning"], *feedback["suggestions"]]
        raise PasswordRejected("guessable", tuple(text for text in advice if text))


def _without_repetitions(text: str) -> str:
    """The part that the text repeats, as often as zxcvbn can be shown it whole; the text if it repeats nothing.

    A cut in the middle of a repeated word would make the word look unguessable.
    """
    period = next(period for period in range(1, len(text) + 1) if text.startswith(text[period:]))
    return text[:period] * max(1, _MAX_SHOWN // period)


def _ends(text: str) -> list[str]:
    """The beginning and the end of a text, each short enough for zxcvbn; the whole text if it is short."""
    return [text] if len(text) <= _MAX_SHOWN else [text[:_MAX_SHOWN], text[-_MAX_SHOWN:]]


def _with_few_readings(text: str) -> str:
    """The text, with its look-alikes replaced by one character each if zxcvbn would try too many substitutions."""
    readings = math.prod(max(1, len(set(alike) & set(text))) for alike in _LOOK_ALIKES)
    return text.translate(_WITHOUT_LOOK_ALIKES) if readings > _MAX_READINGS else text
