"""The tables and the steps of their upgrade. Every name starts with `nipo_auth_`, for use in a host app's database.

Every comparison of text is exact. Python computes the canonical form of an address, since the collations of the three
databases disagree about equal letters (an attacker registers a look-alike of another user's address).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.stores._folding import folded_values, reading_in
from nipo_auth_mw.stores._statements import attributes_text, id_text

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


def _first(connection: sa.Connection) -> None:
    tables_for(connection.dialect.name).create_all(connection)


def _complete(connection: sa.Connection) -> None:
    """Add the missing tables, columns and indexes."""
    _rename_session_column(connection)
    tables_for(connection.dialect.name).create_all(connection)
    found = sa.inspect(connection)
    quote = connection.dialect.identifier_preparer
    for table in _metadata.sorted_tables:
        there = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                spelt = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote.format_table(table)} ADD COLUMN {spelt}")
        if table is event and connection.dialect.name == "mariadb":
            # MariaDB indexes no whole TEXT column, the type of both in version 1.
            for column in (event.c.event, event.c.email):
                spelt = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote.format_table(table)} MODIFY {spelt}")
        named = {index["name"] for index in found.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in named:
                index.create(connection)


def _rename_session_column(connection: sa.Connection) -> None:
    """Rename `kept` to `persistent`. Every database renames the column in its index too."""
    found = sa.inspect(connection)
    names = {column["name"] for column in found.get_columns(session.name)} if found.has_table(session.name) else set()
    if "kept" in names:
        connection.exec_driver_sql(f"ALTER TABLE {session.name} RENAME COLUMN kept TO persistent")


_FORMER_STATE = "nipo_auth_account_notes"
_FORMER_ATTRIBUTES = {
    "lineage": "equivalent_hashes",
    "language": "language",
    "notify_email": "notify_email",
    "change_by": "password_change_deadline",
    "memo": "memo",
}


def _attributes(connection: sa.Connection) -> None:
    """Copy the columns of `nipo_auth_account_notes` into attributes of `nipo_auth_account_state`.

    The DROP of the former table ends the step: a run that finds this table copies every row again. MariaDB commits at
    each statement that changes a table.
    """
    _rename_session_column(connection)
    tables_for(connection.dialect.name).create_all(connection)
    if not sa.inspect(connection).has_table(_FORMER_STATE):
        return
    former = sa.table(_FORMER_STATE)
    rows = connection.execute(sa.select(sa.text("*")).select_from(former)).mappings().all()
    connection.execute(sa.delete(account_state))
    if rows:
        connection.execute(sa.insert(account_state), [_with_attributes(row) for row in rows])
    _drop(connection, _FORMER_STATE)


def _drop(connection: sa.Connection, table: str) -> None:
    connection.exec_driver_sql(f"DROP TABLE {table}")


def _with_attributes(row: sa.RowMapping) -> dict[str, Any]:
    state = AccountState().having(**{new: row.get(old) for old, new in _FORMER_ATTRIBUTES.items()})
    fixed = {"user_id": row["user_id"], "revocation_counter": row["epoch"], "version": 1}
    return fixed | {"attributes": attributes_text(state.attributes)}


def _outbox(connection: sa.Connection) -> None:
    """Add the table of the outbox."""
    tables_for(connection.dialect.name).tables[outbox.name].create(connection, checkfirst=True)


def _staff_list(connection: sa.Connection) -> None:
    """Add the columns that the staff list sorts by, and fold every account as today's search does."""
    _complete(connection)
    source = account.outerjoin(account_state, account_state.c.user_id == id_text(account.c.id))
    wanted = (account.c.id, account.c.email, account.c.name, account_state.c.attributes)
    rows = connection.execute(sa.select(*wanted).select_from(source)).all()
    values = [
        {"number": number, **folded_values(email, name, reading_in(attributes or "{}"))}
        for number, email, name, attributes in rows
    ]
    if values:
        changed: dict[str, Any] = {name: sa.bindparam(name) for name in values[0] if name != "number"}
        connection.execute(sa.update(account).where(account.c.id == sa.bindparam("number")).values(changed), values)


STEPS: tuple[Callable[[sa.Connection], None], ...] = (
    _first,
    _complete,
    _attributes,
    _outbox,
    _complete,
    _staff_list,
    _complete,
    _complete,
)
"""Step n upgrades version n - 1 to n. Each step can run again after an interrupted run."""

VERSION = len(STEPS)


def version_of(connection: sa.Connection) -> int:
    """The version of the tables; 0 for a database without tables."""
    if not sa.inspect(connection).has_table(schema_version.name):
        return 0
    return connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0


def upgrade(connection: sa.Connection) -> None:
    """Run the missing steps. The caller holds a lock against other processes that upgrade."""
    reached = version_of(connection)
    if not reached and not set(sa.inspect(connection).get_table_names()).intersection(_metadata.tables):
        # An empty database gets the tables of today at once.
        tables_for(connection.dialect.name).create_all(connection, checkfirst=False)
        connection.execute(schema_version.insert(), [{"version": version} for version in range(1, VERSION + 1)])
        return
    for version in range(reached + 1, VERSION + 1):
        STEPS[version - 1](connection)
        connection.execute(schema_version.insert().values(version=version))
