"""The names of people, and how they are read: as they are kept."""

from __future__ import annotations

import unicodedata

_MOST_CHARACTERS = 100
# Persian and the languages of India write words with them.
_JOINERS = "\u200c\u200d"


def person_name(typed: str) -> str:
    """One line of at most 100 characters, without control and format characters; "" if nothing is left.

    Stops a name that shows another person's in the staff list, the audit log or a mail: format characters reorder or
    hide what stands around them (Unicode Technical Report 36, section 2.5). The characters of a name stay as they are
    typed, since NFC would make 神 of 神.
    """
    line = " ".join(typed[: 20 * _MOST_CHARACTERS].split())
    return "".join(one for one in line if one in _JOINERS or _stays(one))[:_MOST_CHARACTERS].strip()


def _stays(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
