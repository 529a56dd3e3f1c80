"""What every tool needs: the demo under gunicorn, a small HTTP client, and a bounded way to run a command."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from werkzeug.serving import WSGIRequestHandler, make_server

from examples.daily_report import ACCOUNTS
from nipo_auth_mw.models import Event
from nipo_auth_mw.stores import SQLStore

ROOT = Path(__file__).parents[3]
ADMIN, MEMBER, DISABLED = ACCOUNTS
_START = 30.0


class Verdict(NamedTuple):
    good: bool
    text: str


class Missing(Exception):
    """A tool is not there; the message says which package brings it."""


class Failed(Exception):
    """A server of ours did not do what the tools need."""


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    text: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")


def ask(
    url: str,
    method: str = "GET",
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    trust: ssl.SSLContext | None = None,
    source: str = "127.0.0.1",
) -> Answer:
    """One request as a browser on `source` sends it; follows nothing and keeps nothing."""
    parts = urlsplit(url)
    more = {"timeout": 20, "source_address": (source, 0)}
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, context=trust, **more)
    else:
        connection = http.client.HTTPConnection(parts.netloc, **more)
    sent = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": "en", **(headers or {})}
    body = None
    if form is not None:
        body, sent["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        connection.request(method, path, body, sent)
        got = connection.getresponse()
        return Answer(got.status, got.getheaders(), got.read().decode("utf-8", "replace"))
    finally:
        connection.close()


def cookie_header(answer: Answer) -> str:
    """What a browser sends back: the name and value of each cookie that was set."""
    return "; ".join(value.partition(";")[0] for value in answer.all("set-cookie"))


@dataclass
class Demo:
    """The demo, running. `url` is where gunicorn itself answers."""

    url: str
    folder: Path

    @property
    def output(self) -> str:
        """What the demo printed: its mails, and the log."""
        return (self.folder / "output").read_text("utf-8", "replace")

    def wait_for(self, pattern: str) -> str:
        """The first text of this pattern in what the demo printed; mails leave after the answer."""
        deadline = time.monotonic() + 10
        while not (found := re.search(pattern, self.output)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found[0] if found else ""

    def answered(self) -> Counter[int]:
        """How many answers of each status gunicorn has sent."""
        # A path holds what the tool put there, also what other readers take for the end of a line.
        return Counter(map(int, re.findall(r"^(\d{3}) [A-Z]", (self.folder / "access").read_text(), re.MULTILINE)))

    def history(self, name: str) -> list[Event]:
        """All events of this name, the newest first."""
        with closing(self._store()) as store:
            return list(store.events(event=name, limit=10_000))

    def id_of(self, account: Sequence[object]) -> str:
        with closing(self._store()) as store:
            found = store.find_by_email(str(account[0]))
        return found.id if found else ""

    def _store(self) -> SQLStore:
        return SQLStore(f"sqlite:///{self.folder / 'data' / 'auth.db'}")

    def sign_in(self, account: Sequence[object]) -> str:
        """The header of a browser on which this person has signed in."""
        email, password = str(account[0]), str(account[1])
        before = self.answered()[303]
        answer = ask(f"{self.url}/-/auth/login", "POST", form={"email": email, "password": password, "remember": "1"})
        if answer.status != 303:
            raise Failed(f"the demo's own {email} was answered {answer.status}")
        # gunicorn writes its log after the answer, and what follows is counted from here.
        while self.answered()[303] == before:
            time.sleep(0.02)
        return cookie_header(answer)

    def knows(self, cookies: str) -> bool:
        """Whether these cookies still belong to a session."""
        return ask(f"{self.url}/-/auth/account", headers={"Cookie": cookies}).status == 200


@contextmanager
def demo(
    folder: Path, *, lock: bool = True, base_url: str = "", proxies: int = 0, mount: str = "", port: int = 0
) -> Iterator[Demo]:
    """The demo under gunicorn on loopback, with an empty database in `folder`; `lock=False` sets its limits high."""
    folder.mkdir(parents=True)
    port = port or free_port()
    settings = {
        "DEMO_FOLDER": str(folder / "data"),
        "DEMO_BASE_URL": base_url or f"http://127.0.0.1:{port}",
        "DEMO_LOCK": str(int(lock)),
        "DEMO_PROXIES": str(proxies),
        "PYTHONUNBUFFERED": "1",
        # Where some gunicorns keep a socket.
        "HOME": str(folder),
        **({"SCRIPT_NAME": mount} if mount else {}),
    }
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "--threads", "4", "-b", f"127.0.0.1:{port}"]
    command += ["--access-logfile", str(folder / "access"), "--access-logformat", "%(s)s %(m)s %(U)s"]
    command += ["tests.security.real_tools.served:app"]
    with running(command, port, folder / "output", env={**os.environ, **settings}, cwd=ROOT):
        site = Demo(f"http://127.0.0.1:{port}{mount}", folder)
        yield site
    if crashed := {status: count for status, count in site.answered().items() if status >= 500}:
        raise Failed(f"answers of 500 and above: {crashed}")


@contextmanager
def running(command: Sequence[str], port: int, output: Path, **more: object) -> Iterator[None]:
    """A server, from its first answer on `port` to the end of the block; what it prints goes to `output`."""
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, **more)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + _START
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{command[0]} does not answer: {output.read_text('utf-8', 'replace')[-1000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass


@contextmanager
def served(app: Callable[..., Any]) -> Iterator[str]:
    """A small app of the script's own on a free port of loopback: its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tool(name: str, package: str) -> str:
    """The path of a program. Debian keeps servers where a user's PATH does not look."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{name} is not installed: apt-get install {package}")
    return path


def run(command: Sequence[str], seconds: float, **more: object) -> str:
    """Run a command and return what it wrote; says the command first. Raises `TimeoutExpired` after `seconds`."""
    print(f"$ {shlex.join(command)}", flush=True)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **more,  # type: ignore[call-overload]
    )
    try:
        return str(process.communicate(timeout=seconds)[0].decode("utf-8", "replace"))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
