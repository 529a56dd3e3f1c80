"""Writes docs/security-rows.md, the table of security rows, tests and mutations: `python -m docs.make_rows`."""

from __future__ import annotations

from pathlib import Path

from tests.security.mutate import mutations
from tests.security.requirements import GROUPS, ROWS, UNTESTED, shown


def page() -> str:
    """The whole page as Markdown."""
    places, broken = shown(), mutations()
    tested = sum(bool(places[row]) for row in ROWS)
    lines = [
        "# What must hold, and the tests that show it",
        "",
        "Made by `python -m docs.make_rows` from `tests/security/requirements.toml` and the names of the tests.",
        f"`pytest tests/security` prints which rows a run showed. {tested} of {len(ROWS)} rows have a test.",
        "`python -m tests.security.mutate` breaks the code for each row as the last column says. Its tests turn red.",
    ]
    for title, group in GROUPS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| row | what must hold | tests (under `tests/`) | status | red when |",
            "|---|---|---|---|---|",
        ]
        for row, promise in group.items():
            names = "<br>".join(f"`{place}`" for place in places[row])
            status = "tested" if names else f"not tested: {UNTESTED.get(row, 'no reason given')}"
            red_when = broken[row]["what"] if row in broken else "no mutation"
            lines.append(f"| {row} | {promise} | {names} | {status} | {red_when} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "security-rows.md").write_text(page(), "utf-8")
