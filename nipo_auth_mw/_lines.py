"""One line of text, as the names of people and of passkeys are kept."""

from __future__ import annotations

import unicodedata

# Format characters reorder or hide what stands around them (Unicode Technical Report 36, section 2.5).
_HIDDEN = frozenset({"Cc", "Cf", "Cs"})
_JOINERS = "\u200c\u200d"
"""Format characters within the words of Persian and of the languages of India."""
_NAME_CHARACTERS = 100


def plain_line(text: str, most: int, *, removed: frozenset[str] = _HIDDEN, kept: str = "") -> str:
    """One line of at most `most` characters, with one blank between words; "" if nothing is left.

    Removes the characters of the Unicode categories `removed`, except those in `kept`. Looks at 20 times `most`
    characters at most.
    """
    words = (
        "".join(one for one in word if one in kept or unicodedata.category(one) not in removed)
        for word in text[: 20 * most].split()
    )
    return " ".join(filter(None, words))[:most].strip()


def person_name(typed: str) -> str:
    """A person's name, or its reading: a line of at most 100 characters; "" if nothing is left.

    Stops a name that shows another person's in the staff list, the audit log or a mail. The other characters stay as
    they are typed: NFC would replace the 神 (U+FA19) that a person writes by another one.
    """
    return plain_line(typed, _NAME_CHARACTERS, kept=_JOINERS)
