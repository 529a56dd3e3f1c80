"""`SQLStore` on PostgreSQL keeps every contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.stores import SQLStore
from tests._services import database
from tests.contract.races import TestRaces
from tests.contract.sql_suites import *  # noqa: F403
from tests.contract.sql_suites import without_tables  # noqa: F401
from tests.servers.sql_servers import *  # noqa: F403

__all__ = ["TestRaces"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database("postgres") as address:
        yield address


def drop_others(connection: sa.Connection, name: str | None) -> None:
    connection.exec_driver_sql(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        (name,),
    )


def test_a_count_does_not_wait_for_the_disk(sql_store: SQLStore) -> None:
    assert sql_store._counting.fetch("SHOW synchronous_commit", ())[0][0] == "off"
    assert sql_store._db.fetch("SHOW synchronous_commit", ())[0][0] == "on"


def test_a_database_that_cannot_hold_every_name_gets_no_tables() -> None:
    with database("postgres", "euc", "ENCODING 'EUC_JP' LOCALE 'C' TEMPLATE template0") as address:
        store = SQLStore(address)
        with pytest.raises(ConfigError, match="the database is in EUC_JP"):
            store.create_schema()
        with pytest.raises(ConfigError, match="has no tables yet"):
            store.check()
        store.close()


def test_a_database_without_an_encoding_keeps_every_name() -> None:
    with database("postgres", "ascii", "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0") as address:
        store = SQLStore(address)
        store.create_schema()
        user = store.create(email="a@example.com", password_hash=None, name="髙﨑", role="staff", active=True)
        assert store.get(user.id).name == "髙﨑"
        store.close()
