"""Counters in Redis by Sentinel, in a Redis Cluster, and through Valkey's client: the lock holds in each."""

from __future__ import annotations

import logging
import re
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw._throttle import counters
from nipo_auth_mw.testing import fast_hasher
from tests._services import absent, needed
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, middleware, no_further_file, person, sign_in
from tests.servers.conftest import free_port, wait_for

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


class Servers:
    """Redis servers of one test in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, *options, sentinel=""):
        port = free_port()
        command = ["redis-server"]
        if sentinel:
            (self.folder / f"{port}.conf").write_text(sentinel)
            command += [str(self.folder / f"{port}.conf"), "--sentinel"]
        command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder), *options]
        self.running.append(subprocess.Popen(command, **QUIET))
        wait_for(port, self.running[-1])
        return port

    def ask(self, port, *words):
        return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True).stdout

    def stop(self):
        for one in self.running:
            one.kill()
            one.communicate()


@pytest.fixture
def servers(tmp_path):
    needed("redis")
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        absent("redis-server is not installed")
    servers = Servers(tmp_path)
    yield servers
    servers.stop()


def alone(servers):
    needed("valkey")
    return f"valkey://127.0.0.1:{servers.start('--save', '', '--appendonly', 'no')}"


def by_sentinel(servers):
    """A primary and a replica that gets nothing: a slot that is read there would look free for ever."""
    primary = servers.start("--save", "", "--appendonly", "no")
    servers.start("--save", "", "--appendonly", "no", "--replicaof", "127.0.0.1", str(primary))
    watched = f"sentinel monitor counters 127.0.0.1 {primary} 1\n"
    return f"redis+sentinel://127.0.0.1:{servers.start(sentinel=watched)}/counters"


def clustered(servers):
    # By itself it would take the port 10,000 above its own, which another server may have.
    bus = ("--cluster-port", str(free_port()))
    port = servers.start("--save", "", "--appendonly", "no", "--cluster-enabled", "yes", *bus)
    servers.ask(port, "cluster", "addslotsrange", "0", "16383")
    ends = time.monotonic() + 20
    while "cluster_state:ok" not in servers.ask(port, "cluster", "info"):
        assert time.monotonic() < ends
    return f"redis+cluster://127.0.0.1:{port}"


@pytest.mark.parametrize("kind", [alone, by_sentinel, clustered])
def test_the_lock_holds(servers, kind):
    spy = SpyHasher(fast_hasher())
    auth = middleware(hasher=spy, lockout=LockoutPolicy(storage=kind(servers)))
    person(auth)
    spy.verified.clear()
    statuses = [sign_in(browser(auth), password=WRONG).status_int for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert len(spy.verified) == 5
    assert sign_in(browser(auth), password=PASSWORD).status_int == 429
    auth.accounts.unlock("1")
    assert sign_in(browser(auth), password=PASSWORD).status_int == 303


def test_an_app_starts_while_its_cluster_is_down(servers):
    auth = middleware(lockout=LockoutPolicy(storage=f"redis+cluster://127.0.0.1:{free_port()}"))
    person(auth)
    assert sign_in(browser(auth)).status_int == 503


class Name:
    """A name that leads to one server, and later to another; connections that are open stay where they are."""

    def __init__(self, port):
        self.leads_to = port
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                threading.Thread(target=self._link, args=(self.socket.accept()[0],), daemon=True).start()

    def _link(self, near):
        with near, socket.create_connection(("127.0.0.1", self.leads_to)) as far:
            back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
            back.start()
            self._pump(near, far)
            back.join()

    def _pump(self, one, other):
        with suppress(OSError):
            while data := one.recv(4096):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_ru1_after_a_switch_over_no_connection_stays_on_the_redis_that_only_reads(servers, caplog):
    former, primary = (servers.start("--save", "", "--appendonly", "no") for _ in range(2))
    name = Name(former)
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{name.port}/0"))
    person(auth)
    assert sign_in(browser(auth)).status_int == 303
    servers.ask(former, "REPLICAOF", "127.0.0.1", str(primary))
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        assert sign_in(browser(auth)).status_int == 503
    assert "ReadOnlyError: the server only reads" in caplog.text
    name.leads_to = primary
    assert sign_in(browser(auth)).status_int in {303, 503}
    assert sign_in(browser(auth)).status_int == 303
    name.socket.close()


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("maxmemory", "1", "OutOfMemoryError: the server has no memory left (maxmemory)"),
        ("requirepass", "secret-of-redis", "AuthenticationError: the password is wrong or missing"),
        ("min-replicas-to-write", "1", "ResponseError NOREPLICAS: the server has too few replicas"),
    ],
)
def test_ru4_counters_that_cannot_be_used_are_told_with_the_reason(servers, setting, value, reason, caplog):
    port = servers.start("--save", "", "--appendonly", "no")
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{port}/0"))
    person(auth)
    servers.ask(port, "CONFIG", "SET", setting, value)
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        assert sign_in(browser(auth)).status_int == 503
    assert f"the server of the counters cannot be used ({reason}" in caplog.text
    assert "secret-of-redis" not in caplog.text


def test_ru4_a_code_that_redis_gives_is_told(servers, caplog):
    port = servers.start("--save", "", "--appendonly", "no")
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{port}/0"))
    person(auth)
    assert sign_in(browser(auth)).status_int == 303
    for name in servers.ask(port, "KEYS", "*").split():
        servers.ask(port, "DEL", name)
        servers.ask(port, "RPUSH", name, "x")
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        assert sign_in(browser(auth)).status_int == 503
    assert "(ResponseError WRONGTYPE: another program keeps values of another kind" in caplog.text


def test_ru4_a_redis_of_an_unknown_name_is_told_as_that(caplog):
    needed("redis")
    auth = middleware(lockout=LockoutPolicy(storage="redis://no-such-host.invalid/0"))
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        assert sign_in(browser(auth)).status_int == 503
    assert "(ConnectionError: nothing answers at this host and port, the name is unknown" in caplog.text


def test_ru4_a_process_that_may_open_no_further_socket_is_told_so(servers, caplog):
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{servers.start()}/0"))
    person(auth)
    assert sign_in(browser(auth)).status_int == 303
    auth._services.counters.server.connection_pool.disconnect()
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"), no_further_file():
        assert sign_in(browser(auth)).status_int == 503
    assert "may open no further file or socket; raise its limit" in caplog.text
    assert sign_in(browser(auth)).status_int == 303


def test_ru4_a_redis_that_cannot_save_is_told_with_the_reason(servers, tmp_path, caplog):
    folder = tmp_path / "saved"
    folder.mkdir()
    port = servers.start("--dir", str(folder), "--save", "3600 1")
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{port}/0"))
    person(auth)
    folder.rmdir()
    assert sign_in(browser(auth)).status_int == 303
    servers.ask(port, "BGSAVE")
    ends = time.monotonic() + 20
    while "rdb_last_bgsave_status:err" not in servers.ask(port, "INFO", "persistence") and time.monotonic() < ends:
        time.sleep(0.02)
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        assert sign_in(browser(auth)).status_int == 503
    assert "(ResponseError MISCONF: the server cannot save to its disk" in caplog.text


def test_ru2_a_flood_that_meets_a_slow_redis_takes_no_connection_for_each_request(servers, monkeypatch, caplog):
    """Each waits for its turn. Beyond a hundred connections, Redis' client would refuse one at once."""
    monkeypatch.setattr(counters, "_TURN_SECONDS", 60)  # A slow machine needs longer for so many threads.
    port = servers.start("--save", "", "--appendonly", "no")
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{port}/0", client_failures=10**6))
    servers.ask(port, "CLIENT", "PAUSE", "1000")
    with ThreadPoolExecutor(150) as threads, caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        answers = [threads.submit(sign_in, browser(auth), f"p{number}@example.com", WRONG) for number in range(150)]
        assert {one.result().status_int for one in answers} <= {401, 503}
    # A slow machine is too busy for some passwords. What the counters refuse is an error in the log.
    assert caplog.text == ""
    accepted = re.search(r"total_connections_received:(\d+)", servers.ask(port, "INFO", "stats"))
    assert int(accepted[1]) < 50
    auth._services.counters.server.connection_pool.disconnect()
