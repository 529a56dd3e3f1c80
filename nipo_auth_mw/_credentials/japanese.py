"""How many guesses a password of Japanese names and words takes. zxcvbn knows none of them.

The word list was made for this package: `japanese_words.txt` holds surnames, given names, places, and words that
people choose as passwords, in any common romanisation.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import chain
from pathlib import Path

from nipo_auth_mw._credentials.romaji import one_spelling, romaji

GUESSABLE_BELOW = 10**9
"""Guesses. Two listed words with a birthday take fewer; three listed words do not."""

_WORD, _OWN = 1000, 10
_SHORTEST, _LONGEST = 3, 24
_SHORTEST_LEET, _LEET_TRIES = 4, 10
_SEPARATOR, _SIGN, _STRAY = 3, 26, 1000
_LEET = str.maketrans("01345790@$!", "oieastgoasi")
_LETTERS = re.compile("[a-z']+")
_REPEATED = re.compile(r"(.+?)\1+", re.DOTALL)
_COUNTED = re.compile(r"0?(1|12|123|1234|12345|123456|1234567|12345678)|(.)\2*")
_YEAR = re.compile("19[3-9][0-9]|20[0-4][0-9]")
_DAY = "(0?[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
_BIRTHDAY = re.compile(_DAY)
_DATE = re.compile(f"(19|20)?[0-9]{{2}}{_DAY}")


def guesses(password: str, about: Collection[str] = ()) -> int:
    """The guesses that the cheapest reading of the password takes, at most `GUESSABLE_BELOW`.

    A reading divides it into words, words of `about`, figures and single characters, with one word at least. Width,
    case, kana, look-alike figures and the romanisation do not matter. `about` holds the account's names and addresses,
    in kana or romaji. The caller has checked the length.
    """
    text = romaji(password)
    if repeated := _REPEATED.fullmatch(text):
        text = repeated[1]
    own = _words_of(about)
    # The cheapest readings up to each place: without a word, and with one.
    without, cheapest = [[GUESSABLE_BELOW] * (len(text) + 1) for _ in range(2)]
    without[0] = 1
    for start in range(len(text)):
        if min(without[start], cheapest[start]) >= GUESSABLE_BELOW:
            continue
        for end in range(start + 1, min(len(text), start + _LONGEST) + 1):
            part = text[start:end]
            if factor := _of_word(part, own):
                cheapest[end] = min(cheapest[end], min(without[start], cheapest[start]) * factor)
            elif factor := _of_filling(part):
                without[end] = min(without[end], without[start] * factor)
                cheapest[end] = min(cheapest[end], cheapest[start] * factor)
    return cheapest[-1]


def _of_word(part: str, own: Collection[str]) -> int:
    """By how much this part multiplies the guesses as a word; 0 if it is none."""
    if len(part) < _SHORTEST:
        return 0
    if _LETTERS.fullmatch(part):
        word, tries = one_spelling(part), 1
    else:
        letters = part.translate(_LEET)
        replaced = sum(one != other for one, other in zip(part, letters, strict=True))
        # Random figures beside random letters would often pass for a short word.
        if part[0].isdigit() or 2 * replaced >= len(part) or not _LETTERS.fullmatch(letters):
            return 0
        word, tries = one_spelling(letters), _LEET_TRIES**replaced
        if len(word) < _SHORTEST_LEET:
            return 0
    return tries * (_OWN if word in own else _WORD if word in _listed() else 0)


def _of_filling(part: str) -> int:
    """By how much this part multiplies the guesses as figures or one other character; 0 if it is neither."""
    if part.isdigit():
        return _of_figures(part)
    if len(part) > 1:
        return 0
    return _SEPARATOR if part in " -_." else _SIGN if part in "!?@#$%&*+/=~^" else _STRAY


def _of_figures(part: str) -> int:
    """1, 12, 123, 777 come first, then years, birthdays, dates, and then all figures of this length."""
    if _COUNTED.fullmatch(part):
        return 10
    if _YEAR.fullmatch(part):
        return 50
    if _BIRTHDAY.fullmatch(part):
        return 366
    if _DATE.fullmatch(part):
        return 30_000
    return int(10 ** len(part))


def _words_of(about: Collection[str]) -> frozenset[str]:
    """The account's own words, in the spelling that is compared."""
    words = {one_spelling(word) for text in about for word in re.findall("[a-z]+", romaji(text))}
    return frozenset(word for word in words if len(word) >= _SHORTEST)


@lru_cache(maxsize=1)
def _listed() -> frozenset[str]:
    """The word list, read when a process first sets a password. Many given names join a beginning and an ending."""
    text = Path(__file__).with_name("japanese_words.txt").read_text("utf-8")
    _, *sections = re.split("^# .*$", text, flags=re.MULTILINE)
    *lists, beginnings, endings = [section.split() for section in sections if section.strip()]
    names = [beginning + ending for beginning in beginnings for ending in endings]
    words = map(one_spelling, chain(names, *lists))
    return frozenset(word for word in words if len(word) >= _SHORTEST)
