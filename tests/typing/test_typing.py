"""A host app's code passes mypy and pyright at their strictest, and the public surface has types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests._services import absent

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LEAST = 0.99


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # One that the machine has elsewhere does not know this environment.
    found = Path(sys.executable).parent / tool
    if not found.exists():
        absent(f"{tool} is not installed: pip install --group lint")
    # pyright looks for the package where the interpreter does.
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([str(found), *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_mypy_accepts_a_hosts_view() -> None:
    done = run("mypy", "--strict", "--no-incremental", "-p", "tests.typing.host_view")
    assert done.returncode == 0, done.stdout


def test_pyright_accepts_a_hosts_view(tmp_path: Path) -> None:
    settings = {"include": [str(HERE / "host_view.py")], "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    done = run("pyright", "--pythonpath", sys.executable, "--project", str(tmp_path))
    assert done.returncode == 0, done.stdout


def test_nearly_every_public_symbol_has_a_known_type() -> None:
    done = run(
        "pyright", "--pythonpath", sys.executable, "--verifytypes", "nipo_auth_mw", "--ignoreexternal", "--outputjson"
    )
    report = json.loads(done.stdout)["typeCompleteness"]
    unknown = [symbol["name"] for symbol in report["symbols"] if symbol["isExported"] and not symbol["isTypeKnown"]]
    assert report["completenessScore"] >= LEAST, "\n".join(unknown)
