"""One site, its people and attackers, its faults, and the audit."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.load import audit, faults, report
from benchmarks.load.attackers import Attackers
from benchmarks.load.house import SetUp, running
from benchmarks.load.ledger import Ledger
from benchmarks.load.people import AT_FAULTS, VICTIMS, Crowd

PEOPLE = 12
SET_UPS = (
    SetUp(kind="gthread", store="sqlite", nodes=2, faults=True),
    SetUp(kind="gthread", store="postgres", redis=True, nodes=2, faults=True),
)


def of(set_up: SetUp, seconds: float, rate: float, *, only: str = "", keep: bool = False) -> tuple[str, audit.Audit]:
    """The table of the faults whose name contains `only`, and what the audit found. `keep` keeps logs and data.

    Raises `Missing`.
    """
    folder, ledger = Path(tempfile.mkdtemp(prefix="load-")), Ledger()
    forgotten = int(40 + seconds * rate * AT_FAULTS["forget"] / 100 * 1.3)
    try:
        with running(set_up, folder, PEOPLE + forgotten + VICTIMS) as house:
            crowd = Crowd(house, ledger, PEOPLE, rate, AT_FAULTS)
            crowd.start(Attackers(house, ledger, crowd))
            chosen = [fault for fault in faults.of(house) if only in fault.name]
            windows = faults.run(house, chosen, seconds, lambda line: print(f"  {line}", flush=True))
            crowd.join()
            found = audit.of(house, ledger, crowd, windows)
            answered = [one for one in ledger.seen if not one.failed]
            print(f"  {len(answered)} answers, p50 / p99 / p99.9 {report.milliseconds(answered)} ms", flush=True)
            return report.table([report.HEAD, *report.faults(ledger, windows, found)]), found
    finally:
        if keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
