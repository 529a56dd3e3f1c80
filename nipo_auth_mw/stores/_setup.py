"""How a new connection is set up: its time limits, its durability, and what it needs behind a connection pooler."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from nipo_auth_mw._runtime.greenlets import gevent_replaces
from nipo_auth_mw.stores._pool import PooledConnection

T = TypeVar("T")

ANSWER_SECONDS = 3
"""After this many seconds a server ends a statement."""
_SILENCE_SECONDS = 5.0
"""After this many seconds without an answer the client gives a server up."""
SQLITE_BUSY_SECONDS = 5
_WAL_SECONDS = 5.0


class Setup:
    """Opens connections. `durable=False` is for counters: they wait for no disk, and a crash of the machine loses the
    last ones.

    `behind_pooler` is set when the server turns out to be reached through a connection pooler. `replaced` tells whether
    an SQLite file is missing or has another inode than at the last call; None for a server.
    """

    def __init__(self, backend: str, path: str, *, durable: bool) -> None:
        self._backend = backend
        self._durable = durable
        self.behind_pooler = False
        self.replaced: Callable[[], bool] | None = _Inode(path).has_changed if backend == "sqlite" else None

    def open(self, engine: sa.Engine) -> PooledConnection:
        """A new connection, ready for statements."""
        if self._backend == "postgresql" and gevent_replaces("select"):
            _let_other_greenlets_run()
        connection = engine.connect()
        try:
            begin = {"sqlite": self._sqlite, "postgresql": self._postgresql}.get(self._backend, self._mariadb)(
                connection
            )
            # Binary results spare PostgreSQL and the driver a text for each number. They rule out several statements at
            # once, which a pooler needs.
            binary = {"binary": True} if self._backend == "postgresql" and ";" not in begin else {}
            cursor = connection.connection.cursor(**binary)
            made = PooledConnection(connection, cursor, begin, embedded=self._backend == "sqlite")
            if self._backend == "mariadb" and not self.behind_pooler:
                made.prepared = {}
            return made
        except BaseException:
            connection.invalidate()
            connection.close()
            raise

    def _sqlite(self, connection: sa.Connection) -> str:
        for setting in (
            f"busy_timeout = {SQLITE_BUSY_SECONDS * 1000}",
            "journal_mode = WAL",
            "foreign_keys = ON",
            f"synchronous = {'FULL' if self._durable else 'NORMAL'}",
        ):
            _set(connection, f"PRAGMA {setting}")
        return "BEGIN IMMEDIATE"

    def _postgresql(self, connection: sa.Connection) -> str:
        """A pooler lends each transaction another connection of the server (pgbouncer, pool_mode=transaction).

        There, a setting of the session would reach other clients, and a prepared statement would be missing. A pooler
        shows in the number of the server's process, which it cannot know when it greets a client.
        """
        driver: Any = connection.connection.dbapi_connection
        # libpq waits for an answer without a limit, and a frozen server still acknowledges what it receives.
        wait, outage = driver.wait, connection.dialect.loaded_dbapi.OperationalError
        driver.wait = lambda steps, *given, **named: wait(_bounded(steps, outage), *given, **named)
        cursor = driver.cursor()
        cursor.execute("SELECT pg_backend_pid()")
        # What an administrator sets for the role or the database is meant for other programs: without its own settings,
        # the store would answer 503 for no reason, or keep texts in another encoding.
        limits = {
            "statement_timeout": str(ANSWER_SECONDS * 1000),
            "lock_timeout": "0",
            # A process that stands still in a transaction must not hold up the others for longer.
            "idle_in_transaction_session_timeout": str(round(_SILENCE_SECONDS * 1000)),
            "synchronous_commit": "on" if self._durable else "off",
            # With less, a time comes back as another one than it was stored.
            "extra_float_digits": "3",
        }
        session = {"default_transaction_isolation": "'read committed'", "client_encoding": "'UTF8'"}
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
        if self.behind_pooler or cursor.fetchone()[0] != driver.info.backend_pid:
            driver.prepare_threshold = None
            return "; ".join([begin, *(f"SET LOCAL {name} = {value}" for name, value in limits.items())])
        cursor.execute("; ".join(f"SET {name} = {value}" for name, value in (limits | session).items()))
        return begin

    def _mariadb(self, connection: sa.Connection) -> str:
        connection.exec_driver_sql(
            f"SET SESSION innodb_lock_wait_timeout = {ANSWER_SECONDS}, max_statement_time = {ANSWER_SECONDS},"
            " completion_type = NO_CHAIN, sql_select_limit = DEFAULT, sql_big_selects = ON, sql_safe_updates = OFF,"
            # A server without strict mode cuts a long address, which may then be another user's. Other modes, which an
            # administrator sets for other programs, change what a statement means. SQLAlchemy has noticed ANSI_QUOTES.
            " SESSION sql_mode = CONCAT(IF(FIND_IN_SET('ANSI_QUOTES', @@sql_mode), 'ANSI_QUOTES,', ''),"
            " 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION')"
        )
        connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return "START TRANSACTION"


@cache
def _let_other_greenlets_run() -> None:
    """Load psycopg's way to wait for a server once more.

    psycopg chooses it when it is imported. A server that loads the app before it replaces threads with greenlets
    (gunicorn's `preload_app`) would stop all greenlets of a process while one of them waits for an answer.
    """
    importlib.reload(importlib.import_module("psycopg.waiting"))


def _bounded(steps: Generator[Any, Any, T], outage: type[Exception]) -> Generator[Any, Any, T]:
    """The steps of an exchange with PostgreSQL. Raises `outage` after five seconds without any readiness.

    psycopg (3.2) resumes a step every tenth of a second with 0, so that it can look at the time.
    """
    ends = time.monotonic() + _SILENCE_SECONDS
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= ends:
                raise outage("the server does not answer")
            wanted = steps.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result


class _Inode:
    """Notices that a file was replaced or deleted: a backup put back under a running process, for example."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._last: tuple[int, int] | None = None

    def has_changed(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            # What is written to a deleted file is lost at the end of the process.
            return self._last is not None
        except OSError:
            return False
        last, self._last = self._last, (found.st_dev, found.st_ino)
        return last is not None and last != self._last


def _set(connection: sa.Connection, setting: str) -> None:
    """Run a setting. SQLite's busy time-out does not cover the change of the journal mode, so wait here."""
    deadline = time.monotonic() + _WAL_SECONDS
    while True:
        try:
            connection.exec_driver_sql(setting)
            return
        except sa.exc.OperationalError:
            if "journal_mode" not in setting or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
