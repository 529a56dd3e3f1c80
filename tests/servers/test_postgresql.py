"""`SQLStore` on PostgreSQL keeps every contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

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
