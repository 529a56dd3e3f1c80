"""Tools in virtual environments of their own: what they need does not go with what the tests need."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.security.real_tools.common import Missing

PACKAGES = {"wapiti": "wapiti3==3.2.3", "bandit": "bandit==1.9.4", "schemathesis": "schemathesis==4.32.5"}
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def program(name: str) -> str:
    """The path of `name`, installed when it is not there yet."""
    folder = Path(tempfile.gettempdir()) / f"nipo-auth-{name}-{os.getuid()}-{_PYTHON}"
    path = folder / "bin" / name
    if not path.exists():
        _make(folder, PACKAGES[name])
    return str(path)


def _make(folder: Path, package: str) -> None:
    # Another user's folder of this name must not be run from.
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise Missing(f"{folder} belongs to another user")
    venv.create(folder, with_pip=True)
    command = [str(folder / "bin" / "pip"), "install", "-q", package]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"could not install {package}: {done.stderr.strip()[-300:]}")
