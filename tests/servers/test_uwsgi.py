"""Promises under a real uWSGI, which is no tool of a group, since building it needs a compiler."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests._services import absent, database
from tests.kit import PASSWORD
from tests.servers.conftest import free_port, wait_for
from tests.servers.test_gunicorn import get, post

pytestmark = pytest.mark.long
RIGHT = {"email": "tanaka@example.com", "password": PASSWORD}


@pytest.fixture
def uwsgi(tmp_path):
    """Starts `tests.servers.served:app` under uWSGI with these options; returns its URL; `stop()` ends it."""
    program = shutil.which("uwsgi") or shutil.which("uwsgi", path=Path(sys.executable).parent)
    if program is None:
        absent("uwsgi is not installed: pip install uWSGI")
    started = []

    def start(*options, **settings):
        environ = {**os.environ, **settings, "SERVED_FOLDER": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        # The account is made first, so that workers need not agree on who makes it.
        subprocess.run([sys.executable, "-c", "import tests.servers.served"], env=environ, check=True, timeout=60)
        port, start.stats = free_port(), tmp_path / "stats"
        command = [program, "--http-socket", f"127.0.0.1:{port}", "--master", "--die-on-term", "--disable-logging"]
        command += ["--stats", str(start.stats)]
        server = subprocess.Popen(
            [*command, "--module", "tests.servers.served:app", *options],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(server)
        wait_for(port, server)
        return f"http://127.0.0.1:{port}"

    def is_busy():
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(start.stats))
            told = json.load(stats.makefile())
        return any(core["in_request"] for worker in told["workers"] for core in worker["cores"])

    def stop():
        """End the server between two requests: a worker that is answering one leaves without Python's `atexit`."""
        while is_busy():
            time.sleep(0.02)
        started[-1].terminate()
        return started[-1].communicate(timeout=60)[1].decode()

    start.stop = stop
    yield start
    while started:
        server = started.pop()
        if server.returncode is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()


def test_ws6_workers_that_uwsgi_forks_without_telling_python_share_no_connection(uwsgi):
    with database("postgres", "uwsgi") as where:
        url = uwsgi("--processes", "3", "--threads", "4", SERVED_STORE=where)
        status, headers = post(f"{url}/-/auth/login", RIGHT)
        assert status == 200
        cookie = headers["Set-Cookie"].partition(";")[0]
        with ThreadPoolExecutor(8) as pool:
            pages = list(pool.map(lambda _: get(f"{url}/page", cookie), range(100)))
        assert [page for page in pages if not (isinstance(page, str) and "user=1" in page)] == []


@pytest.mark.parametrize(
    "options",
    [
        # One process: uWSGI does not stop a worker that is still loading the app.
        ("--processes", "1", "--lazy-apps", "--enable-threads"),
        ("--processes", "2", "--py-call-uwsgi-fork-hooks", "--threads", "2"),
    ],
)
def test_mails_leave_under_uwsgi_before_it_stops(uwsgi, options, tmp_path):
    url = uwsgi(*options)
    assert post(f"{url}/-/auth/forgot", {"email": "tanaka@example.com"})[0] == 200
    assert "Set lazy-apps" not in uwsgi.stop()
    assert (tmp_path / "mails").read_text().count("tanaka@example.com") == 1
