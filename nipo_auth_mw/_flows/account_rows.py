"""Reads accounts from a file: CSV, JSON, or what Firebase exports. One place for every import of accounts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nipo_auth_mw.errors import AuthError

COLUMNS = ("email", "name", "role", "password_hash", "active", "notify_email", "language", "must_change")
_FLAGS = {"active", "must_change"}
_YES, _NO = {"1", "true", "yes", "t", "y"}, {"0", "false", "no", "f", "n"}
_LARGEST_CELL = 10_000


class RowsRejected(AuthError):
    """The file is not a list of accounts. The message names the place, and quotes no cell except a column's name."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account of a file. `line` is its line in a CSV file, or its number in a list, from 1.

    `facts` are those of `COLUMNS` that the file has, without the empty ones. `problem` is a code for a row that cannot
    be read.
    """

    line: int
    email: str
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: str = ""


def read_accounts(content: bytes) -> Iterator[AccountRow]:
    """The accounts of a file.

    CSV has a header with names out of `COLUMNS`, in any order, and commas, semicolons or tabs; in UTF-8, or in
    Windows-31J, as Excel saves it in Japan. JSON is a list of objects with the same names, or the file of `firebase
    auth:export`. Raises `RowsRejected`.
    """
    text = _text(content)
    if text.lstrip()[:1] in {"[", "{"}:
        return _of_json(text)
    return _of_csv(text)


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise RowsRejected("the file is neither UTF-8 nor Windows-31J (cp932); save it as UTF-8")


def _of_csv(text: str) -> Iterator[AccountRow]:
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_names(names)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                wide = len(cells) > len(names) or any(len(cell) > _LARGEST_CELL for cell in cells)
                yield _row(reader.line_num, dict(zip(names, cells, strict=False)), "broken_row" if wide else "")
    except csv.Error as problem:
        raise RowsRejected(f"line {reader.line_num} is no CSV ({problem})") from None


def _check_names(names: list[str]) -> None:
    if unknown := [name for name in names if name not in COLUMNS]:
        raise RowsRejected(f"column {unknown[0][:40]!r} is not one of {', '.join(COLUMNS)}")
    if len(set(names)) != len(names) or "email" not in names:
        raise RowsRejected("the first line has to name the columns, each once, with email among them")


def _of_json(text: str) -> Iterator[AccountRow]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise RowsRejected("the file is no JSON") from None
    of_firebase = isinstance(found, dict)
    listed = found.get("users") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise RowsRejected("the file is no list of objects, and no export of Firebase")
    for number, one in enumerate(listed, 1):
        given = _of_firebase(one) if of_firebase else one
        _check_names([*given, *({"email"} - set(given))])
        yield _row(number, given)


def _of_firebase(user: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of one exported user. One who signs in with Google or a telephone number has no password."""
    stored = f"$firebase${user.get('salt', '')}${user['passwordHash']}" if user.get("passwordHash") else None
    return {
        "email": user.get("email") or "",
        "name": user.get("displayName"),
        "password_hash": stored,
        "active": not user.get("disabled", False),
    }


def _row(line: int, given: Mapping[str, Any], problem: str = "") -> AccountRow:
    """The row of the given cells."""
    facts: dict[str, Any] = {}
    for name, value in given.items():
        cell = value.strip() if isinstance(value, str) else value
        if cell is None or cell == "":
            continue
        if name in _FLAGS and (cell := _flag(cell)) is None:
            problem = problem or "broken_row"
        if name not in _FLAGS and not isinstance(cell, str):
            problem = problem or "broken_row"
        facts[name] = cell
    return AccountRow(line, str(facts.get("email", "")), facts, problem)


def _flag(cell: object) -> bool | None:
    """True or False; None for another value."""
    text = str(cell).lower()
    return True if text in _YES else False if text in _NO else None
