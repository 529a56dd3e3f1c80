"""CSV cells that a spreadsheet does not run as formulas."""

from __future__ import annotations

import re

# The signs that begin a formula, with the wide and small ones of East Asian keyboards.
_SIGNS = "=+\\-@＝＋－＠﹦﹢﹣﹫−"
_FORMULA = re.compile(rf"(?<![\w{_SIGNS}])(?=[{_SIGNS}])|^(?=[\t\r\n])")
_APOSTROPHE = re.compile(rf"(?<![{_SIGNS}\w])'(?=[{_SIGNS}])")


def harmless(cell: str) -> str:
    """The cell with an apostrophe before every sign that could begin a formula (OWASP, "CSV Injection").

    Spreadsheets split a line at commas, semicolons, tabs or bars, depending on the country and on the user's choice,
    and drop quotes, blanks and invisible characters at the beginning. So a sign is harmless only after a letter, a
    digit or another sign: no cell begins there, whatever separates the cells.
    """
    return _FORMULA.sub("'", cell)


def plain(cell: str) -> str:
    """The cell that `harmless` was given, if no blank was at its beginning: without the apostrophes that it sets."""
    return _APOSTROPHE.sub("", cell)
