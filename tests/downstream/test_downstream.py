"""A host's suite and the suites of the examples pass from an empty folder against the built wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLES = sorted(folder for folder in (ROOT / "examples").iterdir() if folder.is_dir() and any(folder.glob("*.py")))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package as the wheel has it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    site = folder / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-compile",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    return site


OF_OTHERS = [
    "'cgi' is deprecated:DeprecationWarning",
    "pkg_resources is deprecated:UserWarning",
    "Deprecated call to:DeprecationWarning",
]


def passes(site, folder):
    """Run the suites below this folder, which knows nothing of the checkout."""
    environ = {**os.environ, "PYTHONPATH": str(site), "EXPECTED_PACKAGE_FOLDER": str(site)}
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    for warning in OF_OTHERS:
        run += ["-W", f"ignore:{warning}"]
    done = subprocess.run(run, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_a_hosts_own_suite_passes_against_the_wheel(site, tmp_path):
    shutil.copytree(HERE / "suite", tmp_path / "suite")
    passes(site, tmp_path / "suite")


def test_the_suite_of_every_example_passes_against_the_wheel(site, tmp_path):
    for folder in EXAMPLES:
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__", ".nipo-auth"))
    passes(site, tmp_path)


def test_every_example_has_a_suite_and_a_line_in_the_list():
    listed = re.findall(r"\]\((\w+)/\w+\.py\)", (ROOT / "examples" / "README.md").read_text("utf-8"))
    assert sorted(listed) == [folder.name for folder in EXAMPLES]
    assert all(list(folder.glob("test_*.py")) for folder in EXAMPLES)


def test_the_suite_imports_public_names_only():
    for file in [*(HERE / "suite").glob("*.py"), *(ROOT / "examples").rglob("*.py")]:
        text = file.read_text("utf-8")
        assert "auth._" not in text
        assert not re.search(r"nipo_auth_mw(?:\.\w+)*(?:\._[a-z]|\.middleware| import .*\b_[a-z])", text)
