"""Where the real servers are, and a database of our own on them."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

ADDRESSES = {
    "postgres": "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
    "mariadb": "mariadb+pymysql://root@127.0.0.1:3306/",
    "redis": "redis://127.0.0.1:6379",
}
_DRIVERS = {"postgres": "psycopg", "mariadb": "pymysql", "redis": "redis"}
_PORTS = {"postgres": 5432, "mariadb": 3306, "redis": 6379}


def address_of(service: str) -> str:
    """The server's URL. Without an answer from there the test is skipped, but fails in CI, where all must be there."""
    needed(_DRIVERS[service])
    address = os.environ.get(f"NIPO_TEST_{service.upper()}", ADDRESSES[service])
    url = make_url(address)
    try:
        socket.create_connection((url.host or "127.0.0.1", url.port or _PORTS[service]), timeout=2).close()
    except OSError as problem:
        absent(f"no {service} at {url.host}:{url.port} ({problem.strerror}); set NIPO_TEST_{service.upper()}")
    return address


def needed(module: str) -> Any:
    """The module. A test that needs it is skipped where it is not installed, and fails in CI."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return absent(f"{module.partition('.')[0]} is not installed: pip install --group dev")


def expect(*given: Any) -> Any:
    """Playwright's `expect`."""
    return needed("playwright.sync_api").expect(*given)


def absent(reason: str) -> None:
    """The one rule for what a test needs and does not find."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def database(service: str, what: str = "test", options: str = "") -> Iterator[str]:
    """The URL of a new, empty database, dropped afterwards. `options` are those of CREATE DATABASE."""
    url = make_url(address_of(service))
    name = f"nipo_{what}_{os.getpid()}"
    server = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    force = " WITH (FORCE)" if service == "postgres" else ""
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}{force}")
        connection.exec_driver_sql(f"CREATE DATABASE {name} {options}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
