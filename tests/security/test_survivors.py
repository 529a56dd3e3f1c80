"""The reasons of surviving mutants are about the present code."""

from __future__ import annotations

import tomllib
from pathlib import Path

import nipo_auth_mw

PACKAGE = Path(nipo_auth_mw.__file__).parent
LISTED = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text("utf-8"))


def test_each_change_that_has_a_reason_begins_with_lines_of_the_code() -> None:
    """`python -m tests.security.survivors` prints the changes; it takes minutes for each module."""
    gone = []
    for module, groups in LISTED.items():
        source = (PACKAGE / f"{module}.py").read_text("utf-8")
        lines = {line.strip() for line in source.splitlines()}
        for change in (change for group in groups for change in group["changes"]):
            where, *difference = change.strip().splitlines()
            name = where.rpartition(".")[2]
            there = name == "module" or f"def {name}(" in source or f"class {name}" in source
            if not there or not {line[2:].strip() for line in difference if line.startswith("- ")} <= lines:
                gone.append((module, change))
    assert LISTED
    assert gone == []
