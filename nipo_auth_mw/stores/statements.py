"""What several of the SQL modules need to say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class Query(NamedTuple):
    """A statement compiled once, for the driver's own cursor; `names` are its parameters in their order."""

    sql: str
    names: tuple[str, ...]

    def values(self, **given: object) -> tuple[object, ...]:
        return tuple(given[name] for name in self.names)


def compiled(statement: sa.ClauseElement, engine: sa.Engine) -> Query:
    made: Any = statement.compile(dialect=engine.dialect)
    return Query(str(made), tuple(made.positiontup))


def upsert(engine: sa.Engine, table: sa.Table, values: dict[str, Any], changes: Sequence[tuple[str, Any]]) -> Any:
    """Insert a row, or make `changes`, in their order, to the one that has its key; in one atomic statement."""
    if engine.dialect.name == "mariadb":
        return mysql.insert(table).values(values).on_duplicate_key_update(list(changes))
    insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
    return insert(table).values(values).on_conflict_do_update(index_elements=table.primary_key, set_=dict(changes))


@contextmanager
def savepoint(connection: sa.Connection) -> Iterator[None]:
    """Undo these statements alone when one fails: PostgreSQL gives up a whole transaction otherwise."""
    connection.exec_driver_sql("SAVEPOINT nipo_auth")
    try:
        yield
    except sa.exc.IntegrityError:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT nipo_auth")
        raise
    connection.exec_driver_sql("RELEASE SAVEPOINT nipo_auth")


def number_of(user_id: str) -> int | None:
    """The number that is the key of one of our own accounts; None for a text that never was an id of ours."""
    return int(user_id) if _NUMBER.fullmatch(user_id) else None


def storable(*texts: str | None) -> bool:
    """Whether every database can hold these texts exactly: no NUL (PostgreSQL), no lone surrogate."""
    return not any(text is not None and text != plain(text) for text in texts)


def plain(text: str) -> str:
    """The text with U+FFFD for what not every database can hold; for texts that are kept to be read by people."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode() if not _is_plain(text) else text


def _is_plain(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))
