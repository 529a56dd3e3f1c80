"""The store for production: SQLite, PostgreSQL or MariaDB, by way of SQLAlchemy Core."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.stores import engines, schema
from nipo_auth_mw.stores.connections import Connections
from nipo_auth_mw.stores.kept import Turn
from nipo_auth_mw.stores.sql_accounts import SQLAccounts
from nipo_auth_mw.stores.sql_audit import SQLAudit
from nipo_auth_mw.stores.sql_changes import SQLEmailChanges
from nipo_auth_mw.stores.sql_counters import SQLCounters
from nipo_auth_mw.stores.sql_sessions import SQLSessions

_LOCK_NAME = "nipo_auth_schema"
_CLOCKS = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mariadb": "SELECT UNIX_TIMESTAMP(NOW(6))",
}


class SQLStore(SQLAccounts, SQLSessions, SQLEmailChanges, SQLAudit):
    """All of a store's protocols in one database; see `nipo_auth_mw.protocols` for what each method promises.

    Give a URL (`sqlite:////path/auth.db`, `postgresql+psycopg://…`, `mariadb+pymysql://…`) or the host's own
    `sqlalchemy.Engine`, which stays as it is: connections of ours are made by its recipe. Raises `ConfigError` for
    anything else; connects to nothing before its first use. An SQLite file is put into WAL mode.

    Each thread keeps up to two connections, one for the counters; they close with their thread and before a fork.
    `StoreUnavailable` is raised when the database has not answered for 5 seconds, or another 5 spent in the queue of
    this process's writers to an SQLite file.
    """

    def __init__(self, url_or_engine: str | URL | sa.Engine) -> None:
        engine = engines.open_engine(url_or_engine)
        backend = engine.url.get_backend_name()
        turn = Turn() if backend == "sqlite" else None
        self._db = Connections(engine, engines.settings(backend, durable=True), turn)
        self._counting = Connections(engine, engines.settings(backend, durable=False), turn)
        self.counters = SQLCounters(self._counting, self._db)
        self._prepare_sessions()

    def __repr__(self) -> str:
        return f"SQLStore({engines.shown(self._db.engine.url)!r})"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that this thread writes inside happens whole or, if an exception leaves the outermost `with`, not at
        all. Once a statement in it has failed, it can only end in `StoreUnavailable`."""
        with self._db.transaction():
            yield

    def create_schema(self) -> None:
        """Create the tables, or bring older ones to this release's version.

        May be called again, and by several processes at once: one works, the others wait. A new SQLite file is made
        readable by its owner alone, since it holds password hashes. Raises `StoreUnavailable`.
        """
        if self._db.engine.dialect.name == "sqlite":
            _create_private(Path(str(self._db.engine.url.database)))
        with self._db.writing() as connection:
            unlock = _lock_schema(connection)
            try:
                schema.upgrade(connection)
            finally:
                if unlock:
                    connection.exec_driver_sql(unlock)

    def check(self) -> None:
        """Raises `ConfigError` when the tables are missing or of another version, `StoreUnavailable` in an outage."""
        url = self._db.engine.url
        found = 0 if _not_made_yet(url) else self._db.ask(schema.version_of) or 0
        if found > schema.VERSION:
            problem = f"the tables have version {found}, newer than this release's {schema.VERSION}"
            raise ConfigError("store", problem, "Install the release of nipo_auth_mw that made them, or a later one.")
        if found < schema.VERSION:
            problem = f"the tables have version {found}, older than {schema.VERSION}" if found else "has no tables yet"
            # Without user and password, which must not get into a log.
            raise ConfigError("store", problem, f"Run: nipo-auth --store {engines.shown(url)} init")

    def now(self) -> float | None:
        """The database server's clock, in seconds since the epoch; None for a file, which has none of its own."""
        sql = _CLOCKS.get(self._db.engine.dialect.name)
        return float(self._db.fetch(sql, ())[0][0]) if sql else None

    def close(self) -> None:
        """Close all connections. A closed store opens them again when it is used again."""
        self._db.close()
        self._counting.close()


def _not_made_yet(url: sa.URL) -> bool:
    """Whether an SQLite file is still to be made. To look into it would make one that everybody may read."""
    path = Path(str(url.database))
    return url.get_backend_name() == "sqlite" and path.parent.is_dir() and not path.exists()


def _create_private(path: Path) -> None:
    with suppress(FileExistsError):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            raise
        except OSError as problem:
            raise StoreUnavailable(f"the database file {path} cannot be created ({problem.strerror})") from None


def _lock_schema(connection: sa.Connection) -> str:
    """Keep others from creating the tables meanwhile; returns the statement that lets them, if one is needed."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({zlib.crc32(_LOCK_NAME.encode())})")
    if connection.dialect.name == "mariadb":
        # Its CREATE TABLE commits, so a lock of the transaction would not last.
        name = f"CONCAT(LEFT(DATABASE(), 40), '.{_LOCK_NAME}')"
        if connection.exec_driver_sql(f"SELECT GET_LOCK({name}, 5)").scalar() != 1:
            raise StoreUnavailable("another process keeps the schema locked")
        return f"DO RELEASE_LOCK({name})"
    return ""
