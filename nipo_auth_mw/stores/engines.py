"""From a URL or a host's engine to an engine of our own, and what each database needs to be told at connecting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from nipo_auth_mw.errors import ConfigError

_CONNECT_SECONDS = 3
_ANSWER_SECONDS = 3
_SQLITE_BUSY_SECONDS = 5

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mariadb+pymysql",
    "mariadb": "mariadb+pymysql",
}
_EXTRAS = {"postgresql": "postgresql", "mariadb": "mariadb"}
_FORMS = "Use sqlite:////path/auth.db, postgresql+psycopg://… or mariadb+pymysql://…"


def open_engine(target: str | URL | sa.Engine) -> sa.Engine:
    """An engine without a pool whose connections commit each statement by themselves. Connects to nothing yet.

    A host's engine is left alone, with its pool and its listeners: ours makes connections by the same recipe, so what
    the host configured (TLS, tokens, search path) holds for them too. Raises `ConfigError`.
    """
    creator = _recipe(target) if isinstance(target, sa.Engine) else None
    url = _normal(_url(target))
    options: dict[str, Any] = {"creator": creator} if creator else {"connect_args": _connect_args(url)}
    if url.get_backend_name() != "sqlite":
        options["paramstyle"] = "format"
    try:
        return sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True, **options)
    except ImportError as missing:
        extra = _EXTRAS.get(url.get_backend_name(), "")
        raise ConfigError(
            "store", f"the driver {missing.name} is not installed", f"pip install 'nipo_auth_mw[{extra}]'"
        ) from None


def shown(url: URL) -> str:
    """The URL as it may be printed: without user, password and options."""
    name = "sqlite" if url.get_backend_name() == "sqlite" else url.drivername
    return str(URL.create(name, host=url.host, port=url.port, database=url.database))


def settings(backend: str, *, durable: bool) -> tuple[str, ...]:
    """What is said to a new connection. `durable=False` is for counters: the last of them may be lost when the machine
    dies, so that no count waits for the disk."""
    if backend == "sqlite":
        return (
            f"PRAGMA busy_timeout = {_SQLITE_BUSY_SECONDS * 1000}",
            "PRAGMA journal_mode = WAL",
            "PRAGMA foreign_keys = ON",
            f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}",
        )
    if backend == "postgresql":
        return (
            f"SET statement_timeout = {_ANSWER_SECONDS * 1000}",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
            f"SET synchronous_commit = {'on' if durable else 'off'}",
        )
    return (
        f"SET SESSION innodb_lock_wait_timeout = {_ANSWER_SECONDS}, max_statement_time = {_ANSWER_SECONDS}",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        # Without it a server may cut an address that is too long, and store another person's.
        "SET SESSION sql_mode = CONCAT_WS(',', @@sql_mode, 'STRICT_ALL_TABLES')",
    )


def _url(target: object) -> URL:
    if isinstance(target, sa.Engine):
        return target.url
    if not isinstance(target, (str, URL)):
        raise ConfigError("store", f"{type(target).__name__} is neither a URL nor an engine", _FORMS)
    try:
        return make_url(target)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError("store", "the database URL cannot be read", _FORMS) from None


def _normal(url: URL) -> URL:
    """The URL with the one driver we use for its database. SQLite paths become absolute here, since a server may
    change its directory later."""
    backend = url.get_backend_name()
    named = url.drivername.partition("+")[2]
    driver = _DRIVERS.get(backend, "")
    if not driver or named not in {"", driver.partition("+")[2]}:
        raise ConfigError("store", f"{url.drivername} is not supported", _FORMS)
    if backend in {"mysql", "mariadb"}:
        url = url.update_query_dict({"charset": "utf8mb4"})
    if backend == "sqlite":
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            mend = "Name a file, sqlite:////path/auth.db; for tests there is MemoryStore()."
            raise ConfigError("store", "each connection would see an SQLite database of its own", mend)
        url = url.set(database=str(Path(url.database).absolute()))
    return url.set(drivername=driver)


def _connect_args(url: URL) -> dict[str, Any]:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return {"timeout": _SQLITE_BUSY_SECONDS, "check_same_thread": False}
    if backend == "postgresql":
        # The third one notices a server that is gone without a word (libpq counts it in milliseconds).
        return {"connect_timeout": _CONNECT_SECONDS, "keepalives": 1, "tcp_user_timeout": _ANSWER_SECONDS * 1000}
    return {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _ANSWER_SECONDS, "write_timeout": _ANSWER_SECONDS}


def _recipe(host: sa.Engine) -> Callable[[], Any]:
    """How the host's engine makes a connection. The pool made here is used for its recipe alone: each connection is
    taken out of it at once."""
    source = host.pool.recreate()

    def connect() -> Any:
        taken = source.connect()
        connection = taken.dbapi_connection
        taken.detach()
        return connection

    return connect
