"""Small apps before and after a move: the same suite passes, and the people sign in with their old passwords.

The suite of an app is the same file twice. Its set-up, `conftest.py` or `setup.py`, is what the guide changes.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "migrations"
GUIDES = ROOT / "docs" / "guides"
SUITES = {"flask_login": "test_notes.py", "flask_security": "test_reports.py", "django_auth": "tests.py"}
FLASK = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
DJANGO = ["manage.py", "test"]
ANYWHERE = re.MULTILINE | re.DOTALL


def ran(folder: Path, *command: str) -> str:
    """What a command printed that succeeded in this folder."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = [sys.executable, *command]
    done = subprocess.run(run, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("peer", SUITES)
def test_the_suite_of_the_app_passes_before_and_after(peer, tmp_path):
    suite = APPS / peer / SUITES[peer]
    tests = len(re.findall(r"^ *def test_", suite.read_text("utf-8"), re.MULTILINE))
    for when in ("before", "after"):
        folder = tmp_path / when
        shutil.copytree(APPS / peer / when, folder, ignore=shutil.ignore_patterns("__pycache__"))
        seed = APPS / peer / "seed.py"
        if when == "before" and seed.exists():
            shutil.copy(seed, folder)
            ran(folder, "seed.py")
        if seed.exists():
            shutil.copy(tmp_path / "seed.db", folder)
        shutil.copy(suite, folder)
        printed = ran(folder, *(DJANGO if suite.name == "tests.py" else FLASK))
        assert f"{tests} passed" in printed or f"Ran {tests} tests" in printed


def guide(peer: str) -> str:
    """The text of the guide from this library."""
    return (GUIDES / f"from-{peer.removesuffix('_auth').replace('_', '-')}.md").read_text("utf-8")


@pytest.mark.parametrize("peer", SUITES)
def test_the_app_after_has_the_lines_of_the_guide(peer):
    text = guide(peer)
    after = "".join(file.read_text("utf-8") for file in (APPS / peer / "after").rglob("*.py"))
    lines = re.findall(
        r"^(?:application = protect|Auth)\([^\n]*\)$|^users = .*?^\)$|^class Client.*?(?=^```)", text, ANYWHERE
    )
    assert len(lines) == 2
    for part in lines:
        assert part.rstrip() in after, part


def lines(folder: Path) -> list[str]:
    """The lines of an app without its tests, blank lines and those of a bracket alone aside."""
    files = [file for kind in ("*.py", "*.html") for file in folder.rglob(kind) if file.name != "conftest.py"]
    found = [line.strip() for file in sorted(files) for line in file.read_text("utf-8").splitlines()]
    return [line for line in found if line.strip("()[]{}, ")]


def changed(peer: str) -> tuple[int, int]:
    """How many lines went, and how many came."""
    steps = list(difflib.ndiff(lines(APPS / peer / "before"), lines(APPS / peer / "after")))
    return sum(step.startswith("- ") for step in steps), sum(step.startswith("+ ") for step in steps)


def test_the_lines_that_go_and_come_are_those_of_the_guides():
    for peer in SUITES:
        went, came = changed(peer)
        assert f"{went} lines go and {came} come" in guide(peer), peer
