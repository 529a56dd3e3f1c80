"""The tutorial, step by step, in a folder of its own; the translated one has the same steps."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.kit import PASSWORD
from tests.servers.conftest import free_port
from tests.servers.test_nginx_cache import NoRedirect

ROOT = Path(__file__).parents[2]
ENGLISH = ROOT / "docs" / "tutorial.md"
TRANSLATED = sorted((ROOT / "docs").glob("*/tutorial.md"))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of each block."""
    return _BLOCK.findall(page.read_text("utf-8"))


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.parent.name)
def test_a_translated_tutorial_has_the_same_steps(page):
    assert blocks(page) == blocks(ENGLISH)
    heads = [re.findall(r"^## ?(\d*)", one.read_text("utf-8"), re.MULTILINE) for one in (page, ENGLISH)]
    assert heads[0] == heads[1]


def test_the_blocks_of_a_translated_page_stand_in_an_english_one():
    """There they are tried: no page has code of its own."""
    english = [path for path in ROOT.rglob("docs/**/*.md") if path.parent.name != "ja"] + [ROOT / "README.md"]
    tried = "".join(path.read_text("utf-8") for path in english)
    for page in (ROOT / "docs" / "ja").glob("*.md"):
        for _, text in blocks(page):
            assert all(line in tried for line in text.splitlines()), text


class Folder:
    """The reader's folder: files are written, and commands run, as the page has them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ran: list[str] = []
        self.environ = {key: value for key, value in os.environ.items() if not key.startswith(("NIPO_", "PYTEST_"))}
        self.environ["PYTHONPATH"] = str(ROOT)

    def write(self, text: str) -> None:
        name = text.partition("\n")[0].removeprefix("# ")
        (self.path / name).write_text(text, "utf-8")

    def run(self, line: str) -> None:
        words = shlex.split(line)
        if words[:1] == ["flask"] and words[-1] == "run":
            self.serve(words)
        elif "init" in words:
            self.call([*words, "--password-stdin"], PASSWORD)
        else:
            self.call(words)
        self.ran.append(words[-1] if words[0] == "flask" else words[0])

    def call(self, words: list[str], typed: str = "") -> None:
        command = [sys.executable, "-m", *words]
        done = subprocess.run(
            command, input=typed, cwd=self.path, env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def deploy(self, text: str) -> None:
        """The settings of the server as the page has them, with a database here, and the app without a server."""
        text = text.replace("/var/lib/reports", str(self.path)).replace("python -c", f"{sys.executable} -c")
        text = text.replace("flask ", f"{sys.executable} -m flask ")
        text = text.replace("auth init", f"auth init --email boss@example.com --password-stdin <<< {PASSWORD}")
        factory = re.search(r"'(\w+):(\w+)\(\)'", text)
        assert factory is not None
        made = f"{sys.executable} -c 'import {factory[1]} as module; module.{factory[2]}()'"
        text = "\n".join(made if line.startswith("gunicorn") else line for line in text.splitlines())
        done = subprocess.run(
            ["bash", "-euc", text], cwd=self.path, env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert (self.path / "auth.db").exists()

    def serve(self, words: list[str]) -> None:
        """Start the server as the page does, on a free port, and open its first page."""
        port = free_port()
        command = [sys.executable, "-m", *words, "--port", str(port), "--no-reload"]
        server = subprocess.Popen(command, cwd=self.path, env=self.environ, stderr=subprocess.PIPE)
        try:
            asked = urllib.request.Request(f"http://localhost:{port}/", headers={"Accept": "text/html"})
            assert status_of(asked, time.monotonic() + 20) == (303, "/-/auth/login?next=/")
        finally:
            server.terminate()
            server.communicate(timeout=60)


def status_of(asked, deadline):
    while True:
        try:
            urllib.request.build_opener(NoRedirect).open(asked).close()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.status, answer.headers["Location"]
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_every_step_of_the_tutorial_runs(tmp_path):
    folder = Folder(tmp_path)
    for language, text in blocks(ENGLISH):
        if language == "python":
            folder.write(text)
        elif text.startswith("export"):
            folder.deploy(text)
            folder.ran.append("deploy")
        elif text.startswith(("flask", "pytest")):
            for line in text.splitlines():
                folder.run(line)
    assert folder.ran == ["山田", "run", "pytest", "deploy"]
    assert (tmp_path / "instance" / "nipo-auth" / "auth.db").exists()
