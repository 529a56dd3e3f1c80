"""Reads the first sheet of an xlsx file, with openpyxl (the extra `xlsx`).

calamine is faster. It allocates the whole rectangle of a sheet at once, so that one cell in the last corner ends the
process for want of memory. openpyxl reads row by row.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from importlib.util import find_spec

from nipo_auth_mw._flows.staff_rejections import FileRejected

MOST_UNPACKED = 8 * 1024 * 1024
_MOST_PARTS = 500
_MOST_TAGS = 500_000
"""openpyxl makes objects of a kilobyte of what is four letters in a file, such as `<c/>` and `<xf/>`."""
_LONGEST_FORMAT = 255
"""Excel's own limit for the format of a number."""
_MOST_PRINTED = 8000
"""Characters of all print areas and titles together."""
_AT_ONCE = 64 * 1024
_LAST_ROW = 1_048_576
# openpyxl takes the second by itself where it is installed.
_LIBRARIES = ("openpyxl", "defusedxml")


def cells_of_xlsx(content: bytes, most_columns: int) -> Iterator[tuple[int, list[str]]]:
    """The numbered rows of the first sheet, with the values of formulas, up to so many cells each.

    Raises `FileRejected`. It is refused before anything is unpacked if it would become larger than `MOST_UNPACKED`
    (a zip bomb; ASVS 5 5.2.3), and before it is parsed if it has more than `_MOST_TAGS` tags. What openpyxl would
    search for too long is refused before openpyxl reads it. Its cells have no more characters than `MOST_UNPACKED`
    together: any number of them may refer to one long text. Entities of XML are refused by defusedxml.
    """
    _check_size(content)
    _check_tags(content)
    if not all(map(find_spec, _LIBRARIES)):
        raise FileRejected("no_xlsx")
    import openpyxl

    try:
        _check_patterns(content)
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        # Some programs write a wrong size of the sheet.
        sheet.reset_dimensions()
        left = MOST_UNPACKED
        for number, values in enumerate(sheet.iter_rows(max_col=most_columns, values_only=True), 1):
            if number > _LAST_ROW:
                raise FileRejected("xlsx")
            if values.count(None) < len(values):
                cells = [_cell(value) for value in values]
                left -= sum(map(len, cells))
                if left < 0:
                    raise _too_large()
                yield number, cells
    except FileRejected:
        raise
    except Exception:
        # openpyxl raises nearly anything for a broken workbook.
        raise FileRejected("xlsx") from None


def _check_size(content: bytes) -> None:
    """Raise `FileRejected` for an archive that would become too large. zipfile unpacks no more than is stated."""
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise FileRejected("xlsx") from None
    if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED:
        raise _too_large()


def _check_tags(content: bytes) -> None:
    """Raise `FileRejected` for an archive whose parts have too many tags, or that cannot be unpacked."""
    left = _MOST_TAGS
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for part in archive.infolist():
                with archive.open(part) as file:
                    while left >= 0 and (piece := file.read(_AT_ONCE)):
                        left -= piece.count(b"<")
    except Exception:
        # zipfile raises errors of zlib, and others for what it cannot unpack.
        raise FileRejected("xlsx") from None
    if left < 0:
        raise _too_large()


def _check_patterns(content: bytes) -> None:
    """Raise `FileRejected` for an archive with a long format of numbers, or with long print areas. openpyxl searches
    them with patterns that take quadratic time, and no other thread runs meanwhile."""
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    found = _Patterns()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for part in archive.infolist():
            # What is no XML, such as a picture, is none to openpyxl either.
            with suppress(ParseError), archive.open(part) as file:
                parser = DefusedXMLParser(target=found)
                while piece := file.read(_AT_ONCE):
                    parser.feed(piece)


class _Patterns:
    """The target of a parser that refuses what is searched with patterns, if it is too long."""

    def __init__(self) -> None:
        self._left = _MOST_PRINTED
        self._printed = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A tag with its attributes."""
        if any(len(text) > _LONGEST_FORMAT for name, text in attributes.items() if name.endswith("formatCode")):
            raise _too_large()
        self._printed = tag.endswith("definedName") and attributes.get("name", "").startswith("_xlnm.Print")

    def data(self, text: str) -> None:
        """A piece of text, which may go on."""
        self._left -= len(text) if self._printed else 0
        if self._left < 0:
            raise _too_large()


def _too_large() -> FileRejected:
    return FileRejected("unpacked", MOST_UNPACKED // 1024 // 1024)


def _cell(value: object) -> str:
    """The text of a value, as the spreadsheet would save it as CSV."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return f"{value:%Y/%m/%d %H:%M:%S}" if isinstance(value, datetime) else f"{value:%Y/%m/%d}"
    return str(value)
