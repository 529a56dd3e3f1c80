"""Finds names that are gone: `python -m tests.architecture.old_names` prints each use with the name in its place."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEARCHED = (
    *("nipo_auth_mw", "tests", "examples", "benchmarks", "docs"),
    *("README.md", "SECURITY.md", "CONTRIBUTING.md", "pyproject.toml"),
)
OWN = ("tests/architecture/old_names.toml", "tests/architecture/test_names.py")


class Name(NamedTuple):
    """`old` is text of each line that uses the name; `pattern` decides."""

    old: str
    new: str
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None
    files: tuple[str, ...]

    def is_used(self, path: str, line: str) -> bool:
        if self.old not in line or path in self.files or not self.pattern.search(line):
            return False
        return self.unless is None or not self.unless.search(line)


class Use(NamedTuple):
    path: str
    number: int
    name: Name
    line: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.name.old} -> {self.name.new}: {self.line.strip()[:100]}"


def names() -> tuple[Name, ...]:
    """The table, all sections together."""
    table = tomllib.loads((HERE / "old_names.toml").read_text("utf-8"))
    return tuple(_name(old, value) for section in table.values() for old, value in section.items())


def _name(old: str, value: str | dict[str, Any]) -> Name:
    given: dict[str, Any] = {"new": value} if isinstance(value, str) else value
    unless = given.get("unless")
    return Name(
        old,
        given["new"],
        re.compile(given.get("pattern", rf"(?<![\w-]){re.escape(old)}(?!\w)")),
        re.compile(unless) if unless else None,
        tuple(given.get("files", ())),
    )


@functools.cache
def _lines() -> tuple[tuple[str, int, str], ...]:
    """The lines that may use a name that is gone, as (path, number, line), in the files that git knows."""
    known = [argument for name in names() for argument in ("-e", name.old)]
    command = ["git", "grep", "-n", "-I", "--null", "-F", *known, "--", *SEARCHED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # git grep ends with 1 where it finds nothing.
    if done.returncode > 1:
        raise RuntimeError(done.stderr)
    found = (line.split("\0", 2) for line in done.stdout.split("\n") if line)
    return tuple((path, int(number), line) for path, number, line in found)


def uses() -> Iterator[Use]:
    """Every use of a name that is gone."""
    table = names()
    for path, number, line in _lines():
        if path not in OWN:
            yield from (Use(path, number, name, line) for name in table if name.is_used(path, line))


def main() -> int:
    found = [str(use) for use in uses()]
    print("\n".join(found) or "no old names")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
