"""SQLAlchemy compiles a statement for SQLite once a process, and not once for each of a thousand stores."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from nipo_auth_mw.stores import _connections, _engines, _sql_sessions, _statements
from nipo_auth_mw.stores._statements import Query


def install() -> None:
    """Let all engines of SQLite have one dialect, which is what a compiled statement belongs to."""
    open_engine, compiled = _engines.open_engine, _statements.compiled
    queries: dict[Any, Query] = {}

    @cache
    def first() -> sa.Engine:
        made = sa.create_engine("sqlite+pysqlite://", isolation_level="AUTOCOMMIT")
        # The first connection tells a dialect what the library can do.
        made.connect().close()
        return made

    def opened(target: str | URL | sa.Engine) -> sa.Engine:
        engine = open_engine(target)
        if engine.dialect.name == "sqlite":
            engine.dialect, engine._compiled_cache = first().dialect, first()._compiled_cache
        return engine

    def compiled_once(statement: sa.ClauseElement, engine: sa.Engine) -> Query:
        key = statement._generate_cache_key()
        if key is None or engine.dialect is not first().dialect:
            return compiled(statement, engine)
        if key.key not in queries:
            queries[key.key] = compiled(statement, engine)
        return queries[key.key]

    _engines.open_engine = opened
    _connections.compiled = _sql_sessions.compiled = compiled_once
