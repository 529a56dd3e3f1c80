"""The tables, and the steps that lead to them. All names start with `nipo_auth_`, so they may share a host's database.

Every comparison of text is exact: the canonical form of an address is made in Python, so that three databases cannot
disagree about it.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

_metadata = sa.MetaData()
_NUMBERED = {"account", "event"}
_NUMBER = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def _key(length: int) -> sa.types.TypeEngine[str]:
    """Text that is looked up or sorted by, by code points everywhere and not as a server's locale has it."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _table(name: str, *parts: sa.Column[object] | sa.Index) -> sa.Table:
    return sa.Table(
        f"nipo_auth_{name}",
        _metadata,
        *parts,
        # Never hand an id out again, not even the highest one after it was deleted.
        sqlite_autoincrement=name in _NUMBERED,
        # The others are found by their key: let SQLite keep the row there, which spares it a second search.
        sqlite_with_rowid=name in _NUMBERED,
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        # Other collations ignore case, or blanks at the end.
        mariadb_collate="utf8mb4_nopad_bin",
    )


def _text(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=False)


account = _table(
    "account",
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("email", _key(254), nullable=False, unique=True),
    sa.Column("password_hash", sa.Text),
    sa.Column("active", sa.Boolean, nullable=False),
    _text("name"),
    _text("role"),
    # What `search` looks into: folded in Python, since databases fold case each in its own way.
    _text("email_folded"),
    _text("name_folded"),
)

account_notes = _table(
    "account_notes",
    sa.Column("user_id", _key(64), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    _text("lineage"),
    sa.Column("language", sa.Text),
    sa.Column("notify_email", sa.Text),
    sa.Column("change_by", sa.Double),
    sa.Column("memo", sa.Text),
)

email_change = _table(
    "email_change",
    sa.Column("key", _key(128), primary_key=True),
    sa.Column("user_id", _key(64), nullable=False, index=True),
    _text("old_email"),
    _text("new_email"),
    sa.Column("requested_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
    sa.Column("confirmed_at", sa.Double),
)

session = _table(
    "session",
    sa.Column("key", _key(128), primary_key=True),
    sa.Column("user_id", _key(64), nullable=False, index=True),
    # `user_id` once more as a number, to join `account` by its key; NULL where a host's ids are no numbers.
    sa.Column("account_id", sa.BigInteger),
    _text("stamp"),
    sa.Column("created_at", sa.Double, nullable=False, index=True),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("sent_at", sa.Double, nullable=False),
    sa.Column("kept", sa.Boolean, nullable=False),
    _text("client_address"),
    _text("user_agent"),
    sa.Column("confirmed_at", sa.Double, nullable=False, server_default="0"),
    sa.Index("ix_nipo_auth_session_idle", "kept", "seen_at"),
)

event = _table(
    "event",
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("event", _key(64), nullable=False),
    sa.Column("user_id", _key(64)),
    sa.Column("email", _key(254), nullable=False),
    _text("session"),
    _text("client_address"),
    _text("user_agent"),
    _text("actor"),
    _text("details"),
    sa.Column("digest", sa.String(64), nullable=False, server_default=""),
    # One for each way of asking; all end in the order in which the rows are shown.
    sa.Index("ix_nipo_auth_event_time", "time", "id"),
    sa.Index("ix_nipo_auth_event_of_user", "user_id", "time", "id"),
    sa.Index("ix_nipo_auth_event_of_kind", "event", "time", "id"),
    sa.Index("ix_nipo_auth_event_of_both", "user_id", "event", "time", "id"),
    sa.Index("ix_nipo_auth_event_of_email", "email", "time", "id"),
)

seal = _table(
    "seal",
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("made_at", sa.Double, nullable=False),
    _text("key"),
    sa.Column("last", sa.BigInteger, nullable=False, index=True),
    # A thousand entries take more than MariaDB's TEXT holds.
    sa.Column("entries", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mariadb"), nullable=False),
    _text("chain"),
    _text("proof"),
)

counter = _table(
    "counter",
    sa.Column("key", _key(128), primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
)

schema_version = _table("schema_version", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))


def _first(connection: sa.Connection) -> None:
    _metadata.create_all(connection)


def _complete(connection: sa.Connection) -> None:
    """Add the tables, columns and indexes that are not there yet."""
    _metadata.create_all(connection)
    found = sa.inspect(connection)
    quote = connection.dialect.identifier_preparer
    for table in _metadata.sorted_tables:
        there = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                spelt = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote.format_table(table)} ADD COLUMN {spelt}")
        if table is event and connection.dialect.name == "mariadb":
            # They were TEXT, which no index of MariaDB can keep in order.
            for column in (event.c.event, event.c.email):
                spelt = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote.format_table(table)} MODIFY {spelt}")
        named = {index["name"] for index in found.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in named:
                index.create(connection)


STEPS: tuple[Callable[[sa.Connection], None], ...] = (_first, _complete)
"""Step n leads from version n - 1 to n. Each may be run again over what an interrupted run of it left."""

VERSION = len(STEPS)


def version_of(connection: sa.Connection) -> int:
    """Which version the tables have; 0 where there are none."""
    if not sa.inspect(connection).has_table(schema_version.name):
        return 0
    return connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0


def upgrade(connection: sa.Connection) -> None:
    """Take the steps that are missing. The caller sees to it that nobody else does so at the same time."""
    for version in range(version_of(connection) + 1, VERSION + 1):
        STEPS[version - 1](connection)
        connection.execute(schema_version.insert().values(version=version))
