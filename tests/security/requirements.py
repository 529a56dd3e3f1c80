"""The rows of requirements.toml, and which tests show them: a test's name begins with the ids of its rows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
GROUPS: dict[str, dict[str, str]] = tomllib.loads((HERE / "requirements.toml").read_text("utf-8"))
ROWS = {row: promise for group in GROUPS.values() for row, promise in group.items()}
# A row that no test shows stands here with the reason.
UNTESTED: dict[str, str] = {}

_DEFINED = re.compile(r"^ *def (test_\w+)\(", re.MULTILINE)
_IDS = re.compile(r"test_((?:[a-z]{2}\d+_)+)")


def ids(name: str) -> list[str]:
    """The rows a test of this name shows."""
    found = _IDS.match(name)
    return found[1].upper().split("_")[:-1] if found else []


def shown() -> dict[str, list[str]]:
    """Row -> the tests that show it, as `security/test_x.py::test_y`."""
    places: dict[str, list[str]] = {row: [] for row in ROWS}
    for path in sorted(TESTS.rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        for name in _DEFINED.findall(path.read_text("utf-8")):
            for row in ids(name):
                places.setdefault(row, []).append(f"{path.relative_to(TESTS).as_posix()}::{name}")
    return places


def summary(passed: set[str], failed: set[str]) -> list[str]:
    """What a run showed, from the names of its tests; each row it did not show with the reason."""
    good = {row for name in passed for row in ids(name)} - {row for name in failed for row in ids(name)}
    lines = [f"rows covered: {len(good & set(ROWS))} of {len(ROWS)}"]
    places = shown()
    for row in ROWS:
        if row not in good:
            why = UNTESTED.get(row) or "not in this run or not green: " + ", ".join(places[row])
            lines.append(f"  {row}: {why}")
    return lines
