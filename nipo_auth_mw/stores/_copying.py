"""Copies of a whole store: into another database, or as a backup of an SQLite file."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.errors import ConfigError, DatabaseUnavailable
from nipo_auth_mw.stores import _engines, _schema
from nipo_auth_mw.stores._files import create_new, give_name
from nipo_auth_mw.stores._outages import reason_of
from nipo_auth_mw.stores._sql import SQLStore

_AT_ONCE = 500
_PAGES = 1000
# Attempt counters live for minutes, by the clock of their own database. They begin afresh.
_LEFT_OUT = (_schema.counter, _schema.schema_version)
_TABLES = tuple(table for table in _schema.tables_for("").sorted_tables if table not in _LEFT_OUT)
_NUMBERED = (_schema.account, _schema.event)
_CLOCKED = {_schema.outbox: {"due_at": 0.0, "claimed_until": 0.0}}
"""Columns by the clock of one database, and the value that means "now" in every other."""
_SNAPSHOTS = {
    "sqlite": ["BEGIN"],
    "postgresql": ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
    "mariadb": ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"],
}
_BY_HAND = {
    "postgresql": "pg_dump --format=custom --table='nipo_auth_*' DATABASE > auth.dump",
    "mariadb": "mariadb-dump --single-transaction DATABASE > auth.sql",
}

Progress = Callable[[str, int, int], object]


def copy_store(source: SQLStore, target: SQLStore, progress: Progress) -> dict[str, int]:
    """Copy every row into an empty store, in any of the three databases. Returns the number of rows of each table.

    Ids stay, and an id that was ever given in the source is given to no other account. The rows are those of one moment
    of the source, and arrive in one transaction: an interrupted copy leaves the target empty, and can be run again. No
    row of the source is changed. `progress` gets a table, the rows that are done, and all of its rows. Raises
    `ConfigError` for a target that holds rows or is the source itself, and `StoreUnavailable`.
    """
    if _place(source) == _place(target):
        raise ConfigError("--to", "is the same database", "Name an empty one.")
    source.check()
    target.create_schema()
    with _outages(), _snapshot(source) as read:
        numbers = {table: _highest_ever(read, table) for table in _NUMBERED}
        with target._db.writing() as write:
            _refuse_rows(write)
            # Before the rows: MariaDB commits at a statement that changes a table.
            for table, number in numbers.items():
                _continue_after(write, table, number)
        with target._db.writing() as write:
            _refuse_rows(write)
            copied = {table.name: _copy_table(read, write, table, progress) for table in _TABLES}
    return copied


def backup(store: SQLStore, file: Path, progress: Progress) -> None:
    """Copy an SQLite file to a new one that only its owner can read, while servers write.

    The new file appears at the end, whole. Raises `ConfigError` if it exists, or for a store on a server, and
    `StoreUnavailable`.
    """
    engine = store._db.engine
    if (tool := _BY_HAND.get(engine.dialect.name)) is not None:
        raise ConfigError("--store", "is a database server, which has a tool of its own", f"Run {tool}")
    if file.exists():
        raise ConfigError("FILE", "exists", "Give the backup a new name, such as one with the date.")
    store.check()
    beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    try:
        os.close(create_new(beside))
        with _outages(), engine.connect() as connection:
            target = sqlite3.connect(beside)
            try:
                driver: Any = connection.connection.driver_connection
                driver.backup(target, pages=_PAGES, progress=lambda _, left, all_: progress("pages", all_ - left, all_))
                # One file, without -wal beside it. The store switches back when it opens the file.
                target.execute("PRAGMA journal_mode = DELETE")
            finally:
                target.close()
        give_name(beside, file)
    except FileExistsError:
        raise ConfigError("FILE", "exists", "Give the backup a new name, such as one with the date.") from None
    except (OSError, sqlite3.Error) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else reason_of(problem)
        raise DatabaseUnavailable(f"the backup could not be written ({reason})") from None
    finally:
        with suppress(OSError):
            beside.unlink()


def _place(store: SQLStore) -> tuple[object, ...]:
    url = store._db.engine.url
    database = os.path.realpath(str(url.database)) if url.get_backend_name() == "sqlite" else url.database
    return url.get_backend_name(), url.host, url.port, database


@contextmanager
def _outages() -> Iterator[None]:
    """Raise `DatabaseUnavailable` in place of the driver's exceptions, whose messages may quote rows."""
    try:
        yield
    except sa.exc.DBAPIError as problem:
        raise DatabaseUnavailable(f"the database failed ({reason_of(problem)})") from None


@contextmanager
def _snapshot(store: SQLStore) -> Iterator[sa.Connection]:
    """A connection that sees the rows of one moment, and can change none."""
    with _engines.open_engine(store._db.engine).connect() as connection:
        for statement in _SNAPSHOTS[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        try:
            yield connection
        finally:
            connection.exec_driver_sql("ROLLBACK")


def _refuse_rows(connection: sa.Connection) -> None:
    """Raise `ConfigError` if the target holds a row."""
    for table in _TABLES:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
            hint = "Name an empty database: a copy never mixes two stores."
            raise ConfigError("--to", f"already holds rows, in {table.name}", hint)


def _copy_table(read: sa.Connection, write: sa.Connection, table: sa.Table, progress: Progress) -> int:
    """Copy the rows of one table, in batches. Returns how many."""
    every = read.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0
    done = 0
    progress(table.name, 0, every)
    statement = sa.select(table).order_by(*table.primary_key.columns)
    with read.execute(statement, execution_options={"yield_per": _AT_ONCE}) as rows:
        for page in rows.mappings().partitions():
            write.execute(sa.insert(table), [{**row, **_CLOCKED.get(table, {})} for row in page])
            done += len(page)
            progress(table.name, done, every)
    return done


def _highest_ever(connection: sa.Connection, table: sa.Table) -> int:
    """The highest id that the table has ever given."""
    highest = connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0
    name = table.name
    if connection.dialect.name == "sqlite":
        given = connection.execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :n"), {"n": name}).scalar()
    elif connection.dialect.name == "postgresql":
        sequence = connection.execute(sa.text("SELECT pg_get_serial_sequence(:n, 'id')"), {"n": name}).scalar()
        last = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"  # noqa: S608  # nosec B608
        given = connection.exec_driver_sql(last).scalar()
    else:
        counted = "SELECT AUTO_INCREMENT - 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
        given = connection.execute(sa.text(f"{counted} AND TABLE_NAME = :n"), {"n": name}).scalar()
    return max(highest, given or 0)


def _continue_after(connection: sa.Connection, table: sa.Table, number: int) -> None:
    """Let the table give ids above this one. Ids of deleted accounts stand in the audit log."""
    name = table.name
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :n"), {"n": name})
        connection.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:n, :id)"), {"n": name, "id": number})
    elif connection.dialect.name == "postgresql":
        given = {"n": name, "id": number or 1, "called": number > 0}
        connection.execute(sa.text("SELECT setval(pg_get_serial_sequence(:n, 'id'), :id, :called)"), given)
    else:
        connection.exec_driver_sql(f"ALTER TABLE {name} AUTO_INCREMENT = {int(number) + 1}")
