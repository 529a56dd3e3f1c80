"""What sign-ins cost PostgreSQL: statements, commits, writes and processor time for each."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.load import site
from benchmarks.load.browser import SESSION, Browser
from benchmarks.load.house import House, SetUp, running
from benchmarks.load.ledger import Ledger
from benchmarks.load.processes import family
from benchmarks.load.servers import Postgres

HEAD = ("for each sign-in", "attempts counted in PostgreSQL", "in Redis")
SET_UPS = (SetUp(store="postgres"), SetUp(store="postgres", redis=True))
SENDERS = 10
_COUNTED = {
    "statements": "SELECT sum(calls) FROM pg_stat_statements",
    "commits": "SELECT sum(xact_commit) FROM pg_stat_database",
    "WAL, bytes": "SELECT wal_bytes FROM pg_stat_wal",
    "WAL, writes to disk": "SELECT wal_sync FROM pg_stat_wal",
    "rows written": "SELECT sum(tup_inserted + tup_updated + tup_deleted) FROM pg_stat_database",
    "blocks read from cache": "SELECT sum(blks_hit) FROM pg_stat_database",
}


def measure(set_up: SetUp, seconds: float, rate: float) -> dict[str, float]:
    """Each count for one sign-in. Hashes are cheap here, since they cost the database nothing."""
    ledger = Ledger()
    with (
        tempfile.TemporaryDirectory(prefix="load-") as folder,
        running(set_up, Path(folder), SENDERS, hasher="fast") as house,
    ):
        house.postgres.sql("CREATE EXTENSION pg_stat_statements")
        browsers = [Browser(house.port, ledger, f"127.10.0.{number + 1}") for number in range(SENDERS)]
        _sign_in(house, browsers, SENDERS / rate, 1)  # from now on their devices are known
        before, begun = _counts(house.postgres), len(ledger.seen)
        started = time.monotonic()
        _sign_in(house, browsers, SENDERS / rate, round(seconds * rate / SENDERS))
        took = time.monotonic() - started
        after, seen = _counts(house.postgres), ledger.seen[begun:]
    if any(one.status != 303 for one in seen):
        raise AssertionError("not every sign-in succeeded")
    per = {name: (after[name] - before[name]) / len(seen) for name in before}
    return {"sign-ins a second": len(seen) / took, **per}


def _sign_in(house: House, browsers: list[Browser], pause: float, times: int) -> None:
    """Let all browsers sign in so many times, as people who signed out before, each on its known device."""

    def go(number: int) -> None:
        for _ in range(times):
            begun = time.monotonic()
            browsers[number].cookies.pop(SESSION, None)
            browsers[number].post(
                "login", {"email": house.accounts[number].email, "password": site.PASSWORD, "remember": "1"}
            )
            time.sleep(max(0.0, begun + pause - time.monotonic()))

    threads = [threading.Thread(target=go, args=(number,)) for number in range(len(browsers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _counts(postgres: Postgres) -> dict[str, float]:
    """What PostgreSQL has counted; it publishes its counts a second late."""
    time.sleep(2)
    counts = {name: float(postgres.sql(query)[0][0] or 0) for name, query in _COUNTED.items()}
    ticks = 0
    for pid in family(postgres.pid):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # utime and stime, and of the first process also those of backends that have ended.
        ticks += sum(map(int, stat[11:15] if pid == postgres.pid else stat[11:13]))
    return {**counts, "processor time, ms": ticks * 1000 / os.sysconf("SC_CLK_TCK")}
