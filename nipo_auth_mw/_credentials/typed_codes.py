"""Codes as people type them: in groups, with hyphens, and at the width of a Japanese keyboard."""

from __future__ import annotations

_MAX_LENGTH = 64
_SEPARATORS = " \t\r\n\u00a0\u2007\u2009\u202f\u3000-\u2010\u2011\u2012\u2013\u2212\u30fc\uff70"
"""Blanks and hyphens. The key of a hyphen gives the long vowel mark where a Japanese input method is on."""
_FULL_WIDTH = {0xFEE0 + code: chr(code) for code in range(0x21, 0x7F)}
_PLAIN = _FULL_WIDTH | dict.fromkeys(map(ord, _SEPARATORS)) | {0xFF0D: None}


def plain(text: str) -> str:
    """The text with full-width characters as ASCII, without blanks and hyphens; "" for a text over 64 characters.

    No other character changes: digits of another script are none.
    """
    return text.translate(_PLAIN) if len(text) <= _MAX_LENGTH else ""
