"""A request with a session on a database server: `python -m benchmarks.database URL [--rounds 200]`.

`URL` names a server of PostgreSQL or MariaDB, on which this makes a database of its own. The cost over the bare app is
divided by that of one `SELECT 1` on a cursor of the same driver: the round trip that no look-up can avoid. Everything
runs interleaved in one process, in short rounds, after each request was proven right. Exits 1 if the budget is not met.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from benchmarks.request import Ours, app, asking, environ, prove_ours
from benchmarks.timing import Figure, interleaved, over

BUDGETS = {"postgresql": 2.0, "mariadb": 2.2}
CALLS = 20


def main() -> None:
    """Measure and exit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("url", type=sa.make_url)
    options.add_argument("--rounds", type=int, default=200)
    given = options.parse_args()
    with database(given.url) as url:
        ours = Ours(url)
        with ours.store._db.engine.connect() as connection:
            met = measure(ours, connection.connection.cursor(), given.rounds)
        ours.store.close()
    sys.exit(0 if met else 1)


@contextmanager
def database(server: sa.URL) -> Iterator[str]:
    """The URL of a new database on the server, dropped afterwards."""
    name = f"nipo_bench_{os.getpid()}"
    engine = sa.create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            force = " WITH (FORCE)" if engine.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


def measure(ours: Ours, cursor: Any, rounds: int) -> bool:
    """Print the ratios; whether the budget is met."""
    cookie = prove_ours(ours)
    things: dict[str, Callable[[], object]] = {
        "bare": asking(app, environ("/public"), "-"),
        "select": lambda: (cursor.execute("SELECT 1"), cursor.fetchall()),
        "look-up": lambda: ours.auth._services.sessions.find(cookie),
        "signed in": asking(ours.auth, environ("/public", cookie), ours.user.id),
    }
    figures = interleaved(things, rounds, CALLS)
    select, name = figures["select"], ours.store._db.engine.dialect.name
    print(f"SELECT 1 on {name}: {shown(select, 1e6)} us")
    for what in ("look-up", "signed in"):
        cost = over(figures[what], figures["bare"])
        ratio = Figure(tuple(mine / least for mine, least in zip(cost.rounds, select.rounds, strict=True)))
        print(f"{what}: {shown(cost, 1e6)} us, {shown(ratio, 1)} x SELECT 1")
    met = statistics.median(ratio.rounds) <= BUDGETS[name]
    print(f"{'ok  ' if met else 'OVER'} required: at most {BUDGETS[name]} x")
    return met


def shown(figure: Figure, scale: float) -> str:
    """The median and the quartiles."""
    low, high = figure.spread
    return f"{figure.median * scale:.2f} ({low * scale:.2f}-{high * scale:.2f})"


if __name__ == "__main__":
    main()
