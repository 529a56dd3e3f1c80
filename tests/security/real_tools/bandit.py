"""bandit: nothing in the package and the examples that is not excused in pyproject.toml or on its line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.security.real_tools.common import ROOT, Verdict, run
from tests.security.real_tools.own_venv import program

HOLE = "import subprocess\n\n\ndef look(name):\n    return subprocess.run(f'ls {name}', shell=True)\n"
_OPTIONS = ["-q", "-f", "json", "-c", "pyproject.toml"]


def check(work: Path) -> Iterator[Verdict]:
    bandit = program("bandit")
    hole = work / "hole"
    hole.mkdir(parents=True)
    (hole / "hole.py").write_text(HOLE)
    report = work / "report.json"
    found = _found(bandit, report, [str(hole)])
    yield Verdict("B602" in found, f"control: a shell with a name of the caller's is reported as {found}")
    found = _found(bandit, report, ["nipo_auth_mw", "examples"])
    yield Verdict(not found, f"found {found or 'nothing'}")


def _found(bandit: str, file: Path, folders: list[str]) -> list[str]:
    """The names of what bandit reports; each is printed with its place."""
    run([bandit, *_OPTIONS, "-o", str(file), "-r", *folders], 120, cwd=ROOT)
    report = json.loads(file.read_text())
    errors = [f"could not read {each['filename']}" for each in report["errors"]]
    results = report["results"]
    for each in results:
        print(f"  {each['filename']}:{each['line_number']} {each['test_id']} {each['issue_text']}")
    return errors + sorted({each["test_id"] for each in results})
