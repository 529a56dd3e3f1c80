"""Row RU31 with the real programs: each reports a plain 401, and none takes the sign-in page for what it asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests._services import absent
from tests.kit import middleware
from tests.security.test_clients import Server

PIP = [sys.executable, "-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check"]
PROGRAMS = {
    # git asks for a user name after every 401, whatever its headers; without a terminal it says so and ends.
    "git": (["git", "ls-remote", "{url}/r"], "terminal prompts disabled"),
    "hg": (["hg", "identify", "{url}/r"], "authorization failed"),
    "curl": (["curl", "-sSfL", "{url}/r"], "401"),
    "wget": (["wget", "-qO-", "-S", "{url}/r"], "401"),
    # pip tells no status without -v, as of any index that refuses.
    "pip": ([*PIP, "download", "--no-deps", "-i", "{url}/simple", "nipo-none"], "No matching distribution found"),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_ru31_a_program_reports_the_401(program, tmp_path):
    command, told = PROGRAMS[program]
    if program != "pip" and shutil.which(program) is None:
        absent(f"{program} is not installed")
    server = Server(middleware())
    quiet = {
        "HOME": str(tmp_path),
        "GIT_TERMINAL_PROMPT": "0",
        "HGPLAIN": "1",
        "LC_ALL": "C",
        "PIP_CONFIG_FILE": os.devnull,
    }
    try:
        done = subprocess.run(
            [part.format(url=server.url) for part in command],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **quiet},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        server.stop()
    printed = done.stdout + done.stderr
    assert done.returncode != 0
    assert told in printed, printed
    assert "Traceback" not in printed
    assert "unknown exception" not in printed
    assert not any(path.startswith("/-/auth") for path in server.asked), server.asked
