"""The tables of a run, on the terminal and in the docs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

from benchmarks.load.audit import Audit
from benchmarks.load.faults import Window
from benchmarks.load.ledger import Ledger, Seen

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|" for line in lines)


def milliseconds(seen: Sequence[Seen]) -> str:
    """The times of answers: p50, p99 and p99.9."""
    if len(seen) < 2:
        return "-"
    cuts = quantiles([one.ended - one.begun for one in seen], n=1000, method="inclusive")
    return " / ".join(f"{cuts[at] * 1000:.0f}" for at in (499, 989, 998))


def faults(ledger: Ledger, windows: Sequence[Window], audit: Audit) -> list[tuple[str, ...]]:
    """A row for each fault. What visitors saw is what they saw from its beginning to that of the next fault."""
    rows: list[tuple[str, ...]] = []
    ends = [window.begun for window in windows[1:]] + [float("inf")]
    for window, until in zip(windows, ends, strict=True):
        near = [one for one in ledger.seen if window.begun <= one.ended < until]
        failed = [one for one in near if one.failed]
        slowest = max((one.ended - one.begun for one in near), default=0)
        lost = [one for one in audit.lost if window.begun <= one.at < until]
        statuses = " and ".join(str(status or "no answer") for status in sorted({one.status for one in failed}))
        saw = f"{statuses} to {len(failed)} of {len(near)} requests" if failed else "nothing"
        rows.append(
            (
                window.fault,
                f"{window.ended - window.begun:.1f}",
                saw + (f", the slowest answer took {slowest:.1f} s" if slowest > 1 else ""),
                f"{recovery(ledger, window, until):.1f}",
                f"{audit.slowest_mail[window.fault]:.1f}" if window.fault in audit.slowest_mail else "-",
                f"{len(lost)}",
            )
        )
    return rows


HEAD = ("fault", "lasted, s", "what visitors saw", "recovered after, s", "slowest mail, s", "lost")


def recovery(ledger: Ledger, window: Window, until: float) -> float:
    """Seconds from the end of a fault to the moment after which no request that begins fails."""
    failed = [one.begun for one in ledger.seen if one.failed and window.ended <= one.begun and one.ended < until]
    return max(failed, default=window.ended) - window.ended


def write(name: str, text: str, page: Path = PAGE) -> None:
    """Put a measured text between its marks in the docs. KeyError without them."""
    block = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- /measured -->)", re.DOTALL)
    written, times = block.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page.read_text("utf-8"))
    if not times:
        raise KeyError(name)
    page.write_text(written, "utf-8")
