"""A host's suite passes from an empty folder against the built wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_a_hosts_own_suite_passes_against_the_wheel(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    shutil.copytree(HERE / "suite", tmp_path / "suite")
    environ = {**os.environ, "PYTHONPATH": str(site), "EXPECTED_PACKAGE_FOLDER": str(site)}
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    run += ["-W", "ignore:'cgi' is deprecated:DeprecationWarning"]
    done = subprocess.run(run, cwd=tmp_path / "suite", env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_the_suite_imports_public_names_only():
    for file in (HERE / "suite").glob("*.py"):
        text = file.read_text("utf-8")
        assert "auth._" not in text
        assert not re.search(r"nipo_auth_mw(?:\.\w+)*(?:\._[a-z]|\.middleware| import .*\b_[a-z])", text)
