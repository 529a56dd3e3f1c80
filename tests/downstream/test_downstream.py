"""A host's suite and the suites of the examples pass from an empty folder against the built wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLES = sorted(folder for folder in (ROOT / "examples").iterdir() if folder.is_dir() and any(folder.glob("*.py")))


OF_OTHERS = [
    "'cgi' is deprecated:DeprecationWarning",
    "pkg_resources is deprecated:UserWarning",
    "Deprecated call to:DeprecationWarning",
]


def test_the_suites_of_a_host_and_of_every_example_pass_against_the_wheel(wheel, tmp_path):
    """They run in a folder that knows nothing of the checkout."""
    # The wheel is pure Python and brings its command alone, which no suite calls: to unpack it is to install it.
    site, suites = tmp_path / "site", tmp_path / "suites"
    zipfile.ZipFile(wheel).extractall(site)
    for folder in (HERE / "suite", *EXAMPLES):
        shutil.copytree(folder, suites / folder.name, ignore=shutil.ignore_patterns("__pycache__", ".nipo-auth"))
    environ = {**os.environ, "PYTHONPATH": str(site), "EXPECTED_PACKAGE_FOLDER": str(site)}
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    for warning in OF_OTHERS:
        run += ["-W", f"ignore:{warning}"]
    done = subprocess.run(run, cwd=suites, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_every_example_has_a_suite_and_a_line_in_the_list():
    listed = re.findall(r"\]\((\w+)/\w+\.py\)", (ROOT / "examples" / "README.md").read_text("utf-8"))
    assert sorted(listed) == [folder.name for folder in EXAMPLES]
    assert all(list(folder.glob("test_*.py")) for folder in EXAMPLES)


def test_the_suite_imports_public_names_only():
    for file in [*(HERE / "suite").glob("*.py"), *(ROOT / "examples").rglob("*.py")]:
        text = file.read_text("utf-8")
        assert "auth._" not in text
        assert not re.search(r"nipo_auth_mw(?:\.\w+)*(?:\._[a-z]|\.middleware| import .*\b_[a-z])", text)
