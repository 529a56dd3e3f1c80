"""One site, its people and attackers, its faults, and the audit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import audit, faults, report
from benchmarks.load.attackers import Attackers
from benchmarks.load.faults import Fault
from benchmarks.load.house import SetUp, running
from benchmarks.load.ledger import Ledger
from benchmarks.load.people import AT_FAULTS, VICTIMS, Crowd

PEOPLE = 12
SET_UPS = (
    SetUp(kind="gthread", store="sqlite", nodes=2, small_disk=True),
    SetUp(kind="gthread", store="postgres", redis=True, nodes=2),
    SetUp(kind="gevent", store="postgres", nodes=2),
)
_SHORT = 10
"""Seconds. With less for each fault, each is made at one site only."""


def plan(set_ups: Sequence[SetUp], only: str, seconds: float) -> tuple[dict[SetUp, list[Fault]], float]:
    """The faults of each site whose name contains `only`, and the seconds for each."""
    all_of = {set_up: [one for one in faults.of(set_up) if only in one.name] for set_up in set_ups}
    if seconds / max(1, sum(map(len, all_of.values()))) < _SHORT:
        made: set[str] = set()
        for set_up, found in all_of.items():
            all_of[set_up] = [one for one in found if one.name not in made]
            made |= {one.name for one in found}
    planned = {set_up: found for set_up, found in all_of.items() if found}
    return planned, seconds / max(1, sum(map(len, planned.values())))


def of(
    set_up: SetUp, planned: Sequence[Fault], seconds: float, rate: float, *, keep: bool = False
) -> tuple[str, audit.Audit]:
    """The table of these faults, each of which takes so many seconds, and what the audit found. Raises `Missing`.

    `keep` keeps the folder with logs and data.
    """
    folder, ledger = Path(tempfile.mkdtemp(prefix="load-")), Ledger()
    forgotten = int(40 + seconds * len(planned) * rate * AT_FAULTS["forget"] / 100 * 1.3)
    try:
        with running(set_up, folder, PEOPLE + forgotten + VICTIMS) as house:
            crowd = Crowd(house, ledger, PEOPLE, rate, AT_FAULTS)
            crowd.start(Attackers(house, ledger, crowd))
            windows = faults.run(house, planned, seconds, lambda line: print(f"  {line}", flush=True))
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
