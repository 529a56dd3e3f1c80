"""CSV cells that a spreadsheet does not run as formulas."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"(^|[;|\t\r\n])(?=\s*[=+\-@＝＋－＠])|^(?=[\t\r\n])")


def harmless(cell: str) -> str:
    """The cell with an apostrophe before anything that a spreadsheet would run as a formula (OWASP, "CSV Injection").

    The wide characters of Japanese keyboards count too. So does a formula behind a semicolon, since spreadsheets split
    cells there in some countries.
    """
    return _FORMULA.sub(r"\1'", cell)
