"""`SQLStore` on MariaDB keeps every contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing.contracts.sessions import a_session
from tests._services import database
from tests.contract.races import TestRaces
from tests.contract.sql_suites import *  # noqa: F403
from tests.contract.sql_suites import without_tables  # noqa: F401
from tests.servers.sql_servers import *  # noqa: F403

__all__ = ["TestRaces"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database("mariadb") as address:
        yield address


def drop_others(connection: sa.Connection, name: str | None) -> None:
    listed = "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()"
    for (number,) in connection.exec_driver_sql(listed, (name,)).all():
        connection.exec_driver_sql(f"KILL {number}")


def test_the_older_name_of_the_driver_works_too(url: str, sql_store: SQLStore) -> None:
    older = SQLStore(make_url(url).set(drivername="mysql+pymysql"))
    older.check()
    assert older.raise_revocation_counter("1") == 1
    older.close()


def test_an_address_that_is_too_long_is_never_cut(url: str, sql_store: SQLStore) -> None:
    assert "STRICT_ALL_TABLES" in str(sql_store._db.fetch("SELECT @@sql_mode", ())[0][0])


def test_ru4_tables_are_made_where_compact_rows_are_the_default(url: str, sql_store: SQLStore) -> None:
    """A COMPACT row has no room for an index on an address of 254 characters."""
    default = sql_store._db.fetch("SELECT @@global.innodb_default_row_format", ())[0][0]
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("SET GLOBAL innodb_default_row_format = 'compact'")
        try:
            connection.exec_driver_sql("DROP TABLE nipo_auth_outbox, nipo_auth_counter")
            connection.exec_driver_sql("DELETE FROM nipo_auth_schema_version WHERE version > 3")
            sql_store.create_schema()
        finally:
            connection.exec_driver_sql(f"SET GLOBAL innodb_default_row_format = '{default}'")
        made = "SELECT DISTINCT row_format FROM information_schema.tables WHERE table_name IN (%s, %s) AND table_schema"
        found = connection.exec_driver_sql(f"{made} = DATABASE()", ("nipo_auth_outbox", "nipo_auth_counter")).scalars()
        assert [text.lower() for text in found] == ["dynamic"]


def test_ru3_the_look_up_of_every_request_is_planned_once_and_goes_on_behind_a_pooler(sql_store: SQLStore) -> None:
    """A pooler gives a transaction another connection, on which nothing is prepared."""
    sql_store.close()
    sql_store.open_session(a_session())

    def seen() -> str:
        found = sql_store.find_session_with_account("a" * 64)
        assert found is not None
        return found[0].key

    def counted(what: str) -> int:
        cursor = sql_store._db._pool._idle[-1].cursor
        cursor.execute(f"SHOW SESSION STATUS LIKE '{what}'")
        return int(cursor.fetchone()[1])

    assert [seen() for _ in range(5)] == ["a" * 64] * 5
    assert (counted("Com_prepare_sql"), counted("Com_execute_sql")) == (1, 5)
    current = sql_store._db._pool._idle[-1]
    for execute in current.prepared.values():
        current.cursor.execute(f"DEALLOCATE PREPARE {execute.split()[1]}")
    assert seen() == "a" * 64
    assert sql_store._db._setup.behind_pooler
    assert counted("Com_execute_sql") == 0, "the text is sent each time"
    sql_store._db._setup.behind_pooler = False
    sql_store.close()
