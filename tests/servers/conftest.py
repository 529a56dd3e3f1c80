"""Real servers and real processes. What is missing skips on a newcomer's machine and fails in CI."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests._services import absent, needed


def answers(host, port):
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, server):
    deadline = time.monotonic() + 20
    while not answers("127.0.0.1", port):
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"a server did not start: {server.communicate()[1].decode()[-2000:]}")
        time.sleep(0.05)


@pytest.fixture
def own_redis():
    """A Redis of this test's own, to be stopped and started: its port, `start()` and `stop()`."""
    needed("redis")
    if shutil.which("redis-server") is None:
        absent("redis-server is not installed")
    server = OwnRedis(free_port())
    server.start()
    yield server
    server.stop()


class OwnRedis:
    def __init__(self, port):
        self.port = port
        self.process = None

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for(self.port, self.process)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def gunicorn(tmp_path):
    """Starts `tests.servers.served:app` under gunicorn; returns its URL; `stop()` ends it as an operator would."""
    needed("gunicorn")
    started = []

    def start(workers=4, threads=4, kind="gthread", **settings):
        if kind == "gevent":
            needed("gevent")
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "-k", kind, "-w", str(workers), "--threads", str(threads)]
        command += ["-b", f"127.0.0.1:{port}", "--preload", "--graceful-timeout", "1", "tests.servers.served:app"]
        environ = {**os.environ, **settings, "SERVED_FOLDER": str(tmp_path)}
        server = subprocess.Popen(
            command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        started.append(server)
        wait_for(port, server)
        return f"http://127.0.0.1:{port}"

    def stop():
        while started:
            server = started.pop()
            server.terminate()
            try:
                server.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.communicate()

    start.stop = stop
    yield start
    # Nothing is left to see, so no request in flight is waited for.
    while started:
        server = started.pop()
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()
