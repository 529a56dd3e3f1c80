"""Connections to real databases: how many a process opens, and what happens when one breaks or a server fails."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
import trustme
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.stores import SQLStore, _setup
from nipo_auth_mw.testing.contracts.sessions import a_session
from tests._services import absent, database
from tests.kit import PASSWORD, browser, middleware, person, sign_in
from tests.servers.conftest import free_port, wait_for
from tests.servers.test_gunicorn import get, post

READ_ONLY = {
    "postgres": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
END_OTHERS = {
    "postgres": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = '{}' AND pid <> pg_backend_pid()",
    "mariadb": "SELECT CONCAT('KILL ', id) FROM information_schema.processlist"
    " WHERE db = '{}' AND id <> CONNECTION_ID()",
}


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    with database(request.param, "faults") as url:
        yield request.param, url


@pytest.fixture
def served(server):
    """A middleware over a server's database, with four people."""
    store = SQLStore(server[1])
    store.create_schema()
    auth = middleware(store=store)
    yield auth, [person(auth, f"p{number}@example.com").email for number in range(4)], store
    store.close()


def all_sign_in(auth, people):
    """The statuses of four sign-ins at once, and of a page each."""

    def one(email):
        test_app = browser(auth)
        answer = sign_in(test_app, email)
        return answer.status_int, test_app.get("/page", expect_errors=True).status_int

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(one, people))


def lend_all(connections):
    """Open every connection of the pool; returns the open ones, which are idle again."""
    lent = [connections._pool.acquire(time.monotonic()) for _ in range(connections._pool.size)]
    for one in lent:
        connections._pool.release(one)
    return lent


def test_ru1_after_a_switch_over_no_connection_stays_on_the_server_that_only_reads(server, served):
    """Open connections lead to the former primary, new ones to the present one."""
    auth, people, store = served
    for connections in (store._db, store._counting):
        for one in lend_all(connections):
            one.cursor.execute(READ_ONLY[server[0]])
    all_sign_in(auth, people)
    assert all_sign_in(auth, people) == [(303, 200)] * 4


def test_ru1_connections_cut_in_the_middle_of_sign_ins_are_replaced(server, served):
    kind, url = server
    auth, people, _ = served
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    seen = []
    with ThreadPoolExecutor(1) as pool, engine.connect() as other:
        for _ in range(4):
            answers = pool.submit(all_sign_in, auth, people)
            while not answers.done():
                found = other.exec_driver_sql(END_OTHERS[kind].format(make_url(url).database)).all()
                for (kill,) in found if kind == "mariadb" else ():
                    with suppress(sa.exc.OperationalError):
                        other.exec_driver_sql(kill)
            seen += answers.result()
    assert {status for pair in seen for status in pair} <= {200, 303, 503}
    assert all_sign_in(auth, people) == [(303, 200)] * 4


class Freezer:
    """A way to a server that can stop: it still accepts what comes, and answers nothing."""

    def __init__(self, host, port):
        self.to = (host, port)
        self.open = threading.Event()
        self.open.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                far = socket.create_connection(self.to)
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self.copy, args=(source, target), daemon=True).start()

    def copy(self, source, target):
        with suppress(OSError), source, target:
            while data := source.recv(65536):
                self.open.wait()
                target.sendall(data)

    def close(self):
        self.open.set()
        self.listener.close()


def test_ru1_a_frozen_server_costs_seconds_and_is_used_again_when_it_thaws(server, monkeypatch):
    monkeypatch.setattr(_setup, "_SILENCE_SECONDS", 0.3)
    _, url = server
    SQLStore(url).create_schema()
    there = make_url(url)
    way = Freezer(there.host, there.port)
    store = SQLStore(there.set(host="127.0.0.1", port=way.port).update_query_dict(_short(server[0])))
    try:
        store.open_session(a_session())
        way.open.clear()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.find_session("a" * 64)
        assert time.monotonic() - began < 5
        way.open.set()
        assert store.find_session("a" * 64) is not None
    finally:
        way.close()
        store.close()


def _short(kind):
    """PyMySQL has a time-out of its own."""
    return {"read_timeout": "1"} if kind == "mariadb" else {}


def test_ru4_what_cannot_be_reached_is_named_with_its_reason(server, tmp_path):
    kind, url = server
    there, authority = make_url(url), str(tmp_path / "authority.pem")
    # An authority that vouches for neither server; one without TLS fails likewise.
    trustme.CA().cert_pem.write_to_path(authority)
    tls = {"sslmode": "verify-full", "sslrootcert": authority} if kind == "postgres" else {"ssl_ca": authority}
    for changed, reason in (
        (there.set(port=1), ":1/"),
        (there.set(database="no_such"), "does not exist"),
        (there.set(username="no_such_user", password="hush hush"), "cannot be used"),
        (there.set(host="no-such-host.invalid"), "the host name is unknown"),
        (there.update_query_dict(tls), "the TLS connection failed"),
    ):
        store = SQLStore(changed)
        with pytest.raises(StoreUnavailable) as caught:
            store.find_session("a")
        assert reason in str(caught.value)
        assert "hush" not in str(caught.value)
        store.close()


@pytest.fixture
def limited_role():
    """The URL of a new database, for a role that may open 12 connections."""
    with database("postgres", "limited") as url:
        engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP ROLE IF EXISTS nipo_limited")
            connection.exec_driver_sql("CREATE ROLE nipo_limited LOGIN PASSWORD 'limited' CONNECTION LIMIT 12")
            connection.exec_driver_sql("GRANT CREATE ON SCHEMA public TO nipo_limited")
        yield make_url(url).set(username="nipo_limited", password="limited").render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = 'nipo_limited'"
            )
            connection.exec_driver_sql("DROP OWNED BY nipo_limited")
            connection.exec_driver_sql("DROP ROLE nipo_limited")


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_ru2_forty_slow_pages_and_idle_sockets_hold_no_connection(limited_role, kind, gunicorn, tmp_path):
    url = gunicorn(workers=1, threads=60, kind=kind, SERVED_STORE=limited_role)
    cookie = post(f"{url}/-/auth/login", {"email": "tanaka@example.com", "password": PASSWORD})[1]["Set-Cookie"]
    cookie = cookie.partition(";")[0]
    where = urlsplit(url)
    idle = []
    for _ in range(300 if kind == "gevent" else 10):
        sleeping = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        sleeping.request("POST", "/-/auth/forgot", json.dumps({"email": "x"}), {"Content-Type": "application/json"})
        sleeping.getresponse().read()
        idle.append(sleeping)
    with ThreadPoolExecutor(40) as threads:
        slow = [threads.submit(get, f"{url}/slow", cookie) for _ in range(40)]
        while not (tmp_path / "inside").exists():
            time.sleep(0.01)
        assert all("user=1" in get(f"{url}/page", cookie) for _ in range(20))
        (tmp_path / "go").touch()
        assert all("user=1" in one.result() for one in slow)
    for one in idle:
        one.close()


def test_ru2_a_statement_that_waits_holds_up_no_other_greenlet(server, gunicorn):
    """gunicorn loads the app, and so the driver, before it replaces threads with greenlets (`preload_app`)."""
    kind, there = server
    url = gunicorn(workers=1, kind="gevent", SERVED_STORE=there)
    cookie = post(f"{url}/-/auth/login", {"email": "tanaka@example.com", "password": PASSWORD})[1]["Set-Cookie"]
    locking = sa.create_engine(there, poolclass=NullPool)
    with locking.connect() as other, ThreadPoolExecutor(1) as threads:
        other.exec_driver_sql("DELETE FROM nipo_auth_session")
        ending = threads.submit(post, f"{url}/-/auth/logout", {}, cookie.partition(";")[0])
        while not _waits_for_a_lock(there, kind):
            assert not ending.done()
            time.sleep(0.15)  # a server of MariaDB shows the same waits for 0.1 s after each reading
        assert get(f"{url}/-/auth/session", "") == 401
        assert not ending.done()
        other.rollback()
        assert ending.result()[0] == 200


def _waits_for_a_lock(url, kind):
    waiting = {
        "postgres": "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()",
        "mariadb": "SELECT count(*) FROM information_schema.innodb_lock_waits",
    }
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return bool(connection.exec_driver_sql(waiting[kind]).scalar())


@pytest.fixture
def pooled(tmp_path):
    """A database behind pgbouncer in transaction mode, with two connections to the server."""
    if (program := shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")) is None:
        absent("pgbouncer is not installed")
    with database("postgres", "pooled") as url:
        there, port = make_url(url), free_port()
        tmp_path.chmod(0o755)
        settings = tmp_path / "pgbouncer.ini"
        user = f"user={there.username}" + (f" password={there.password}" if there.password else "")
        settings.write_text(
            f"[databases]\n{there.database} = host={there.host} port={there.port or 5432} {user}\n"
            f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\npool_mode=transaction\n"
            "default_pool_size=2\nmax_client_conn=200\nunix_socket_dir=\n"
        )
        process = subprocess.Popen(
            [program, "-u", "nobody", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        wait_for(port, process)
        yield there.set(host="127.0.0.1", port=port).render_as_string(hide_password=False), url
        process.terminate()
        process.communicate()


def test_ru3_behind_a_transaction_pooler_every_request_is_answered(pooled):
    """Eight threads on two connections of the server: a prepared statement or a setting of a session would be lost."""
    through, direct = pooled
    store = SQLStore(through)
    store.create_schema()
    auth = middleware(store=store)
    people = [person(auth, f"p{number}@example.com").email for number in range(8)]

    def one(email):
        statuses = set()
        test_app = browser(auth)
        for _ in range(5):
            statuses.add(sign_in(test_app, email).status_int)
            statuses.update(test_app.get("/page", expect_errors=True).status_int for _ in range(10))
        return statuses

    with ThreadPoolExecutor(8) as threads:
        assert set().union(*threads.map(one, people)) == {200, 303}
    store.close()
    with closing(SQLStore(direct)) as other:
        assert len(other.events(event="signed_in", limit=100)) == 40


def test_ru3_a_pooled_connection_keeps_no_setting_that_another_client_would_get(pooled):
    through, _ = pooled
    store = SQLStore(through)
    store.create_schema()
    store.counters.incr("a", 60)
    other = sa.create_engine(through, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        shown = {connection.exec_driver_sql("SHOW statement_timeout").scalar() for _ in range(5)}
        assert shown == {"0"}
    store.close()


HOSTILE = {
    "postgres": (
        "SET lock_timeout = '1ms'; SET extra_float_digits = 0;"
        " SET default_transaction_isolation = 'serializable'; SET client_encoding = 'LATIN1'"
    ),
    "mariadb": "SET SESSION sql_mode = 'ORACLE,NO_BACKSLASH_ESCAPES', autocommit = 0, tx_isolation = 'SERIALIZABLE',"
    " completion_type = 'CHAIN', sql_select_limit = 1, sql_safe_updates = 1,"
    " max_join_size = 1, sql_big_selects = 0, foreign_key_checks = 0, auto_increment_increment = 3",
}


def test_ru1_settings_that_an_administrator_made_for_other_programs_refuse_nobody(server):
    """For the role, the database or the whole server; here each new connection has them."""
    kind, url = server
    host = sa.create_engine(url)
    sa.event.listen(host, "connect", lambda connection, _: connection.cursor().execute(HOSTILE[kind]))
    if kind == "postgres":
        sa.event.listen(host, "connect", lambda connection, _: connection.commit())
    store = SQLStore(host)
    store.create_schema()
    auth = middleware(store=store)
    people = [person(auth, f"o'p{number}@example.com", name="山田 \\' 太郎").email for number in range(4)]
    for _ in range(5):
        assert all_sign_in(auth, people) == [(303, 200)] * 4
    assert store.find_by_email(people[0]).name == "山田 \\' 太郎"
    assert len(store.sessions_of(store.find_by_email(people[0]).id)) == 5
    assert store.counters.reset() > 0
    store.close()


def test_ru4_a_database_for_readers_alone_and_one_without_a_schema_are_told_apart():
    """By settings that the store does not overrule: an administrator uses the first to stop all writes."""
    for setting, hint in (
        ("default_transaction_read_only=on", "default_transaction_read_only is on"),
        ("search_path=", "search_path of this user or database names no schema"),
    ):
        with database("postgres", "readers") as url:
            store = SQLStore(make_url(url).update_query_dict({"options": f"-c {setting}"}))
            with pytest.raises(StoreUnavailable, match=hint):
                store.create_schema()
            store.close()


def test_ru1_a_process_that_stands_still_in_a_transaction_holds_up_the_others_for_seconds():
    """Such as one that was stopped. The server ends its transaction, also where an administrator allows any length."""
    with database("postgres", "still") as url:
        store = SQLStore(make_url(url).update_query_dict({"options": "-c idle_in_transaction_session_timeout=0"}))
        with store.transaction():
            assert store._db.fetch("SHOW idle_in_transaction_session_timeout", ())[0][0] == "5s"
        store.close()


def test_ru1_a_column_that_is_changed_under_a_running_process_refuses_nobody(server, served):
    """PostgreSQL refuses a statement that was prepared before, once on each connection."""
    kind, url = server
    auth, people, _ = served
    test_app = browser(auth)
    sign_in(test_app, people[0])
    for _ in range(10):
        test_app.get("/page")
    change = "ALTER COLUMN email TYPE text" if kind == "postgres" else "MODIFY email varchar(300)"
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER TABLE nipo_auth_account {change}")
    assert test_app.get("/page", expect_errors=True).status_int == 200
