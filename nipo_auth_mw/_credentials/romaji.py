"""One spelling for all romanisations of Japanese, and kana as romaji.

さとう is typed `satou`, `sato`, `satoh` or `satoo`, and しんじ `shinji` or `sinzi`. Passwords and words are compared in
one spelling: that of ISO 3602 (kunrei), without long vowels.
"""

from __future__ import annotations

import re
import unicodedata

_ROWS = {
    "": "あいうえお",
    "k": "かきくけこ",
    "s": "さしすせそ",
    "t": "たちつてと",
    "n": "なにぬねの",
    "h": "はひふへほ",
    "m": "まみむめも",
    "y": "や\0ゆ\0よ",
    "r": "らりるれろ",
    "w": "わ\0\0\0\0",
    "g": "がぎぐげご",
    "z": "ざじずぜぞ",
    "d": "だ\0\0でど",
    "b": "ばびぶべぼ",
    "p": "ぱぴぷぺぽ",
    "^": "ぁぃぅぇぉ",
    "^y": "ゃ\0ゅ\0ょ",
}
_PLAIN = {
    **{ord(kana): row + vowel for row, line in _ROWS.items() for vowel, kana in zip("aiueo", line, strict=True)},
    **{ord(kana): text for kana, text in {"ぢ": "zi", "づ": "zu", "を": "o", "ん": "n", "ゔ": "bu", "ー": ""}.items()},
    0: "",
    **{ord(long): vowel for long, vowel in zip("āīūēōâîûêô", "aiueo" * 2, strict=True)},
}
_HIRAGANA = {katakana: katakana - 0x60 for katakana in range(0x30A1, 0x30F7)}

# Hepburn and what word processors accept; the longer spellings first.
_SPELLINGS = (
    ("shi", "si"),
    ("sh", "sy"),
    ("cch", "tch"),
    ("chi", "ti"),
    ("ch", "ty"),
    ("tsu", "tu"),
    ("ts", "t"),
    ("dz", "z"),
    ("ji", "zi"),
    ("jy", "zy"),
    ("j", "zy"),
    ("di", "zi"),
    ("du", "zu"),
    ("wo", "o"),
    ("mb", "nb"),
    ("mp", "np"),
    ("mm", "nm"),
    ("nn", "n"),
)
_SOUNDS = str.maketrans("lvfcq", "rbhkk", "'")
_SILENT_H = re.compile("(?<=[ou])h(?![aiueo])")
_LONG = re.compile(r"([aiue])\1+|(o)[ou]+")


def romaji(text: str) -> str:
    """The text in small letters, with half-width signs, and with its kana as romaji. Other characters stay.

    Folds with NFKC: the caller has checked the length.
    """
    plain = unicodedata.normalize("NFKC", text).lower().translate(_HIRAGANA).translate(_PLAIN)
    # A small kana replaces the vowel before it: し and ゃ are `sya`, ふ and ぁ are `ha`. っ doubles a consonant.
    joined = re.sub("[iue]?[\\^]", "", plain)
    return re.sub("っ([a-z]?)", r"\1\1", joined)


def one_spelling(word: str) -> str:
    """The word in the spelling in which words are compared. `word` is in small letters."""
    for given, meant in _SPELLINGS:
        word = word.replace(given, meant)
    return _LONG.sub(r"\1\2", _SILENT_H.sub("", word.translate(_SOUNDS)))
