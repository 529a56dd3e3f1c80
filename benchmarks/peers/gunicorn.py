"""One site under gunicorn, with one process. Its CPU time is read from /proc, since the time on the clock of a server
and its client says more of the machine than of the site."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.browser import Browser
from benchmarks.peers.sites import EMAIL, SITES, Site

_SITE, _FOLDER = "PEERS_SITE", "PEERS_FOLDER"
_TRIES = 200


def application() -> Any:
    """The entry point for gunicorn."""
    return SITES[os.environ[_SITE]](Path(os.environ[_FOLDER])).wsgi


def cpu_of_a_request(name: str, like: Site, rounds: int, calls: int) -> float:
    """Seconds of CPU time that gunicorn and the site take for the request of a user: the least of the rounds.

    The paths are those of `like`.
    """
    with tempfile.TemporaryDirectory() as folder, _served(name, folder, like) as (site, worker):
        browser = Browser(site.wsgi)
        browser.open(site.login, site.form)
        found = []
        for _ in range(rounds):
            before = _cpu(worker)
            for _ in range(calls):
                _ask(name, browser)
            found.append((_cpu(worker) - before) / calls)
        return min(found)


def _ask(name: str, browser: Browser) -> None:
    """One request, whose answer is checked."""
    if (text := browser.open("/page")) != EMAIL:
        sys.exit(f"not measured: {name} under gunicorn: {text!r} instead of {EMAIL!r}")


@contextmanager
def _served(name: str, folder: str, like: Site) -> Iterator[tuple[Site, int]]:
    """The site in a process of its own, as if it were called here; and the id of that process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "gunicorn",
        "-k",
        "gthread",
        "--threads",
        "1",
        "--keep-alive",
        "60",
    ]
    command += ["-b", f"127.0.0.1:{port}", f"{__name__}:application()"]
    environ = {**os.environ, _SITE: name, _FOLDER: folder}
    server = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    remote = _Remote(port)
    try:
        for _ in range(_TRIES):
            if remote.answers():
                break
            time.sleep(0.1)
        (worker,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        yield like._replace(wsgi=remote), int(worker)
    finally:
        remote.close()
        server.terminate()
        server.wait()


def _cpu(process: int) -> float:
    """The seconds that all threads of a process have been on a CPU."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


class _Remote:
    """A WSGI app that passes each request on to a server, over one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Pass the request on."""
        body = environ["wsgi.input"].read()
        headers = {"Host": "localhost", "Accept": "text/html"}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if "HTTP_COOKIE" in environ:
            headers["Cookie"] = environ["HTTP_COOKIE"]
        self._connection.request(environ["REQUEST_METHOD"], environ["PATH_INFO"], body or None, headers)
        answer = self._connection.getresponse()
        start_response(f"{answer.status} {answer.reason}", answer.getheaders())
        return [answer.read()]

    def answers(self) -> bool:
        """Whether the server is there."""
        try:
            self._connection.request("GET", "/page", headers={"Host": "localhost"})
            self._connection.getresponse().read()
        except OSError:
            self._connection.close()
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
