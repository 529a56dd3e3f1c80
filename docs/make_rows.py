"""Writes docs/security-rows.md, the table row -> test -> status: `python -m docs.make_rows`."""

from __future__ import annotations

from pathlib import Path

from tests.attack.rows import GROUPS, ROWS, UNTESTED, shown


def page() -> str:
    places = shown()
    tested = sum(bool(places[row]) for row in ROWS)
    lines = [
        "# What must hold, and the tests that show it",
        "",
        "Made by `python -m docs.make_rows` from `tests/attack/rows.toml` and the names of the tests.",
        f"`pytest tests/attack` prints which rows a run showed. {tested} of {len(ROWS)} rows have a test.",
    ]
    for title, group in GROUPS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| row | what must hold | tests (under `tests/`) | status |",
            "|---|---|---|---|",
        ]
        for row, promise in group.items():
            names = "<br>".join(f"`{place}`" for place in places[row])
            status = "tested" if names else f"not tested: {UNTESTED.get(row, 'no reason given')}"
            lines.append(f"| {row} | {promise} | {names} | {status} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "security-rows.md").write_text(page(), "utf-8")
