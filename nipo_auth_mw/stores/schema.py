"""The tables, and the steps that lead to them. All names start with `nipo_auth_`, so they may share a host's database.

Every comparison of text is exact: the canonical form of an address is made in Python, so that three databases cannot
disagree about it.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

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
    sa.Index("ix_nipo_auth_session_idle", "kept", "seen_at"),
)

event = _table(
    "event",
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("time", sa.Double, nullable=False),
    _text("event"),
    sa.Column("user_id", _key(64)),
    _text("email"),
    _text("session"),
    _text("client_address"),
    _text("user_agent"),
    _text("actor"),
    _text("details"),
    sa.Index("ix_nipo_auth_event_user", "user_id", "id"),
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


STEPS: tuple[Callable[[sa.Connection], None], ...] = (_first,)
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
