"""What is left of a promise that was lost: rows of the outbox, events and lines of logs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.load.faults import Window
from benchmarks.load.ledger import Promise


def of(
    promise: Promise,
    windows: Sequence[Window],
    rows: Iterable[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]],
    folder: Path,
) -> list[str]:
    """One line for each thing that names the recipient or the mark of a promise.

    `rows` are those of `nipo-auth mail list --json`, `events` those of `nipo-auth audit export --json`, and `folder` is
    where the servers write their logs. A mail without a row was sent or dropped: the log has both ends of each sending.
    """
    found = [f"promised at {_clock(promise.at)}, {_near(promise.at, windows)}"]
    kept = [row for row in rows if row["to"] == promise.of]
    found += [f"outbox: {_short(row)}" for row in kept] or ["outbox: no row"]
    found += [f"event: {_short(event)}" for event in events if promise.of in (event["email"], event["user_agent"])]
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text("utf-8", "replace").splitlines()
        found += [f"{log.stem}: {line}" for line in lines if promise.of in line]
    return found


def _clock(at: float) -> str:
    """The time of day of a moment of the monotonic clock."""
    moment = datetime.fromtimestamp(at - time.monotonic() + time.time(), UTC)
    return moment.isoformat(timespec="milliseconds")


def _near(at: float, windows: Sequence[Window]) -> str:
    """Where a moment is among the faults: the last one before it and the first one after it."""
    before = [f"{at - one.begun:.1f} s after the beginning of {one.fault}" for one in windows if one.begun <= at]
    after = [f"{one.begun - at:.1f} s before {one.fault}" for one in windows if one.begun > at]
    return ", ".join([*before[-1:], *after[:1]])


def _short(row: Mapping[str, Any]) -> str:
    """The columns that say something."""
    return ", ".join(f"{name} {value}" for name, value in row.items() if value not in ("", None, {}))
