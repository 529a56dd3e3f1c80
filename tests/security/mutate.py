"""Breaks the code once for each row and asks whether a test sees it: `python -m tests.security.mutate [ROW ...]`.

`--changed BASE` takes the rows whose mutated file, mutation or tests differ from that commit;
none of them is begun after `--seconds`, and those left out are named.

Each mutation in mutations/*.toml replaces one piece of text of the package. It is applied to a copy of the checkout,
and the tests named after its row are run there: they have to turn red. Printed are the rows whose tests stayed green,
and those without a mutation; the exit code is 1 when there are any of the first kind.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.security.requirements import HERE, ROWS, UNTESTED, shown

ROOT = HERE.parents[1]
JOBS = 2
TIMEOUT = 300


def mutations() -> dict[str, dict[str, str]]:
    """Row -> `file` (in the package), `old`, `new`."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((HERE / "mutations").glob("*.toml")):
        for row, mutation in tomllib.loads(path.read_text("utf-8")).items():
            assert row not in found, f"{row} twice"
            found[row] = mutation
    return found


def copy(folder: Path) -> None:
    """What git knows of the checkout, as it is now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    modules = ROOT / "tests" / "browser" / "node_modules"
    if modules.is_dir():
        (folder / "tests" / "browser" / "node_modules").symlink_to(modules)


def seen_red(folder: Path, row: str, mutation: dict[str, str], places: list[str]) -> str:
    """How the row's tests turned red, in pytest's words; "" when they did not."""
    path = folder / "nipo_auth_mw" / mutation["file"]
    whole = path.read_text("utf-8")
    assert whole.count(mutation["old"]) == 1, f"{row}: its text is not exactly once in {mutation['file']}"
    files = sorted({f"tests/{place.partition('::')[0]}" for place in places if "/sql_suites.py" not in place})
    if any("/sql_suites.py" in place for place in places):
        files.append("tests/contract/test_sqlite.py")
    path.write_text(whole.replace(mutation["old"], mutation["new"]), "utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", f"{row.lower()}_", *files],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end in {TIMEOUT} s"
    finally:
        path.write_text(whole, "utf-8")
    failed = re.search(r"\d+ failed", done.stdout)
    # An error, or a package that cannot even be collected, shows nothing about the row.
    if done.returncode and not failed:
        print(f"{row}: pytest could not run\n{done.stdout[-800:]}", flush=True)
    return failed[0] if failed else ""


def changed(base: str, known: dict[str, dict[str, str]], places: dict[str, list[str]]) -> list[str]:
    """The rows that a change since `base` could have taken their test from."""
    git = ["git", "diff", "--name-only", "--no-renames", base]
    names = set(subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n"))
    before = {}
    for path in sorted((HERE / "mutations").glob("*.toml")):
        show = ["git", "show", f"{base}:{path.relative_to(ROOT).as_posix()}"]
        before |= tomllib.loads(subprocess.run(show, cwd=ROOT, capture_output=True, text=True, check=False).stdout)

    def touched(row: str) -> bool:
        files = {f"nipo_auth_mw/{known[row]['file']}", *(f"tests/{place.partition('::')[0]}" for place in places[row])}
        return bool(files & names) or known[row] != before.get(row)

    return [row for row in ROWS if row in known and touched(row)]


def main(wanted: list[str], base: str = "", seconds: float = float("inf")) -> int:
    known, places = mutations(), shown()
    if base:
        wanted = changed(base, known, places)
        print(f"rows that changed since {base}: {len(wanted)}")
        if not wanted:
            return 0
    rows = [row for row in wanted or ROWS if row in known]
    ends, late = time.monotonic() + seconds, []
    with tempfile.TemporaryDirectory() as temporary:
        folders: queue.Queue[Path] = queue.Queue()
        for number in range(JOBS):
            folder = Path(temporary, str(number))
            folder.mkdir()
            copy(folder)
            folders.put(folder)

        def one(row: str) -> tuple[str, str]:
            if time.monotonic() > ends:
                late.append(row)
                return row, "left to .ci/full"
            folder = folders.get()
            try:
                how = seen_red(folder, row, known[row], places[row])
            finally:
                folders.put(folder)
            print(f"{row}: {f'red, {how}' if how else 'STAYED GREEN'}", flush=True)
            return row, how

        with ThreadPoolExecutor(JOBS) as pool:
            green = [row for row, how in pool.map(one, rows) if not how]
    without = [row for row in wanted or ROWS if row not in known and row not in UNTESTED]
    if late:
        print(f"not begun within {seconds:.0f} s: {', '.join(late)}")
    print(f"red: {len(rows) - len(green) - len(late)} of {len(rows)}; stayed green: {', '.join(green) or 'none'}")
    print(f"without a mutation: {', '.join(without) or 'none'}")
    return bool(green)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", type=str.upper)
    parser.add_argument("--changed", metavar="BASE", default="")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    asked = parser.parse_args()
    sys.exit(main(asked.rows, asked.changed, asked.seconds))
