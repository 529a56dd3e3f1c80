"""The rows of a list of accounts: one reader for the staff pages and for the command line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nipo_auth_mw._audit.csv_cells import harmless, plain
from nipo_auth_mw._flows.staff_files import table_of
from nipo_auth_mw._flows.staff_rejections import FileRejected
from nipo_auth_mw._flows.staff_words import COLUMNS, FLAGS, Words, folded

LONGEST_CELL = 10_000
_KANA = re.compile("[\u3040-\u30ff\u30fc\\s]+\\Z")


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account of a list. `line` is its line in a file of text, its row in a sheet, or its number, from 1.

    `facts` are the columns that the row has, without the empty ones: text, and True or False for `active` and
    `must_change`. `problem` is a code for a row that cannot be read.
    """

    line: int
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: str = ""

    @property
    def email(self) -> str:
        """The address as it stands in the list."""
        return self.text("email")

    @property
    def active(self) -> bool:
        """Whether the account is to be active, as it is unless the row says otherwise."""
        return self.facts.get("active") is not False

    def text(self, column: str) -> str:
        """The text of a column, "" if the row has none."""
        value = self.facts.get(column, "")
        return value if isinstance(value, str) else ""


class Listed(NamedTuple):
    """The rows of a list, and the headings of the columns that were not read."""

    rows: Sequence[AccountRow] = ()
    ignored: Sequence[str] = ()


def read_rows(
    source: bytes | str, words: Words, *, columns: Sequence[str] = COLUMNS, most: int | None = None
) -> Listed:
    """The rows of a file, or of a text that was typed or pasted; up to one more than `most`.

    A first line of headings names the columns, in any order. Without it each cell is known by its content: an address
    by its @, a role by its name; of the others one in kana is the reading, the first other one the name, and the next
    the memo. Raises `FileRejected`.
    """
    table = table_of(source)
    first = next(table, None)
    if first is None:
        return Listed()
    named = _columns(first[1], words, columns)
    rows: list[AccountRow] = [] if named else [_row(first[0], _by_content(first[1], words), words)]
    for number, cells in table:
        if most is not None and len(rows) > most:
            break
        if not named:
            rows.append(_row(number, _by_content(cells, words), words))
        elif cells != first[1]:
            facts = {column: cells[at] for at, column in named.items() if at < len(cells)}
            rows.append(_row(number, facts, words, "broken_row" if len(cells) > len(first[1]) else ""))
    unread = (" ".join(cell.split()) for at, cell in enumerate(first[1]) if named and at not in named)
    return Listed(rows, [heading[:40] for heading in unread if heading])


def row_of(line: int, given: Mapping[str, Any], words: Words) -> AccountRow:
    """The row of values that are text or None, or True or False in a column of flags; else it is a broken row."""
    kinds = {name: (bool, str) if name in FLAGS else (str,) for name in given}
    wrong = any(value is not None and not isinstance(value, kinds[name]) for name, value in given.items())
    facts = {name: str(value) for name, value in given.items() if value is not None}
    return _row(line, facts, words, "broken_row" if wrong else "")


def cells_of(row: AccountRow, columns: Iterable[str], shown: Mapping[str, Mapping[Any, str]]) -> list[str]:
    """The cells of a row in these columns. `shown` has, by column, the words for values such as roles."""
    values = {column: row.facts.get(column, "") for column in columns}
    return [str(shown.get(column, {}).get(value, value)) for column, value in values.items()]


def columns_of(rows: Iterable[AccountRow]) -> list[str]:
    """Those columns that at least one of the rows has, and the address."""
    found = {"email"}.union(*(row.facts for row in rows))
    return [column for column in COLUMNS if column in found]


def text_of(lines: Iterable[Sequence[str]]) -> str:
    """These cells as a text that `read_rows` reads."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([harmless(cell) for cell in line] for line in lines)
    return out.getvalue().removesuffix("\n")


def _columns(cells: Sequence[str], words: Words, columns: Sequence[str]) -> dict[int, str]:
    """The columns by their places if this is a line of headings, else none. Raises `FileRejected` for one without use.

    Of two headings for one column, such as an id beside an address, the plainer one counts.
    """
    if any("@" in cell or "＠" in cell for cell in cells):
        return {}
    best: dict[str, tuple[int, int]] = {}
    for at, cell in enumerate(cells):
        column, rank = words.headings.get(folded(plain(cell)), ("", 0))
        if column not in columns:
            continue
        if column in best and best[column][0] == rank:
            raise FileRejected("twice", " ".join(cell.split())[:40])
        best[column] = min(best.get(column, (rank, at)), (rank, at))
    if best and "email" not in best:
        raise FileRejected("email_column")
    return {at: column for column, (_, at) in best.items()}


def _by_content(cells: Sequence[str], words: Words) -> dict[str, str]:
    """The facts of a line without headings."""
    facts: dict[str, str] = {}
    others = []
    for cell in (one.strip() for one in cells if one.strip()):
        if ("@" in cell or "＠" in cell) and "email" not in facts:
            facts["email"] = cell
        elif folded(cell) in words.values["role"] and "role" not in facts:
            facts["role"] = cell
        else:
            others.append(cell)
    if len(cells) == 1 and "email" not in facts:
        return {"email": cells[0]}
    readings = [cell for cell in others if _KANA.match(cell)]
    names = [cell for cell in others if cell not in readings]
    if not names:
        # A name that is written in kana is its own reading.
        return facts | dict(zip(("name",), readings, strict=False))
    return facts | dict(zip(("name", "memo"), names, strict=False)) | dict(zip(("reading",), readings, strict=False))


def _row(line: int, cells: Mapping[str, str], words: Words, problem: str = "") -> AccountRow:
    """The row of these cells. A role that has no such name stays as it is, and is refused."""
    facts: dict[str, Any] = {}
    for column, cell in cells.items():
        if len(cell) > LONGEST_CELL:
            problem = problem or "broken_row"
        text = plain(cell[:LONGEST_CELL]).strip()
        text = text.replace("\r\n", "\n") if column == "memo" else " ".join(text.split())
        if not text:
            continue
        facts[column] = words.values.get(column, {}).get(folded(text), text)
        if column in FLAGS and not isinstance(facts[column], bool):
            problem = problem or "broken_row"
    return AccountRow(line, facts, problem)
