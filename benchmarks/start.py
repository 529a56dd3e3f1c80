"""What the start of a process costs: `python -m benchmarks.start [--rounds 11]`.

Each figure is the median of fresh processes, which take turns with processes that import SQLAlchemy alone, and
SQLAlchemy and Jinja2. Each is timed from its start to the moment when its work is done, which it tells by the clock
that all processes share; how long it takes to end is no part. The first page is the login page on SQLite; the tables
are there already, and the hasher is the one for tests, since the real one hashes once at the start by design (20 ms).
Bytecode is written in a first round that is not timed.

Exits 1 when a budget is not met: 4 ms to build a middleware in a warm process, 50 MiB at the peak, and 230 ms to the
first page. Most of that last one is the import of libraries, which takes as long as the machine is slow. So a first
page is also in time that takes at most 1.7 times the processor time of importing SQLAlchemy and Jinja2, which no start
can do without. That ratio is one of the least times, since other work on a machine only adds to them. The ratio to
SQLAlchemy alone is printed for comparison, and is no budget.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from nipo_auth_mw.stores import SQLStore

ROOT = Path(__file__).parents[1]
MOST_MS, MOST_RATIO, MOST_MIB, MOST_BUILT_MS = 230.0, 1.7, 50.0, 4.0

PAGE = """
import sys, time
begun = time.monotonic()
import nipo_auth_mw
imported = time.monotonic() - begun
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher
config = nipo_auth_mw.AuthConfig(
    secret_key="for benchmarks alone: this key stands in the source", base_url="http://localhost"
)
auth = nipo_auth_mw.AuthMiddleware(
    lambda environ, start: [b""], config, store=SQLStore(sys.argv[1]), hasher=fast_hasher()
)
environ = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/-/auth/login", "QUERY_STRING": "",
    "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost",
    "HTTP_ACCEPT": "text/html", "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http",
}
seen = []
page = b"".join(auth(environ, lambda status, headers, problem=None: seen.append(status)))
assert seen == ["200 OK"] and b'id="login"' in page, seen
done, spent = time.monotonic(), time.process_time()
peak = 0
try:
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
except OSError:
    pass
print(done, spent, imported, peak)
"""

WARM = """
import statistics, time
from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.testing import in_memory
taken = []
for turn in range(60):
    given = in_memory()
    begun = time.perf_counter()
    AuthMiddleware(print, **given)
    taken.append(time.perf_counter() - begun)
print(time.monotonic(), time.process_time(), statistics.median(taken[10:]))
"""

CODES = {
    "SQLAlchemy alone": "import time, sqlalchemy; print(time.monotonic(), time.process_time())",
    "SQLAlchemy and Jinja2": "import time, sqlalchemy, jinja2; print(time.monotonic(), time.process_time())",
    "first page": PAGE,
    "warm": WARM,
}


@dataclass(frozen=True)
class Run:
    """One process: how long it took until its work was done, its processor time, and what else it printed."""

    seconds: float
    spent: float
    printed: tuple[float, ...]


def run(code: str, url: str) -> Run:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPATH"] = str(ROOT)
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, url], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"not measured: {done.stderr}")
    ended, spent, *others = (float(word) for word in done.stdout.split())
    return Run(ended - begun, spent, tuple(others))


def measure(rounds: int) -> dict[str, list[Run]]:
    """All kinds of processes in turn, `rounds` times."""
    runs: dict[str, list[Run]] = {name: [] for name in CODES}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/auth.db"
        store = SQLStore(url)
        store.create_schema()
        for turn in range(rounds + 1):
            for name, code in CODES.items():
                made = run(code, url)
                if turn:
                    runs[name].append(made)
    return runs


def ratio_to(bases: list[Run], pages: list[Run]) -> float:
    return min(page.spent for page in pages) / min(base.spent for base in bases)


def report(runs: dict[str, list[Run]]) -> int:
    pages = runs["first page"]
    took = {name: statistics.median(run.seconds for run in made) * 1e3 for name, made in runs.items()}
    alone, ratio = (ratio_to(runs[name], pages) for name in ("SQLAlchemy alone", "SQLAlchemy and Jinja2"))
    imported = statistics.median(page.printed[0] for page in pages) * 1e3
    peak = statistics.median(page.printed[1] for page in pages) / 1024
    built = statistics.median(made.printed[0] for made in runs["warm"]) * 1e3
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; medians of {len(pages)} processes each")
    for name in ("SQLAlchemy alone", "SQLAlchemy and Jinja2", "first page"):
        print(f"{name:28} {took[name]:8.1f} ms")
    print(f"{'of it, import nipo_auth_mw':28} {imported:8.1f} ms")
    print(f"{'over SQLAlchemy alone':28} {alone:8.2f} x\n")
    budgets = [
        (
            f"first page {took['first page']:.0f} ms, {ratio:.2f} x SQLAlchemy and Jinja2",
            took["first page"] <= MOST_MS or ratio <= MOST_RATIO,
            f"{MOST_MS:.0f} ms or {MOST_RATIO} x",
        ),
        (f"peak {peak:.1f} MiB", peak <= MOST_MIB, f"{MOST_MIB:.0f} MiB"),
        (f"middleware in a warm process {built:.2f} ms", built <= MOST_BUILT_MS, f"{MOST_BUILT_MS:.0f} ms"),
    ]
    for name, met, most in budgets:
        print(f"{'ok  ' if met else 'OVER'} {name:52} required: at most {most}")
    return 0 if all(met for _, met, _ in budgets) else 1


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=11)
    sys.exit(report(measure(options.parse_args().rounds)))


if __name__ == "__main__":
    main()
