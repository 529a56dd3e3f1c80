"""wapiti and bandit in a virtual environment of their own: what wapiti needs does not go with what the tests need."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.security.real_tools.common import Missing

PACKAGES = ("wapiti3==3.2.3", "bandit==1.9.4")
_FOLDER = (
    Path(tempfile.gettempdir()) / f"nipo-auth-real-tools-{os.getuid()}-{sys.version_info[0]}.{sys.version_info[1]}"
)


def program(name: str) -> str:
    """The path of `name`, installed when it is not there yet."""
    path = _FOLDER / "bin" / name
    if not path.exists():
        _make()
    return str(path)


def _make() -> None:
    # Another user's folder of this name must not be run from.
    _FOLDER.mkdir(mode=0o700, exist_ok=True)
    if _FOLDER.stat().st_uid != os.getuid():
        raise Missing(f"{_FOLDER} belongs to another user")
    venv.create(_FOLDER, with_pip=True)
    command = [str(_FOLDER / "bin" / "pip"), "install", "-q", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"could not install {' and '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")
