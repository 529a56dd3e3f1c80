"""One site of a run: its servers, its accounts, and where they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import site
from benchmarks.load.processes import Process, free_port
from benchmarks.load.servers import Gunicorn, MailServer, Nginx, Postgres, Redis, SmallDisk

CLOCK = "clock"
"""The file with the offset of a clock."""


class SetUp(NamedTuple):
    """What one site is made of."""

    kind: str = "gthread"
    store: str = "sqlite"
    """`sqlite` or `postgres`."""
    redis: bool = False
    """Whether Redis counts the attempts, in place of the store."""
    nodes: int = 1
    """How many gunicorns share the store. More than one stand for as many machines."""
    workers: int = 2
    unix: bool = False
    small_disk: bool = False
    """Whether SQLite's file is on a disk that can be filled."""

    def __str__(self) -> str:
        store = ("SQLite" if self.store == "sqlite" else "PostgreSQL") + " + Redis" * self.redis
        nodes = f"{self.nodes} x " if self.nodes > 1 else ""
        return f"{store}; {nodes}{self.kind}, {self.workers} workers, {'UNIX socket' if self.unix else 'TCP'}"


class Account(NamedTuple):
    """An account of the run; each has the same password."""

    id: str
    email: str


@dataclass
class House:
    """A running site."""

    set_up: SetUp
    folder: Path
    port: int
    settings: dict[str, str]
    mail: MailServer
    nodes: list[Gunicorn] = field(default_factory=list)
    postgres: Postgres = field(init=False)
    """If the set-up has one, and so are the next two."""
    redis: Redis = field(init=False)
    disk: SmallDisk = field(init=False)
    accounts: list[Account] = field(default_factory=list)
    bare_port: int = 0
    """Where the page without the middleware is."""

    def gunicorn(self, name: str, app: str, environment: dict[str, str]) -> Gunicorn:
        """A gunicorn of this set-up."""
        kind, workers, unix = self.set_up.kind, self.set_up.workers, self.set_up.unix
        return Gunicorn(self.folder, name, app, environment, kind=kind, workers=workers, unix=unix)

    def environment(self, *, clock: bool = False) -> dict[str, str]:
        """What the environment of a process tells `site`. `clock`: its clock is the one that `step` moves."""
        moved = {"clock": str(self.folder / CLOCK)} if clock else {}
        return {site.SETTINGS: json.dumps(self.settings | moved)}

    def step(self, seconds: int) -> None:
        """Set the clock of one machine so many seconds ahead, at once."""
        # The node reads while this writes: the file must never be empty.
        new = self.folder / "clock-new"
        new.write_text(f"{seconds}")
        new.replace(self.folder / CLOCK)


@contextmanager
def running(set_up: SetUp, folder: Path, accounts: int, *, bare: bool = False, **more: str) -> Iterator[House]:
    """Start the servers and make the accounts; everything ends with the block. Raises `Missing` and `Failed`.

    `bare` adds the same servers in front of the page without the middleware. `more` are settings of `site`.
    """
    # PostgreSQL's own user has to reach its folder.
    folder.chmod(0o711)
    port = free_port()
    with ExitStack() as stack:

        def started(server: Process) -> None:
            stack.callback(server.kill)
            server.start()

        mail = MailServer(folder)
        started(mail)
        settings = {"folder": str(folder), "base_url": f"http://localhost:{port}", "smtp": mail.url, **more}
        house = House(set_up, folder, port, settings, mail)
        if set_up.store == "sqlite":
            if set_up.small_disk:
                house.disk = SmallDisk(folder)
                stack.callback(house.disk.stop)
            settings["store"] = f"sqlite:///{house.disk.path if set_up.small_disk else folder}/auth.db"
        else:
            house.postgres = Postgres(folder)
            started(house.postgres)
            settings["store"] = house.postgres.url
        if set_up.redis:
            house.redis = Redis(folder)
            started(house.redis)
            settings["storage"] = house.redis.url
        house.step(0)
        house.accounts = _accounts(house.environment(), accounts)
        for number in range(set_up.nodes):
            # SQLite is on one machine, which has one clock. Other nodes stand for machines, of which the last is wrong.
            environment = house.environment(clock=set_up.store == "sqlite" or number == set_up.nodes - 1)
            house.nodes.append(house.gunicorn(f"gunicorn{number}", "application()", environment))
            started(house.nodes[-1])
        started(Nginx(folder, "nginx", house.nodes, port))
        if bare:
            house.bare_port = free_port()
            node = house.gunicorn("bare", "bare()", {})
            started(node)
            started(Nginx(folder, "nginx-bare", [node], house.bare_port))
        yield house


def _accounts(environment: dict[str, str], many: int) -> list[Account]:
    """Make the tables and this many accounts, in a process of its own, whose background thread ends with it."""
    command = [sys.executable, "-m", "benchmarks.load.site", str(many)]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return [Account(*line.split()) for line in done.stdout.splitlines()]
