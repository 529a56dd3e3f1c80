"""The store's own engine, from a URL or a host app's engine, and the settings of its connections."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.stores._files import keep_private
from nipo_auth_mw.stores._setup import ANSWER_SECONDS, SQLITE_BUSY_SECONDS

_CONNECT_SECONDS = 3

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mariadb+pymysql",
    "mariadb": "mariadb+pymysql",
}
_EXTRAS = {"postgresql": "postgresql", "mariadb": "mariadb"}
_FORMS = "Use sqlite:////path/auth.db, postgresql+psycopg://… or mariadb+pymysql://…"

_OPTIONS = "After the question mark, a database URL has options of the driver alone: of libpq, or of PyMySQL's connect."


def open_engine(target: str | URL | sa.Engine) -> sa.Engine:
    """An engine without a pool, in autocommit mode. Connects to nothing.

    The engine of a host app stays unchanged, with its pool and its listeners. The new engine opens connections in the
    same way, so the host app's settings (TLS, tokens, search path) apply to them. Raises `ConfigError`.
    """
    url = _normalized(_url(target))
    creator = _creator(target, url) if isinstance(target, sa.Engine) else None
    options: dict[str, Any] = {"creator": creator} if creator else {"connect_args": _connect_args(url)}
    if url.get_backend_name() != "sqlite":
        options["paramstyle"] = "format"
    try:
        engine = sa.create_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True, **options
        )
        if creator is None:
            _refuse_options(engine)
        sa.event.listen(engine, "do_connect", lambda *_: _before_opening(url))
        return engine
    except ImportError as missing:
        extra = _EXTRAS.get(url.get_backend_name(), "")
        raise ConfigError(
            "store", f"the driver {missing.name} is not installed", f"pip install 'nipo_auth_mw[{extra}]'"
        ) from None
    except (TypeError, ValueError):
        raise ConfigError("store", "an option of the database URL cannot be read", _OPTIONS) from None


def shown(url: URL) -> str:
    """The URL for messages: without user, password and options."""
    name = "sqlite" if url.get_backend_name() == "sqlite" else url.drivername
    return str(URL.create(name, host=url.host, port=url.port, database=url.database))


def _url(target: object) -> URL:
    if isinstance(target, sa.Engine):
        return target.url
    if not isinstance(target, (str, URL)):
        raise ConfigError("store", f"{type(target).__name__} is neither a URL nor an engine", _FORMS)
    try:
        # A file that a secret was mounted from often ends with a line break.
        return make_url(target.strip() if isinstance(target, str) else target)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError("store", "the database URL cannot be read", _FORMS) from None


def _normalized(url: URL) -> URL:
    """The URL with the supported driver of its database. SQLite paths become absolute, since a WSGI server may change
    its working directory later."""
    backend = url.get_backend_name()
    named = url.drivername.partition("+")[2]
    driver = _DRIVERS.get(backend, "")
    if not driver or named not in {"", driver.partition("+")[2]}:
        raise ConfigError("store", f"{url.drivername} is not supported", _FORMS)
    if backend in {"mysql", "mariadb"}:
        url = url.update_query_dict({"charset": "utf8mb4"})
    if backend == "sqlite":
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            hint = "Name a file, sqlite:////path/auth.db; for tests there is MemoryStore()."
            raise ConfigError("store", "each connection would see an SQLite database of its own", hint)
        url = url.set(database=str(Path(url.database).absolute()))
    return url.set(drivername=driver)


def _connect_args(url: URL) -> dict[str, Any]:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}
    if backend == "postgresql":
        # `tcp_user_timeout` (in milliseconds) detects a server that vanished without closing the connection.
        limits = {"connect_timeout": _CONNECT_SECONDS, "keepalives": 1, "tcp_user_timeout": ANSWER_SECONDS * 1000}
        # A database in SQL_ASCII, which a machine without a locale makes, answers in bytes without an encoding.
        return limits | {"client_encoding": "UTF8"}
    return {"connect_timeout": _CONNECT_SECONDS, "read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}


def _refuse_options(engine: sa.Engine) -> None:
    """Raise `ConfigError` for an option of the URL that the driver does not know. SQLAlchemy hands all of them on."""
    driver: Any = engine.dialect.loaded_dbapi
    named = set(engine.dialect.create_connect_args(engine.url)[1])
    if engine.dialect.name == "postgresql":
        named -= {option.keyword.decode() for option in driver.pq.Conninfo.get_defaults()}
    elif engine.dialect.name == "mariadb":
        named -= set(inspect.signature(driver.connections.Connection).parameters)
    else:
        return
    named -= {"context", "client_flag"}
    if named:
        raise ConfigError("store", f"the database URL has unknown options: {', '.join(sorted(named))}", _OPTIONS)


def _before_opening(url: URL) -> None:
    """What a new connection needs first."""
    if url.get_backend_name() == "sqlite":
        keep_private(str(url.database))


def _creator(host: sa.Engine, url: URL) -> Callable[[], Any]:
    """A function that opens a connection as the host app's engine does. `detach` takes each one out of the copied pool,
    which therefore stays empty."""
    source = host.pool.recreate()

    def connect() -> Any:
        _before_opening(url)
        taken = source.connect()
        connection = taken.dbapi_connection
        taken.detach()
        return connection

    return connect
