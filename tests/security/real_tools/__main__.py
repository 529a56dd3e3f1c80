"""Real tools against the demo under gunicorn on loopback, a verdict each.

    python -m tests.security.real_tools [hydra|wapiti|sqlmap|nginx|bandit|schemathesis ...]

Exits 1 when a verdict is bad or a tool is missing. Every tool is also tried on something it must find, so that finding
nothing means something.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.security.real_tools import bandit, hydra, nginx, schemathesis, sqlmap, wapiti
from tests.security.real_tools.common import Failed, Missing

TOOLS = {"hydra": hydra, "sqlmap": sqlmap, "nginx": nginx, "bandit": bandit, "wapiti": wapiti}
TOOLS["schemathesis"] = schemathesis


def main(names: list[str]) -> int:
    if unknown := set(names) - set(TOOLS):
        sys.exit(f"no such tool: {', '.join(sorted(unknown))}; there are {', '.join(TOOLS)}")
    lines = [(good, line) for name in names or TOOLS for good, line in verdicts(name)]
    print("\n" + "\n".join(line for _, line in lines))
    return 0 if all(good for good, _ in lines) else 1


def verdicts(name: str) -> list[tuple[bool, str]]:
    """All verdicts of one tool, printed as they come."""
    start = time.monotonic()
    lines = []
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as work:
        try:
            for good, text in TOOLS[name].check(Path(work) / "work"):
                lines.append((good, f"{'ok ' if good else 'BAD'} {name}: {text}"))
                print(lines[-1][1], flush=True)
        except (Missing, Failed) as problem:
            lines.append((False, f"BAD {name}: {problem}"))
        except subprocess.TimeoutExpired as late:
            lines.append((False, f"BAD {name}: was not done after {late.timeout:.0f} s"))
    print(f"{name} took {time.monotonic() - start:.0f} s", flush=True)
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
