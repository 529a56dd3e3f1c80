"""Moves the fragments of changelog.d/ into CHANGELOG.md: `python -m docs.make_changelog`.

`--check` changes nothing and exits with 1 if a fragment is not called `<slug>.<kind>.md` or has no text.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
KINDS = ("security", "added", "changed", "deprecated", "removed", "fixed")
_NAME = re.compile(rf"[a-z0-9-]+\.({'|'.join(KINDS)})\.md\Z")
_HEAD = "## [Unreleased]\n"


def fragments(folder: Path) -> dict[str, list[Path]]:
    """The fragments by kind, sorted by name. Raises ValueError for a file that is not a fragment."""
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*")):
        if path.name == "README.md":
            continue
        match = _NAME.match(path.name)
        if match is None or not path.read_text("utf-8").strip():
            raise ValueError(f"{path.name} is not a fragment: name it <slug>.<kind>.md, with one of {', '.join(KINDS)}")
        found[match[1]].append(path)
    return found


def merged(changelog: str, found: dict[str, list[Path]]) -> str:
    """The changelog with each fragment at the end of its kind's list below `[Unreleased]`."""
    before, head, rest = changelog.partition(_HEAD)
    section, following, after = rest.partition("\n## [")
    for kind in KINDS:
        lines = "".join(_item(path) for path in found[kind])
        if lines:
            section = _with(section, f"### {kind.capitalize()}", lines)
    return before + head + section.rstrip("\n") + "\n" + following + after


def _item(path: Path) -> str:
    """The fragment as one item of a Markdown list."""
    return "- " + path.read_text("utf-8").strip().replace("\n", "\n  ") + "\n"


def _with(section: str, heading: str, lines: str) -> str:
    """The section with these lines below the heading, which is added in the order of `KINDS` if it is missing."""
    parts = re.split(r"(?m)^(?=### )", section)
    for number, part in enumerate(parts):
        if part.startswith(heading + "\n"):
            parts[number] = f"{part.rstrip()}\n{lines}\n"
            return "".join(parts)
    order = [f"### {kind.capitalize()}" for kind in KINDS]
    later = order[order.index(heading) + 1 :]
    place = next((n for n, part in enumerate(parts) if part.split("\n")[0] in later), len(parts))
    parts[place - 1] = parts[place - 1].rstrip("\n") + "\n\n"
    return "".join([*parts[:place], f"{heading}\n\n{lines}\n", *parts[place:]])


def main(arguments: list[str]) -> int:
    """Merge the fragments and delete them; with `--check` only validate them. Returns the exit code."""
    try:
        found = fragments(ROOT / "changelog.d")
    except ValueError as wrong:
        click.echo(wrong, err=True)
        return 1
    if "--check" not in arguments:
        changelog = ROOT / "CHANGELOG.md"
        changelog.write_text(merged(changelog.read_text("utf-8"), found), "utf-8")
        for paths in found.values():
            for path in paths:
                path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
