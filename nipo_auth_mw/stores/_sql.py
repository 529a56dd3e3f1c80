"""The store for production: SQLite, PostgreSQL or MariaDB, through SQLAlchemy Core."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import URL

from nipo_auth_mw.errors import ConfigError, DatabaseUnavailable
from nipo_auth_mw.stores import _engines, _files
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._outages import Outages
from nipo_auth_mw.stores._pool import WriteLock
from nipo_auth_mw.stores._setup import Setup
from nipo_auth_mw.stores._sql_account_states import SQLAccountStates
from nipo_auth_mw.stores._sql_accounts import SQLAccounts
from nipo_auth_mw.stores._sql_audit import SQLAudit
from nipo_auth_mw.stores._sql_counters import SQLCounters
from nipo_auth_mw.stores._sql_email_changes import SQLEmailChanges
from nipo_auth_mw.stores._sql_factors import SQLFactors
from nipo_auth_mw.stores._sql_outbox import SQLOutbox
from nipo_auth_mw.stores._sql_sessions import SQLSessions
from nipo_auth_mw.stores._sql_staff import SQLStaff
from nipo_auth_mw.stores._sql_usage import SQLUsage
from nipo_auth_mw.stores._statements import SERVER_CLOCKS
from nipo_auth_mw.stores._upgrades import VERSION, upgrade, version_of

_FEWEST_CONNECTIONS = 2
_LOCK_NAME = "nipo_auth_schema"


class SQLStore(
    SQLAccounts,
    SQLStaff,
    SQLSessions,
    SQLAccountStates,
    SQLFactors,
    SQLEmailChanges,
    SQLOutbox,
    SQLAudit,
    SQLUsage,
):
    """Every protocol of a store, in one database; `nipo_auth_mw.protocols` specifies the methods.

    Give a URL (`sqlite:////path/auth.db`, `postgresql+psycopg://…`, `mariadb+pymysql://…`) or the host app's
    `sqlalchemy.Engine`. The store leaves that engine unchanged and opens connections of its own with the engine's
    settings. Raises `ConfigError` for any other value. The constructor connects to nothing; the first use does, and
    switches an SQLite file to WAL mode.

    A process opens at most `max_connections` connections, a third of them for the counters, however many threads,
    greenlets and sockets it has. Each is lent for one statement or one transaction, is replaced after five minutes and
    after an outage, and is closed before a fork. Every method raises `StoreUnavailable` when all connections stay lent
    for 2 seconds, when the database does not answer within 5 seconds, or when the thread has waited 5 seconds for this
    process's other writers to an SQLite file.
    """

    def __init__(self, url_or_engine: str | URL | sa.Engine, *, max_connections: int = 8) -> None:
        if not isinstance(max_connections, int) or max_connections < _FEWEST_CONNECTIONS:
            hint = "Give the number of connections that each process may open, such as 8."
            raise ConfigError("store", f"max_connections={max_connections!r} is no number from 2", hint)
        engine = _engines.open_engine(url_or_engine)
        backend = engine.url.get_backend_name()
        write_lock = WriteLock() if backend == "sqlite" else None
        outages = Outages(engine, _engines.shown(engine.url))

        def connections(size: int, *, durable: bool) -> Connections:
            return Connections(
                engine, Setup(backend, str(engine.url.database), durable=durable), write_lock, outages, size
            )

        self.max_connections: int = max_connections
        # Two pools: a transaction may count while it holds a connection, and one pool could then wait for itself.
        self._counting = connections(max(1, max_connections // 3), durable=False)
        self._db = connections(max_connections - max(1, max_connections // 3), durable=True)
        self.counters: SQLCounters = SQLCounters(self._counting, self._db)
        self._prepare_sessions()
        self._prepare_usage()

    def __repr__(self) -> str:
        return f"SQLStore({_engines.shown(self._db.engine.url)!r})"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The `with` commits this thread's writes together; an exception that leaves the outermost one rolls them back.
        After a failed statement the transaction ends in `StoreUnavailable`."""
        with self._db.transaction():
            yield

    def create_schema(self) -> None:
        """Create the tables, or upgrade older tables to this release's version.

        Several processes may call it at once: one works, the others wait. A second call changes nothing. A new SQLite
        file gets mode 0600, since it holds password hashes. An older one loses the rights of all others. Raises
        `StoreUnavailable`, and `ConfigError` for a PostgreSQL database that is not in UTF-8.
        """
        if self._db.engine.dialect.name == "sqlite":
            _files.create_private(str(self._db.engine.url.database))
        with self._db.writing() as connection:
            _refuse_encoding(connection)
            unlock = _lock_schema(connection)
            try:
                upgrade(connection)
            finally:
                if unlock:
                    connection.exec_driver_sql(unlock)

    def check(self) -> None:
        """Raise `ConfigError` when the tables are missing or have another version, `StoreUnavailable` in an outage."""
        url = self._db.engine.url
        # A connection to a missing file of SQLite would create one that every local user can read.
        missing = url.get_backend_name() == "sqlite" and _files.is_missing(str(url.database))
        found = 0 if missing else self._db.ask(version_of) or 0
        if found > VERSION:
            problem = f"the tables have version {found}, newer than this release's {VERSION}"
            raise ConfigError("store", problem, "Install the release of nipo_auth_mw that made them, or a later one.")
        if found < VERSION:
            problem = f"the tables have version {found}, older than {VERSION}" if found else "has no tables yet"
            # A log must not get the user and the password of the URL.
            command = f"nipo-auth --store {_engines.shown(url)} init, in the server's environment"
            hint = f"Run: {command}. With --tables-only it makes no administrator and asks nothing"
            raise ConfigError("store", problem, hint)

    def now(self) -> float | None:
        """The clock of the database server, in seconds since 1970; None for an SQLite file, which has no clock."""
        clock = SERVER_CLOCKS.get(self._db.engine.dialect.name)
        return float(self._db.fetch(f"SELECT {clock}", ())[0][0]) if clock else None

    def close(self) -> None:
        """Close all connections. The next use opens them again."""
        self._db.close()
        self._counting.close()


def _refuse_encoding(connection: sa.Connection) -> None:
    """Raise `ConfigError` for a database that cannot hold every name and every User-Agent. MariaDB's tables are made in
    UTF-8 whatever the default of their database is, and SQL_ASCII keeps what it gets."""
    if connection.dialect.name != "postgresql":
        return
    found = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if found not in {"UTF8", "SQL_ASCII"}:
        hint = "Make one: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, with a locale of UTF-8 or LOCALE 'C'."
        raise ConfigError("store", f"the database is in {found}, which cannot hold every name", hint)


def _lock_schema(connection: sa.Connection) -> str:
    """Lock out other processes that create the tables; returns the statement that releases the lock, or ""."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({zlib.crc32(_LOCK_NAME.encode())})")
    if connection.dialect.name == "mariadb":
        # MariaDB's CREATE TABLE commits, which ends every lock of the transaction.
        name = f"CONCAT(LEFT(DATABASE(), 40), '.{_LOCK_NAME}')"
        if connection.exec_driver_sql(f"SELECT GET_LOCK({name}, 5)").scalar() != 1:
            raise DatabaseUnavailable("another process keeps the schema locked")
        return f"DO RELEASE_LOCK({name})"
    return ""
