"""The names of people, and how they are read: as they are kept."""

from __future__ import annotations

from nipo_auth_mw._lines import JOINERS, plain_line

_MOST_CHARACTERS = 100


def person_name(typed: str) -> str:
    """One line of at most 100 characters, without control and format characters; "" if nothing is left.

    Stops a name that shows another person's in the staff list, the audit log or a mail. The other characters stay as
    they are typed: NFC would replace the 神 (U+FA19) that a person writes by another one.
    """
    return plain_line(typed, _MOST_CHARACTERS, kept=JOINERS)
