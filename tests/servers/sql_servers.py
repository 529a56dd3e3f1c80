"""What holds for the databases that are servers. A module that imports this defines the fixture `url`, and
`drop_others(connection, name)`, which ends all other connections to the database of this name."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.stores import SQLStore, _engines
from nipo_auth_mw.testing.contracts.sessions import a_session
from tests.contract.sql_suites import empty

__all__ = ["TestServer", "dropped", "opened", "sql_store"]


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
def dropped(url: str, request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """Ends every other connection to the database."""
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda: request.module.drop_others(connection, make_url(url).database)


class TestServer:
    def test_connections_that_the_server_dropped_are_opened_again(self, sql_store: SQLStore, dropped) -> None:
        sql_store.open_session(a_session())
        sql_store.counters.incr("a", 60)
        for work in (
            lambda: sql_store.find_session("a" * 64),
            lambda: sql_store.find_session_with_account("a" * 64),
            lambda: sql_store.sessions_of("1"),
            lambda: sql_store.mark_session_sent("a" * 64, 1.0),
            lambda: sql_store.counters.get("a"),
            lambda: sql_store.counters.incr("a", 60),
            lambda: sql_store.end_session("a" * 64),
        ):
            dropped()
            assert work()

    def test_a_transaction_that_lost_its_connection_keeps_nothing(self, sql_store: SQLStore, dropped) -> None:
        with pytest.raises(StoreUnavailable), sql_store.transaction():
            sql_store.raise_revocation_counter("1")
            dropped()
            sql_store.raise_revocation_counter("2")
        with pytest.raises(StoreUnavailable), sql_store.transaction():
            sql_store.raise_revocation_counter("1")
            dropped()
        assert (sql_store.account_state("1").revocation_counter, sql_store.account_state("2").revocation_counter) == (
            0,
            0,
        )
        assert sql_store.raise_revocation_counter("1") == 1

    def test_a_closed_port_is_an_outage(self, url: str) -> None:
        store = SQLStore(make_url(url).set(port=1))
        for work in (store.check, store.create_schema, lambda: store.find_session("a"), store.counters.reset):
            with pytest.raises(StoreUnavailable):
                work()
        assert store.counters.check() is False

    def test_a_server_that_never_answers_is_an_outage_in_less_than_5_seconds(self, url: str, monkeypatch) -> None:
        monkeypatch.setattr(_engines, "_CONNECT_SECONDS", 1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            store = SQLStore(make_url(url).set(host="127.0.0.1", port=silent.getsockname()[1]))
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                store.find_session("a")
            assert time.monotonic() - started < 5

    def test_a_row_that_stays_locked_is_an_outage_in_less_than_5_seconds(self, sql_store: SQLStore, url: str) -> None:
        sql_store.open_session(a_session())
        other = sa.create_engine(url, poolclass=NullPool)
        with other.connect() as connection:
            connection.exec_driver_sql("UPDATE nipo_auth_session SET sent_at = 1")
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                sql_store.mark_session_sent("a" * 64, 2.0)
            assert time.monotonic() - started < 5
            connection.rollback()
        assert sql_store.mark_session_sent("a" * 64, 2.0) is True

    def test_ru6_a_clock_of_this_machine_moves_no_counter_of_a_server(self, sql_store: SQLStore, monkeypatch) -> None:
        real, counters = time.time, sql_store.counters
        counters.incr("a", 10)
        for apart in (-300.0, 300.0, 740 * 86400.0):
            monkeypatch.setattr(time, "time", lambda apart=apart: real() + apart)
            assert counters.read({"a": 10})["a"][0] == counters.get("a")
            assert counters.incr("a", 10) > 1
            assert 0 < counters.get_expiry("a") - time.time() <= 10
        monkeypatch.undo()
        assert sql_store.counters.remove(["a"]) == {"a": 4}

    def test_what_does_not_fit_a_column_is_a_value_error(self, sql_store: SQLStore) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            sql_store.create(email="x" * 300, password_hash=None, name="", role="staff", active=True)
        with pytest.raises(ValueError, match="does not fit"):
            sql_store.open_session(a_session("k" * 200))
        assert sql_store.search("", after=None, limit=9) == []

    def test_a_reread_in_a_transaction_sees_what_others_committed(self, sql_store: SQLStore) -> None:
        """A compare-and-set that failed must be able to find the new value: no snapshot from the start."""
        user_id = sql_store.create(email="a@x.example", password_hash=None, name="", role="x", active=True).id
        with sql_store.transaction():
            assert sql_store.get(user_id).password_hash is None
            other = threading.Thread(target=lambda: sql_store.set_password_hash(user_id, "new", expected=None))
            other.start()
            other.join()
            assert sql_store.set_password_hash(user_id, "newer", expected=None) is False
            assert sql_store.get(user_id).password_hash == "new"
