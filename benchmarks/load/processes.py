"""A server process in a folder of its own: start, stop, kill, freeze."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PATIENCE = 30
"""Seconds until a server must answer, on a busy machine."""


class Missing(Exception):
    """A program is not installed. The text names Debian's package."""


class Failed(Exception):
    """A server did not start."""


def program(name: str, package: str) -> str:
    """The path of a program, also of one in a folder that no user's PATH has. Raises `Missing`."""
    places = [os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    path = shutil.which(name, path=os.pathsep.join(places))
    if path is None:
        raise Missing(f"{name} is not installed: apt-get install {package}")
    return path


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and its descendants, the process first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in family(int(child)))]


def answers(address: str) -> bool:
    """Whether a server accepts connections at `host:port` or `unix:path`."""
    host, _, rest = address.partition(":")
    kind, where = (socket.AF_UNIX, rest) if host == "unix" else (socket.AF_INET, (host, int(rest)))
    with socket.socket(kind) as probe:
        probe.settimeout(1)
        try:
            probe.connect(where)
        except OSError:
            return False
    return True


class Process:
    """A server that listens at `address`. Its output goes to `<name>.log` in the folder."""

    def __init__(
        self,
        folder: Path,
        name: str,
        command: Sequence[str],
        address: str,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.name, self.address = name, address
        self.log = folder / f"{name}.log"
        self._command, self._user = list(command), user
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self._process is None:
            raise Failed(f"{self.name} does not run")
        return self._process.pid

    def launch(self) -> None:
        """Start, and do not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                start_new_session=True,
            )

    def start(self) -> None:
        """Start, and wait until it answers. Raises `Failed`."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Wait until it answers. Raises `Failed`."""
        deadline = time.monotonic() + _PATIENCE
        while not self.ready():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{self.name} does not answer: {self.log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.02)

    def ready(self) -> bool:
        """Whether it answers."""
        return answers(self.address)

    def send(self, number: int) -> None:
        """Send a signal to the process and all its descendants."""
        for pid in family(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """`kill -9` of the process and all its descendants."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the process alone, as an operator does, and wait for its end."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def freeze(self) -> None:
        """Stop the process and all its descendants without ending them: connections stay open, and no answer comes."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.send(signal.SIGCONT)
