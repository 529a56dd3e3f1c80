"""The steps that bring the tables of an older release up to date. `nipo-auth init` runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.stores._folding import folded_values, reading_in
from nipo_auth_mw.stores._schema import (
    account,
    account_state,
    event,
    outbox,
    schema_version,
    session,
    tables_for,
)
from nipo_auth_mw.stores._statements import attributes_text, id_text


def _first(connection: sa.Connection) -> None:
    tables_for(connection.dialect.name).create_all(connection)


def _complete(connection: sa.Connection) -> None:
    """Add the missing tables, columns and indexes."""
    _rename_session_column(connection)
    tables_for(connection.dialect.name).create_all(connection)
    found = sa.inspect(connection)
    quote = connection.dialect.identifier_preparer
    for table in tables_for("").sorted_tables:
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
    if not reached and not set(sa.inspect(connection).get_table_names()).intersection(tables_for("").tables):
        # An empty database gets the tables of today at once.
        tables_for(connection.dialect.name).create_all(connection, checkfirst=False)
        connection.execute(schema_version.insert(), [{"version": version} for version in range(1, VERSION + 1)])
        return
    for version in range(reached + 1, VERSION + 1):
        STEPS[version - 1](connection)
        connection.execute(schema_version.insert().values(version=version))
