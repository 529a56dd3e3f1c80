"""Why a list of accounts is refused as a whole."""

from __future__ import annotations

from nipo_auth_mw.errors import AuthError

REASONS = {
    "columns": "the file has more than {about} columns",
    "email_column": "the first line names no column with addresses",
    "no_xlsx": "xlsx files need the extra: pip install 'nipo_auth_mw[xlsx]'; or save the file as CSV UTF-8",
    "not_json": "the file is no JSON list of objects, and no export of Firebase",
    "not_table": "line {about} is no CSV",
    "not_text": "the file is neither UTF-8 nor Windows-31J (cp932); save it as CSV UTF-8",
    "old_excel": "the file is an old .xls or has a password; save it as CSV UTF-8 or as xlsx without a password",
    "twice": "the first line names the column {about!r} twice",
    "unknown_column": "{about}",
    "unpacked": "the workbook holds too much: more than {about} MiB without compression, or too many cells or formats",
    "xlsx": "the file is no xlsx that can be read; save it as CSV UTF-8",
}
"""Why a file is refused, for the command line. The pages have texts of their own."""
PAGE_REASONS = tuple(reason for reason in REASONS if reason not in {"not_json", "unknown_column"})
"""Those that a page meets, which reads no JSON and passes over unknown columns."""


class FileRejected(AuthError):
    """The file is not a list of accounts. `reason` is one of `REASONS`.

    The message names the place, and quotes no cell except the heading of a column.
    """

    def __init__(self, reason: str, about: object = "") -> None:
        super().__init__(REASONS[reason].format(about=about))
        self.reason = reason
        self.about = about
