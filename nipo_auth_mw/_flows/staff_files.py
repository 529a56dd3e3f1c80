"""Reads the table of a file: CSV, TSV or xlsx, as a spreadsheet saves or copies it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from nipo_auth_mw._flows.staff_rejections import FileRejected
from nipo_auth_mw._flows.staff_xlsx import cells_of_xlsx

MOST_COLUMNS = 100
_XLSX, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT = 10_000


def table_of(source: bytes | str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a file, or of a text that was typed or pasted, with their numbers from 1. Blank lines are left out.

    A file is xlsx or text. Text is UTF-8, UTF-16 with its mark, or Windows-31J as Excel saves it in Japan, with commas,
    semicolons or tabs. Raises `FileRejected`.
    """
    for number, cells in _lines(source):
        while cells and not cells[-1].strip():
            cells.pop()
        if len(cells) > MOST_COLUMNS:
            raise FileRejected("columns", MOST_COLUMNS)
        if cells:
            yield number, cells


def _lines(source: bytes | str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line. Raises `FileRejected`."""
    if isinstance(source, bytes) and source.startswith(_OLE):
        raise FileRejected("old_excel")
    if isinstance(source, bytes) and source.startswith(_XLSX):
        return cells_of_xlsx(source, MOST_COLUMNS + 1)
    return _cells_of_text(_text(source))


def _text(source: bytes | str) -> str:
    """The text of the file. Raises `FileRejected`."""
    if isinstance(source, str):
        return source
    for encoding in ("utf-16",) if source.startswith(_UTF_16) else ("utf-8-sig", "cp932"):
        try:
            text = source.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise FileRejected("not_text")


def _cells_of_text(text: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line. Raises `FileRejected`."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error:
        raise FileRejected("not_table", reader.line_num) from None


def _separator(text: str) -> str:
    """The sign between cells: the most frequent one of the first line, or of what follows if that has none."""
    head = text.lstrip()[:_LOOKED_AT]
    line = head.partition("\n")[0]
    return max("\t,;", key=lambda sign: (line.count(sign), head.count(sign)))
