"""Reads accounts from JSON: a list of objects, or the file that Firebase exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nipo_auth_mw._flows.staff_rejections import FileRejected
from nipo_auth_mw._flows.staff_rows import AccountRow, row_of
from nipo_auth_mw._flows.staff_words import ALL_COLUMNS, Words


def is_json(content: bytes) -> bool:
    """Whether the file begins as JSON does."""
    return content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"[", b"{"}


def rows_of_json(content: bytes, words: Words) -> list[AccountRow]:
    """The accounts of a list of objects with the names of `ALL_COLUMNS`, or of the file of `firebase auth:export`.

    Raises `FileRejected`.
    """
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise FileRejected("not_json") from None
    listed = found.get("users") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise FileRejected("not_json")
    rows = []
    for number, one in enumerate(listed, 1):
        given = _of_firebase(one) if isinstance(found, dict) else one
        if unknown := [name for name in given if name not in ALL_COLUMNS]:
            raise unknown_column(unknown[0])
        rows.append(row_of(number, given, words))
    return rows


def unknown_column(name: str) -> FileRejected:
    """The refusal of a list with a column that would be lost, such as one of passwords."""
    return FileRejected("unknown_column", f"column {name[:40]!r} is not one of {', '.join(ALL_COLUMNS)}")


def _of_firebase(user: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of one exported user. One who signs in with Google or a telephone number has no password."""
    stored = f"$firebase${user.get('salt', '')}${user['passwordHash']}" if user.get("passwordHash") else None
    return {
        "email": user.get("email") or "",
        "name": user.get("displayName"),
        "password_hash": stored,
        "active": not user.get("disabled", False),
    }
