"""SQLite does not wait for the disk in tests: only a crash of the machine, which no test has, tells the difference."""

from __future__ import annotations

import sqlalchemy as sa

from nipo_auth_mw.stores._setup import Setup

as_people_run_it = Setup._sqlite


def _without_waiting(self: Setup, connection: sa.Connection) -> str:
    begin = as_people_run_it(self, connection)
    connection.exec_driver_sql("PRAGMA synchronous = OFF")
    return begin


def install() -> None:
    Setup._sqlite = _without_waiting  # type: ignore[method-assign]
