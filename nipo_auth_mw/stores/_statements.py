"""Helpers of the SQL modules: statements, and the texts that every database stores exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa

from nipo_auth_mw.models import AttributeValue

SERVER_CLOCKS = {
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())::double precision",
    # UTC, since an hour comes twice in other time zones; 0e0 makes it a double.
    "mariadb": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000 + 0e0",
}
_LONGEST_ID = 64
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class Query(NamedTuple):
    """A compiled statement for the driver's cursor; `names` are its parameters in order."""

    sql: str
    names: tuple[str, ...]

    def values(self, **given: object) -> tuple[object, ...]:
        return tuple(given[name] for name in self.names)


def compiled(statement: sa.ClauseElement, engine: sa.Engine) -> Query:
    made: Any = statement.compile(dialect=engine.dialect)
    return Query(str(made), tuple(made.positiontup))


def clock_of(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the clock of the database's server. An SQLite file has none: there it is the parameter
    `now`, which the process gives."""
    if engine.dialect.name == "sqlite":
        return sa.bindparam("now", type_=sa.Double())
    return sa.literal_column(f"({SERVER_CLOCKS[engine.dialect.name]})", sa.Double())


def upsert(dialect: str, table: sa.Table, values: dict[str, Any], changes: Sequence[tuple[str, Any]]) -> Any:
    """Insert a row, or apply `changes`, in order, to the row with the same key; in one atomic statement."""
    return upsert_rows(dialect, table, [values], lambda _: changes)


def upsert_rows(
    dialect: str,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    changes: Callable[[Any], Sequence[tuple[str, Any]]],
) -> Any:
    """`upsert` for several rows, in this order; `changes` gets the columns of the new row."""
    # SQLAlchemy keeps the compiled text of one row, and compiles a list of rows at each execution.
    insert = _insert(dialect)(table).values(rows if len(rows) > 1 else rows[0])
    if dialect == "mariadb":
        return insert.on_duplicate_key_update(list(changes(insert.inserted)))
    return insert.on_conflict_do_update(index_elements=table.primary_key, set_=dict(changes(insert.excluded)))


def _insert(dialect: str) -> Any:
    """Imports one dialect: a process uses one database."""
    if dialect == "mariadb":
        from sqlalchemy.dialects.mysql import insert as mysql_insert

        return mysql_insert
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert

    return insert


@contextmanager
def savepoint(connection: sa.Connection) -> Iterator[None]:
    """Roll back these statements alone when one fails: PostgreSQL aborts the whole transaction otherwise. The others
    roll back a failed statement by themselves."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.exec_driver_sql("SAVEPOINT nipo_auth")
    try:
        yield
    except sa.exc.IntegrityError:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT nipo_auth")
        raise
    connection.exec_driver_sql("RELEASE SAVEPOINT nipo_auth")


def number_of(user_id: str) -> int | None:
    """The key of an account in `nipo_auth_account`; None for a text that is no id of this store."""
    return int(user_id) if _NUMBER.fullmatch(user_id) else None


def id_text(number: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The key of an account as the other tables hold it."""
    return sa.cast(number, sa.String(20))


def storable(*texts: str | None) -> bool:
    """Whether every database stores these texts exactly: no NUL (PostgreSQL), no lone surrogate."""
    return not any(text is not None and text != plain(text) for text in texts)


def may_be_id(user_id: str) -> bool:
    """Whether the columns for the ids of accounts hold this text."""
    return len(user_id) <= _LONGEST_ID and storable(user_id)


def plain(text: str) -> str:
    """The text with a substitute for each character that some database refuses; for names and other prose."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode() if not _is_plain(text) else text


def _is_plain(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))


def attributes_text(attributes: Mapping[str, AttributeValue]) -> str:
    """The JSON text of `account_state.attributes`. Equal attributes give equal texts. Raises ValueError for NaN or an
    infinite number, which JSON does not have."""
    texts = {name: plain(value) if isinstance(value, str) else value for name, value in attributes.items()}
    return json.dumps(texts, sort_keys=True, separators=(",", ":"), allow_nan=False)
