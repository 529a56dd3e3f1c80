"""Which errors of a driver are outages, and what a log may say about one."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw._runtime.failures import file_limit, unreached
from nipo_auth_mw.errors import DatabaseUnavailable, StoreUnavailable

_CONTENTION = {
    *("40001", "40P01", "55P03", "57014"),
    *("1020", "1205", "1213", "1317", "1969"),
    *("SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"),
}
"""Codes of statements that waited too long for other transactions, or met them: the server itself is in order."""

_NETWORK_FOLDER = "the file system has not all locks that SQLite needs, as in a network folder; use a local disk"
_HINTS = {
    "SQLITE_READONLY": "the file must be writable for the user of this process",
    "SQLITE_READONLY_DIRECTORY": "the folder must be writable for the user of this process, for SQLite's -wal file",
    "SQLITE_READONLY_DBMOVED": "the file was replaced or moved under a running process",
    "SQLITE_CANTOPEN": "the file and its folder must exist, and the user of this process must be able to write both",
    "SQLITE_CANTOPEN_ISDIR": "the path is a folder",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_NOTADB": "the file is no SQLite database",
    "SQLITE_CORRUPT": "the file is damaged; restore a backup",
    "SQLITE_BUSY": "another process writes for too long",
    "SQLITE_IOERR": "the disk failed, or this process may write no larger file (ulimit -f)",
    "SQLITE_IOERR_LOCK": _NETWORK_FOLDER,
    "SQLITE_IOERR_SHMLOCK": _NETWORK_FOLDER,
    "SQLITE_IOERR_SHMMAP": _NETWORK_FOLDER,
    "SQLITE_IOERR_SHMOPEN": _NETWORK_FOLDER,
    "SQLITE_PROTOCOL": _NETWORK_FOLDER,
    "SQLITE_NOMEM": "this process has no memory left",
    "08006": "the connection was lost",
    "25006": "the server only reads: it is a replica or was demoted, or default_transaction_read_only is on",
    "1290": "the server only reads: it is a replica or was demoted",
    "1792": "the transaction only reads: the server is a replica or was demoted",
    "1836": "the server only reads",
    "28P01": "the password is wrong",
    "28000": "the server does not accept this user",
    "1045": "the server does not accept this user and password",
    "1698": "the server does not accept this user and password",
    "3D000": "this database or its user does not exist",
    "1049": "the database does not exist",
    "3F000": "search_path of this user or database names no schema for the tables",
    "42P01": "a table is missing; run nipo-auth init",
    "1146": "a table is missing; run nipo-auth init",
    "42501": "the user lacks a privilege",
    "1142": "the user lacks a privilege",
    "1044": "the user lacks a privilege",
    "53200": "the server has no memory left",
    "53100": "the server's disk is full",
    "1021": "the server's disk is full",
    "1114": "a table or the server's disk is full",
    "53300": "the server has no connection left; lower max_connections of the stores or raise the server's",
    "1040": "the server has no connection left; lower max_connections of the stores or raise the server's",
    "53400": "the user or the database has no connection left; lower max_connections of the stores or raise its limit",
    "1203": "the user has no connection left; lower max_connections of the stores or raise the user's",
    "1226": "the user has no statements or connections left in this hour; raise its limits on the server",
    "1047": "the node is not part of the cluster, or not ready yet",
    "40001": "another transaction changed the same rows first",
    "1020": "another transaction changed the same rows first",
    "40P01": "a deadlock: two transactions waited for each other, and the server ended this one",
    "1213": "a deadlock: two transactions waited for each other, or met on two nodes; the server ended this one",
    "55P03": "another transaction held the row for too long",
    "1205": "another transaction held the row for too long",
    "57014": "a statement took too long",
    "1969": "a statement took too long",
    "1317": "an administrator ended the statement",
    "25P03": "the transaction stood still for too long",
    "57P01": "the server is shutting down",
    "1053": "the server is shutting down",
    "1927": "an administrator ended the connection",
    "57P02": "the server crashed and starts again",
    "57P03": "the server is starting or shutting down",
    "57P04": "this database was dropped",
    "57P05": "the connection was unused for too long",
    "1071": "an index is too long for this row format; use a server with innodb_default_row_format=DYNAMIC",
    "1709": "an index is too long for this row format; use a server with innodb_default_row_format=DYNAMIC",
    "2003": "nothing answers at this host and port",
    "2005": "the host name is unknown, or no name server answers",
    "2006": "the connection was lost",
    "2026": "the TLS connection failed: check the certificate, its date and its names",
    "2013": "the connection was lost, or the server did not answer in time",
}
# libpq has no code for a connection that failed, and PyMySQL one for all reasons. The text names the user: it selects a
# hint and is never shown. A PostgreSQL that was set up in Japanese answers in Japanese (lc_messages). A phrase has a
# code, or a hint.
_PHRASES = {
    "refused": "2003",
    "could not translate": "2005",
    "failed to resolve": "2005",
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "パスワード認証に失敗": "28P01",
    "pg_hba.conf": "28000",
    "not permitted to log in": "28000",
    "ログインが許可されません": "28000",
    "certificate": "2026",
    "not support ssl": "2026",
    "name or service not known": "2005",
    "name resolution": "2005",
    "does not exist": "3D000",
    "存在しません": "3D000",
    "permission denied for": "42501",
    "アクセスが拒否": "42501",
    "too many": "53300",
    "多すぎます": "53300",
    "remaining connection slots": "53300",
    "残りの接続スロット": "53300",
    "starting up": "57P03",
    "起動処理中": "57P03",
    "shutting down": "57P03",
    "シャットダウン": "57P03",
    "closed the connection": "2006",
    "not a mariadb variant": "this is MySQL, and the store needs MariaDB",
    "fatal:": "the server refuses the connection; its log says why",
}
_UNOPENED = {"", "2003", "SQLITE_CANTOPEN"}
_UNANSWERED = "nothing answers at this host and port, or the server did not answer in time"


_UNOPENABLE = "the function that opens connections failed, or the driver cannot use an option"


class Outages:
    """Translates the errors of one engine's driver. `where` names the database, without its user and password.

    `misfits` are errors of values that do not fit their column, `database_errors` all errors of a driver, and
    `outages` those after which the connection must not be used again.
    """

    def __init__(self, engine: sa.Engine, where: str) -> None:
        driver: Any = engine.dialect.loaded_dbapi
        self.where = where
        self.misfits: tuple[type[BaseException], ...] = (driver.DataError, sa.exc.DataError, UnicodeError)
        self.database_errors: tuple[type[BaseException], ...] = (driver.Error, sa.exc.SQLAlchemyError, UnicodeError)
        self.outages: tuple[type[BaseException], ...] = (
            *(driver.OperationalError, driver.InterfaceError, driver.InternalError),
            *(sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.InvalidRequestError),
        )

    def translated(self, problem: BaseException) -> StoreUnavailable:
        """The exception that callers get: with the database, the class and code of the error and a hint.

        Never with the driver's text, which can quote a row or a password.
        """
        return DatabaseUnavailable(f"the database {self.where} cannot be used ({reason_of(problem)})")


def reason_of(problem: BaseException) -> str:
    """The class and the code of an error, with a hint; nothing of the driver's text."""
    cause = _cause(problem)
    if isinstance(cause, OSError):
        # A name that is not resolved has a number of its own kind, and a time-out may have none.
        number = cause.errno or 0
        why = f"{type(cause).__name__}: {os.strerror(number)}" if number > 0 else unreached(cause)
        return f"{why}: a file or a server that opening needs"
    name, code = type(cause).__name__, code_of(problem)
    if code in _UNOPENED and (limit := file_limit()):
        hint = limit
    elif not _is_of_a_database(cause):
        hint = _UNOPENABLE
    elif code in {"", "2003"}:
        hint = _hint_by_text(problem)
    else:
        hint = _HINTS.get(code) or _HINTS.get("_".join(code.split("_")[:2])) or ""
    return f"{name} {code}".rstrip() + (hint and f": {hint}")


def _hint_by_text(problem: BaseException) -> str:
    text = str(_cause(problem)).lower()
    return next((_HINTS.get(told, told) for phrase, told in _PHRASES.items() if phrase in text), _UNANSWERED)


def is_contention(problem: BaseException) -> bool:
    """Whether the statement only waited too long for others, so that other connections are in order."""
    return code_of(problem) in _CONTENTION


def is_lost_preparation(problem: BaseException) -> bool:
    """Whether a prepared statement is missing or already there, since a pooler gave the transaction another connection;
    or whether the server can hold no more of them."""
    return code_of(problem) in {"26000", "42P05", "1243", "1461"}


def is_outdated_plan(problem: BaseException) -> bool:
    """Whether a table was changed since PostgreSQL prepared the statement on this connection."""
    return code_of(problem) == "0A000"


def code_of(problem: BaseException) -> str:
    """The SQLSTATE, SQLite's error name, or MariaDB's error number; "" without one."""
    cause = _cause(problem)
    first = cause.args[0] if cause.args and isinstance(cause.args[0], int) else ""
    return str(getattr(cause, "sqlite_errorname", None) or first or getattr(cause, "sqlstate", None) or "")


def _is_of_a_database(cause: BaseException) -> bool:
    """Whether an exception is a driver's (PEP 249), SQLAlchemy's or of an encoding, and not of other code."""
    of_driver = any(kind.__name__ == "Error" for kind in type(cause).__mro__)
    return of_driver or isinstance(cause, (sa.exc.SQLAlchemyError, UnicodeError))


def _cause(problem: BaseException) -> Any:
    return getattr(problem, "orig", None) or problem
