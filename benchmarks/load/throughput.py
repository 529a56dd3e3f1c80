"""How many signed-in pages a second the servers give with the middleware, as a share of the bare page."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from statistics import median
from threading import Event

from benchmarks.load import report
from benchmarks.load.attackers import Attackers
from benchmarks.load.browser import SESSION
from benchmarks.load.house import House, SetUp, running
from benchmarks.load.ledger import Ledger
from benchmarks.load.people import SHARES, VICTIMS, Crowd
from benchmarks.load.processes import program

HEAD = (
    *("set-up", "bare, pages/s", "with, pages/s", "share"),
    *("mix: answers", "pages, p50 / p99 / p99.9, ms", "with attackers", "failed", "wrong"),
)
PEOPLE = 12
ROUNDS = 4
SET_UPS = [
    SetUp(kind=kind, store=store, redis=store == "postgres")
    for store in ("sqlite", "postgres")
    for kind in ("sync", "gthread", "gevent")
] + [SetUp(kind="gthread", unix=True)]
_CONNECTIONS = 16


def measure(set_up: SetUp, seconds: float, rate: float) -> tuple[list[str], bool]:
    """A row of the table, and whether all answers were right. Half of the time is for pages, half for the mix."""
    ledger = Ledger()
    with (
        tempfile.TemporaryDirectory(prefix="load-") as folder,
        running(set_up, Path(folder), PEOPLE + VICTIMS + 40, bare=True) as house,
    ):
        crowd = Crowd(house, ledger, PEOPLE, rate, SHARES)
        crowd.people[-1].sign_in_first()
        each = seconds / 4 / ROUNDS
        _pages(house, crowd, "", each)  # the first answers of a process are its slowest
        rounds = [(_pages(house, crowd, "-", each), _pages(house, crowd, "", each)) for _ in range(ROUNDS)]
        crowd.start(Attackers(house, ledger, crowd))
        Event().wait(seconds / 2)
        crowd.join()
    bare, ours = (median(column) for column in zip(*rounds, strict=True))
    share = median(mine / without for without, mine in rounds)
    failed = [one for one in ledger.seen if one.failed]
    wrong = ledger.wrong + [promise.of for promise in ledger.lost]
    row = [str(set_up), f"{bare:.0f}", f"{ours:.0f}", f"{share:.2f}", str(len(ledger.seen))]
    pages = [one for one in ledger.seen if one.kind in ("page", "visit")]
    row += [report.milliseconds(pages), report.milliseconds(ledger.seen), str(len(failed)), str(len(wrong))]
    return row, not failed and not wrong


def _pages(house: House, crowd: Crowd, identity: str, seconds: float) -> float:
    """Pages a second by wrk; `identity` "-" asks the bare page. Raises `AssertionError` for a wrong answer."""
    person = crowd.people[-1]
    port = house.bare_port if identity else house.port
    command = [program("wrk", "wrk"), "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s"]
    command += ["-s", str(Path(__file__).with_name("pages.lua")), "-H", f"Host: localhost:{port}"]
    command += ["-H", f"Cookie: {SESSION}={person.browser.cookies[SESSION]}", f"http://127.0.0.1:{port}/page"]
    done = subprocess.run([*command, "--", identity or person.account.id], capture_output=True, text=True, check=True)
    pages, microseconds, bad = map(int, done.stdout.rpartition("pages ")[2].split())
    if bad:
        raise AssertionError(f"{bad} of {pages} answers were not the page of the user")
    return pages / microseconds * 1e6
