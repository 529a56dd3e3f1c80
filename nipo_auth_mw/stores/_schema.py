"""The tables. Every name starts with `nipo_auth_`, for use in a host app's database.

Every comparison of text is exact. Python computes the canonical form of an address, since the collations of the three
databases disagree about equal letters (an attacker registers a look-alike of another user's address).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

_metadata = sa.MetaData()
_NUMBERED = {"account", "event"}
_NUMBER = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


class _MediumText(sa.types.UserDefinedType[str]):
    """MariaDB's type. SQLAlchemy's own class would load the MySQL dialect for every database."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "MEDIUMTEXT"


def _key(length: int) -> sa.types.TypeEngine[str]:
    """Text that an index compares by code points; PostgreSQL's default collation follows the server's locale."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _table(name: str, *parts: sa.Column[object] | sa.Index) -> sa.Table:
    return sa.Table(
        f"nipo_auth_{name}",
        _metadata,
        *parts,
        # SQLite gives the highest id again after a DELETE, unless the table is AUTOINCREMENT.
        sqlite_autoincrement=name in _NUMBERED,
        # SQLite stores the row in the index of a WITHOUT ROWID table, which saves a second search.
        sqlite_with_rowid=name in _NUMBERED,
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
    # `search` reads these; Python folds them, since each database folds case in another way. The second one has the
    # name and the reading.
    _text("email_folded"),
    _text("name_folded"),
    sa.Column("sort_key", _key(254), nullable=False, server_default=""),
    sa.Index("ix_nipo_auth_account_sorted", "sort_key", "id"),
)

account_state = _table(
    "account_state",
    sa.Column("user_id", _key(64), primary_key=True),
    sa.Column("revocation_counter", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    # A JSON object, so that a feature adds an attribute without a column.
    _text("attributes"),
    # The last use in a session that has ended; NULL if none has.
    sa.Column("last_used_at", sa.Double),
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
    sa.Column("user_id", _key(64), nullable=False),
    # `user_id` as a number, to join `account` by its key; NULL for a host app's id that is no number.
    sa.Column("account_id", sa.BigInteger),
    _text("stamp"),
    sa.Column("created_at", sa.Double, nullable=False, index=True),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("sent_at", sa.Double, nullable=False),
    sa.Column("persistent", sa.Boolean, nullable=False),
    _text("client_address"),
    _text("user_agent"),
    sa.Column("confirmed_at", sa.Double, nullable=False, server_default="0"),
    sa.Column("means", _key(64), nullable=False, server_default="password"),
    sa.Column("second_at", sa.Double, nullable=False, server_default="0"),
    sa.Index("ix_nipo_auth_session_idle", "persistent", "seen_at"),
    sa.Index("ix_nipo_auth_session_of_user", "user_id", "seen_at"),
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
    # One index for each query of the audit page; each ends in the order of the result.
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
    # A thousand entries exceed the 64 KiB of MariaDB's TEXT.
    sa.Column("entries", sa.Text().with_variant(_MediumText(), "mariadb"), nullable=False),
    _text("chain"),
    _text("proof"),
)

counter = _table(
    "counter",
    sa.Column("key", _key(128), primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
)

outbox = _table(
    "outbox",
    sa.Column("key", _key(64), primary_key=True),
    sa.Column("realm", _key(64), nullable=False),
    sa.Column("state", _key(16), nullable=False),
    sa.Column("kind", _key(64), nullable=False),
    sa.Column("user_id", _key(64), nullable=False),
    sa.Column("recipient", _key(254), nullable=False),
    # A JSON object.
    _text("facts"),
    sa.Column("queued_at", sa.Double, nullable=False),
    sa.Column("due_at", sa.Double, nullable=False),
    sa.Column("claimed_until", sa.Double, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    _text("reason"),
    sa.Index("ix_nipo_auth_outbox_due", "state", "realm", "due_at"),
)

usage = _table(
    "usage",
    # ISO 8601.
    sa.Column("day", _key(10), primary_key=True),
    sa.Column("user_id", _key(64), primary_key=True),
    sa.Column("first_at", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double, nullable=False),
    sa.Index("ix_nipo_auth_usage_of_user", "user_id", "day"),
)

factor = _table(
    "factor",
    sa.Column("key", _key(128), primary_key=True),
    sa.Column("user_id", _key(64), nullable=False, index=True),
    sa.Column("kind", _key(16), nullable=False),
    _text("name"),
    _text("data"),
    sa.Column("counter", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("used_at", sa.Double, nullable=False),
    sa.Column("digest", _key(128), nullable=False),
)

backup_code = _table(
    "backup_code",
    sa.Column("user_id", _key(64), primary_key=True),
    sa.Column("digest", _key(128), primary_key=True),
)

schema_version = _table("schema_version", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))


# Only CREATE TABLE gets these: a table with options of a dialect loads this dialect.
_OF_MARIADB = {
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    # COMPACT, the default of some servers, has too short an index for an address.
    "mariadb_row_format": "DYNAMIC",
    # The other collations ignore case or trailing blanks.
    "mariadb_collate": "utf8mb4_nopad_bin",
}


def tables_for(dialect: str) -> sa.MetaData:
    """All tables, with the options of this database for CREATE TABLE."""
    if dialect != "mariadb":
        return _metadata
    copied = sa.MetaData()
    for table in _metadata.sorted_tables:
        table.to_metadata(copied).dialect_kwargs.update(_OF_MARIADB)
    return copied
