"""`SQLStore` on SQLite keeps every contract, and what is SQLite's alone."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.models import Event
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.stores._setup import Setup
from nipo_auth_mw.testing.contracts.audit import START
from nipo_auth_mw.testing.contracts.base import at_once
from nipo_auth_mw.testing.contracts.sessions import a_session
from tests import _no_disk
from tests._services import needed
from tests.contract import sql_suites
from tests.contract.races import TestRaces  # noqa: F401
from tests.contract.sql_suites import *  # noqa: F403
from tests.contract.sql_suites import without_tables  # noqa: F401


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/auth.db"


@pytest.fixture
def sql_store(url: str, empty_database: Path) -> Iterator[SQLStore]:
    shutil.copy(empty_database, make_url(url).database or "")
    store = SQLStore(url)
    yield store
    store.close()


def asked(store: SQLStore, pragma: str, counting: bool = False) -> object:
    return (store._counting if counting else store._db).fetch(f"PRAGMA {pragma}", ())[0][0]


@pytest.fixture
def as_people_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In other tests no write waits for the disk."""
    monkeypatch.setattr(Setup, "_sqlite", _no_disk.as_people_run_it)


def test_what_must_last_is_on_the_disk_before_it_is_answered(as_people_run_it: None, sql_store: SQLStore) -> None:
    assert asked(sql_store, "journal_mode") == "wal"
    assert asked(sql_store, "synchronous") == 2
    assert asked(sql_store, "foreign_keys") == 1
    assert asked(sql_store, "busy_timeout") == 5000


def test_a_count_does_not_wait_for_the_disk(as_people_run_it: None, sql_store: SQLStore) -> None:
    assert asked(sql_store, "synchronous", counting=True) == 1


def test_hashes_are_for_the_owners_eyes_only(sql_store: SQLStore, tmp_path: Path) -> None:
    sql_store.raise_revocation_counter("1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("auth.db", "auth.db-wal", "auth.db-shm"), 0o600)


def test_a_server_that_starts_before_the_tables_are_made_makes_no_file(tmp_path: Path, url: str) -> None:
    """It would be readable by everybody, and stay so when the tables come."""
    store = SQLStore(url)
    with pytest.raises(ConfigError, match="has no tables yet"):
        store.check()
    assert list(tmp_path.iterdir()) == []
    store.create_schema()
    store.check()
    store.close()
    assert stat.S_IMODE((tmp_path / "auth.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:hunter22@localhost:abc/db", "mariadb+pymysql://u:hunter22@[::1/x"]
)
def test_a_url_that_cannot_be_read_is_an_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        SQLStore(url)
    assert "hunter22" not in str(caught.value)


def test_an_existing_file_keeps_its_mode(tmp_path: Path, url: str) -> None:
    (tmp_path / "auth.db").touch()
    (tmp_path / "auth.db").chmod(0o640)
    store = SQLStore(url)
    store.create_schema()
    store.close()
    assert stat.S_IMODE((tmp_path / "auth.db").stat().st_mode) == 0o640


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="MemoryStore"):
        SQLStore(url)


def test_a_hosts_engine_in_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="MemoryStore"):
        SQLStore(sa.create_engine("sqlite://"))


@pytest.mark.parametrize(
    "url", ["", "auth.db", "oracle://x", "sqlite+aiosqlite:////x", "postgresql+psycopg2://x", "mysql+mysqldb://x", 7]
)
def test_what_is_no_supported_database_is_refused(url: object) -> None:
    with pytest.raises(ConfigError, match="sqlite:////path") as caught:
        SQLStore(url)
    assert caught.value.field == "store"


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLStore("sqlite:///auth.db")
    monkeypatch.chdir("/")
    store.create_schema()
    store.close()
    assert (tmp_path / "auth.db").exists()


def test_the_repr_shows_no_password() -> None:
    needed("psycopg")
    store = SQLStore("postgresql+psycopg://kate:hush@db.example:5433/auth?password=hush&sslpassword=hush")
    assert repr(store) == "SQLStore('postgresql+psycopg://db.example:5433/auth')"
    assert repr(SQLStore("sqlite:////srv/auth.db")) == "SQLStore('sqlite:////srv/auth.db')"


def test_a_folder_that_is_not_there_is_an_outage(tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/missing/auth.db")
    for work in (store.create_schema, store.check, store.events):
        with pytest.raises(StoreUnavailable):
            work()


def test_a_full_disk_is_an_outage_and_keeps_nothing(sql_store: SQLStore) -> None:
    sql_store._db.fetch(f"PRAGMA max_page_count = {asked(sql_store, 'page_count')}", ())
    with pytest.raises(StoreUnavailable), sql_store.transaction():
        sql_store.raise_revocation_counter("1")
        sql_store.append_event(Event(START, "signed_in", user_agent="x" * 100_000))
    assert sql_store.account_state("1").revocation_counter == 0
    assert sql_store.raise_revocation_counter("1") == 1


def read_only(current):
    current.cursor.execute("PRAGMA query_only = ON")
    return current


def test_a_database_that_cannot_be_written_is_an_outage_for_writes_alone(sql_store: SQLStore) -> None:
    sql_store.open_session(a_session())
    for connections in (sql_store._db, sql_store._counting):
        connections.close()
        connections._pool._connect = lambda connect=connections._pool._connect: read_only(connect())
    with pytest.raises(StoreUnavailable):
        sql_store.counters.incr("a", 60)
    with pytest.raises(StoreUnavailable):
        sql_store.end_session("a" * 64)
    assert sql_store.find_session("a" * 64) is not None


def test_a_trigger_that_refuses_a_row_is_an_outage(sql_store: SQLStore) -> None:
    with sql_store._db.writing() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no BEFORE INSERT ON nipo_auth_event BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(StoreUnavailable), sql_store.transaction():
        sql_store.raise_revocation_counter("1")
        sql_store.append_event(Event(START, "x"))
    assert sql_store.account_state("1").revocation_counter == 0


def test_a_file_that_is_no_database_is_an_outage(tmp_path: Path, url: str) -> None:
    (tmp_path / "auth.db").write_bytes(b"no database" * 1000)
    store = SQLStore(url)
    with pytest.raises(StoreUnavailable):
        store.check()
    store.close()


def test_another_programs_commit_is_seen_at_once(sql_store: SQLStore, tmp_path: Path) -> None:
    user_id = sql_store.create(email="a@example.com", password_hash=None, name="", role="staff", active=True).id
    sql_store.open_session(a_session(user_id=user_id))
    assert sql_store.find_session_with_account("a" * 64)[2].active is True
    other = sqlite3.connect(tmp_path / "auth.db", isolation_level=None)
    other.execute("UPDATE nipo_auth_account SET active = 0")
    assert sql_store.find_session_with_account("a" * 64)[2].active is False
    other.execute("DELETE FROM nipo_auth_session")
    assert sql_store.find_session_with_account("a" * 64) is None
    other.close()


def test_reads_leave_no_transaction_open(sql_store: SQLStore, tmp_path: Path) -> None:
    sql_store.open_session(a_session())
    sql_store.find_session("a" * 64)
    sql_store.sessions_of("1")
    sql_store.counters.get("a")
    other = sqlite3.connect(tmp_path / "auth.db")
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.close()


def test_ids_are_never_used_again_even_by_another_process(sql_store: SQLStore, url: str) -> None:
    given = {"email": "a@example.com", "password_hash": None, "name": "", "role": "staff", "active": True}
    gone = sql_store.create(**given)
    sql_store.delete(gone.id)
    other = SQLStore(url)
    assert int(other.create(**given).id) > int(gone.id)
    other.close()


def test_32_threads_never_meet_a_locked_database(sql_store: SQLStore) -> None:
    """WS5: reads and writes of all kinds."""
    user_id = sql_store.create(email="a@example.com", password_hash=None, name="", role="staff", active=True).id

    def work(number: int) -> None:
        for once in range(5):
            key = f"{number:032}{once:032}"
            with sql_store.transaction():
                sql_store.open_session(a_session(key, user_id=user_id))
                sql_store.append_event(Event(START, "signed_in", user_id))
            sql_store.counters.incr(f"c{number % 3}", 60)
            for _ in range(20):
                assert sql_store.find_session_with_account(key) is not None
            sql_store.counters.get("c1")
            assert sql_store.end_session(key) is not None

    assert at_once(work, racers=32) == [None] * 32
    assert sum(sql_store.counters.get(f"c{number}") for number in range(3)) == 32 * 5
    assert sql_store.sessions_of(user_id) == []


def test_a_writer_elsewhere_is_waited_for_and_reads_go_on(sql_store: SQLStore, tmp_path: Path) -> None:
    sql_store.open_session(a_session())
    other = sqlite3.connect(tmp_path / "auth.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    assert sql_store.find_session("a" * 64) is not None
    done = threading.Timer(0.05, lambda: other.execute("COMMIT"))
    done.start()
    assert sql_store.raise_revocation_counter("1") == 1
    done.join()
    other.close()


def test_no_connection_is_left_to_the_garbage_collector(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Python 3.13 sqlite3 warns of each."""
    made, connect = [], sqlite3.dbapi2.connect
    monkeypatch.setattr(
        sqlite3.dbapi2, "connect", lambda *given, **named: made.append(connect(*given, **named)) or made[-1]
    )
    store = SQLStore(url)
    store.create_schema()
    store.counters.incr("a", 60)
    thread = threading.Thread(target=store.events)
    thread.start()
    thread.join()
    del thread, store
    gc.collect()
    assert len(made) >= 2
    for connection in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")


def test_the_look_up_of_each_request_is_one_select(sql_store: SQLStore) -> None:
    sql_store.open_session(a_session())
    sql_store.find_session_with_account("a" * 64)
    statements: list[str] = []
    sql_store._db._pool._idle[-1].cursor.connection.set_trace_callback(statements.append)
    sql_store.find_session_with_account("a" * 64)
    sql_store._db._pool._idle[-1].cursor.connection.set_trace_callback(None)
    assert [text.split()[0] for text in statements] == ["SELECT"]


def test_ru1_a_backup_put_back_under_a_running_process_is_used_within_a_second(
    sql_store: SQLStore, tmp_path: Path, url: str
) -> None:
    """A connection to the file that was replaced would go on with sessions that the backup does not have."""
    backup = SQLStore(f"sqlite:///{tmp_path}/backup.db")
    backup.create_schema()
    backup.close()
    sql_store.open_session(a_session())
    pool = sql_store._db._pool
    pool._look(0.0)
    asked(sql_store, "wal_checkpoint(TRUNCATE)")
    (tmp_path / "backup.db").replace(tmp_path / "auth.db")
    pool._look_at = 0.0
    assert sql_store.find_session("a" * 64) is None


def test_ru1_a_file_that_is_deleted_or_moved_is_an_outage_within_a_second(
    sql_store: SQLStore, tmp_path: Path, url: str
) -> None:
    """What a connection to the deleted file wrote would be lost, and a new file would stand in a backup's way."""
    sql_store.open_session(a_session())
    pool = sql_store._db._pool
    pool._look(0.0)
    (tmp_path / "auth.db").replace(tmp_path / "moved.db")
    pool._look_at = 0.0
    for work in (lambda: sql_store.find_session("a" * 64), lambda: sql_store.raise_revocation_counter("1")):
        with pytest.raises(StoreUnavailable, match=r"auth\.db is missing: put it back"):
            work()
    assert not (tmp_path / "auth.db").exists()
    (tmp_path / "moved.db").replace(tmp_path / "auth.db")
    assert sql_store.find_session("a" * 64) is not None


def test_ru4_an_outage_names_its_reason_the_file_and_a_hint(tmp_path: Path) -> None:
    folder = tmp_path / "folder.db"
    folder.mkdir()
    (tmp_path / "text.db").write_text("no database" * 1000)
    for name, reason in (
        ("missing/auth.db", "SQLITE_CANTOPEN: the file and its folder must exist"),
        ("folder.db", "SQLITE_CANTOPEN"),
        ("text.db", "SQLITE_NOTADB: the file is no SQLite database"),
    ):
        store = SQLStore(f"sqlite:///{tmp_path}/{name}")
        with pytest.raises(StoreUnavailable) as caught:
            store.find_session("a")
        assert f"the database sqlite:///{tmp_path}/{name} cannot be used (OperationalError {reason}" in str(
            caught.value
        ).replace("DatabaseError", "OperationalError")
        store.close()


def test_ru4_a_file_that_may_not_grow_and_a_network_folder_are_told_as_that(
    sql_store: SQLStore, tmp_path: Path
) -> None:
    sql_store.raise_revocation_counter("1")
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE), (tmp_path / "auth.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(StoreUnavailable, match=r"SQLITE_IOERR_WRITE: the disk failed, .* \(ulimit -f\)"):
            sql_store.raise_revocation_counter("1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sql_store.raise_revocation_counter("1") == 2
    problem = sqlite3.OperationalError("locking protocol")
    problem.sqlite_errorname = "SQLITE_PROTOCOL"
    assert "use a local disk" in str(sql_store._db._outages.translated(problem))


@contextmanager
def another_user() -> Iterator[None]:
    """The user of a server, after root has made the file: root itself may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("locked", ["", "auth.db"])
def test_ru4_a_file_or_folder_of_another_user_is_told_as_that(url: str, tmp_path: Path, locked: str) -> None:
    """As `sudo nipo-auth init` leaves them for a server of another user."""
    made = SQLStore(url)
    made.create_schema()
    made.close()
    store = SQLStore(url)
    (tmp_path / locked).chmod(0)
    told = r"the user of this process must be able to write both|cannot be created \(Permission denied\)"
    with another_user():
        for work in (store.check, store.create_schema, lambda: store.find_session("a")):
            with pytest.raises(StoreUnavailable, match=told):
                work()
    (tmp_path / locked).chmod(0o700)
    store.check()


def test_every_suite_of_a_database_is_run() -> None:
    assert sorted(name for name in vars(sql_suites) if name.startswith("Test")) == sorted(sql_suites.__all__)
