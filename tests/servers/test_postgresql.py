"""`SQLStore` on PostgreSQL keeps every contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from nipo_auth_mw.stores import SQLStore
from tests._services import database
from tests.contract.races import TestRaces
from tests.contract.sql_suites import *  # noqa: F403
from tests.contract.sql_suites import empty, without_tables  # noqa: F401
from tests.servers.sql_servers import TestServer

__all__ = ["TestRaces", "TestServer"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database("postgres") as address:
        yield address


@pytest.fixture(scope="module")
def opened(url: str) -> Iterator[SQLStore]:
    store = SQLStore(url)
    store.create_schema()
    yield store
    store.close()


@pytest.fixture
def sql_store(opened: SQLStore) -> SQLStore:
    empty(opened)
    return opened


@pytest.fixture
def dropped(url: str) -> Iterator[Callable[[], None]]:
    """Ends every other connection to the database."""
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda: drop_others(connection, make_url(url).database)


def drop_others(connection: sa.Connection, name: str | None) -> None:
    connection.exec_driver_sql(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        (name,),
    )


def test_a_count_does_not_wait_for_the_disk(sql_store: SQLStore) -> None:
    assert sql_store._counting.fetch("SHOW synchronous_commit", ())[0][0] == "off"
    assert sql_store._db.fetch("SHOW synchronous_commit", ())[0][0] == "on"
