"""Real apps that keep the name of a user: people are named, not numbered, and administrators are administrators there.

Each app is installed into an environment of its own, beside the middleware.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests._services import absent

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "frameworks.md").read_text("utf-8")

APPS = {
    "radicale": (
        ["Radicale==3.9.0"],
        ["own 201 207", "another's 403", "principal /yamada%40example.com/", "visitor 401"],
    ),
    "trac_site": (
        ["Trac==1.6"],
        ["member yamada@… 404", "administrator kanri@example.com 200", "ticket yamada@example.com", "visitor 303"],
    ),
    "appbuilder": (
        ["Flask-AppBuilder==5.3.0"],
        [
            "member yamada@example.com 403",
            "administrator kanri@example.com 200",
            "visitor 303",
            "names kanri@example.com yamada@example.com",
        ],
    ),
    "graphite": (
        ["graphite-web==1.1.10"],
        [
            "member 302",
            "administrator 200",
            "visitor 303",
            "names kanri@example.com yamada@example.com",
        ],
    ),
}
"""Each app: what is installed, and what its file prints in the end."""
REFUSED = ["visitor 303 303 303", "member 200 403 500", "administrator 200 200 500"]
FRAMEWORKS = {"cherrypy_site": (["CherryPy==18.10.0"], REFUSED), "webpy_site": (["web.py==0.76"], REFUSED)}
"""Frameworks that no other test installs, whose blocks in the guide make answers of refusals."""


def installed(folder: Path, *packages: str) -> Path:
    """The Python of a new environment with these packages, WebTest, and what the middleware needs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-compile", str(ROOT), "WebTest>=3.0.1", *packages]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        absent(f"pip cannot install {' '.join(packages)}: {done.stderr[-500:]}")
    return python


@pytest.mark.long
@pytest.mark.parametrize("app", [*APPS, *FRAMEWORKS])
def test_the_app_answers_as_the_guide_says(app, tmp_path):
    packages, says = {**APPS, **FRAMEWORKS}[app]
    python = installed(tmp_path / "venv", *packages)
    work = tmp_path / "work"
    work.mkdir()
    command = [str(python), "-m", f"tests.servers.named_apps.{app}", str(work)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-len(says) :] == says


def test_the_versions_that_were_tried_are_in_the_guide():
    for packages, _ in APPS.values():
        for name, _, version in (package.partition("==") for package in packages):
            assert f"| {name} {'.'.join(version.split('.')[:2])} |" in GUIDE
