"""The private servers of a run: PostgreSQL, Redis, a mail server, gunicorn, nginx and a small disk."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from benchmarks.load import sink
from benchmarks.load.processes import Missing, Process, family, free_port, program

NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    upstream app {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


class Postgres(Process):
    """PostgreSQL with a data folder of its own. As root it runs as Debian's user `postgres`."""

    def __init__(self, folder: Path) -> None:
        self.port, data = free_port(), folder / "postgres"
        user = "postgres" if os.getuid() == 0 else None
        initdb = [program("initdb", "postgresql"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        data.mkdir(mode=0o700)
        if user is not None:
            shutil.chown(data, user)
        subprocess.run([*initdb, str(data)], check=True, stdout=subprocess.DEVNULL, user=user, cwd=data)
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_preload_libraries": "pg_stat_statements",
        }
        command = [program("postgres", "postgresql"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        super().__init__(folder, "postgresql", command, f"127.0.0.1:{self.port}", user=user)

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as the administrator; the rows, if it has any."""
        import psycopg

        # The switch back from read-only is a write too.
        writes, url = "-c default_transaction_read_only=off", self.url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True, options=writes) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def ready(self) -> bool:
        """Whether it runs statements. It accepts connections before that."""
        import psycopg

        try:
            return bool(self.sql("SELECT 1"))
        except psycopg.OperationalError:
            return False

    def read_only(self, on: bool) -> None:
        """What a primary that became a replica looks like: each write is refused with SQLSTATE 25006."""
        self.sql(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        self.sql("SELECT pg_reload_conf()")

    def cut_connections(self) -> None:
        """End every other connection, as a failover or an administrator does."""
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


class Redis(Process):
    """Redis that keeps every write over a restart, as counters of attempts need."""

    def __init__(self, folder: Path) -> None:
        port, data = free_port(), folder / "redis"
        data.mkdir()
        command = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(data), "--appendonly", "yes", "--appendfsync", "always"]
        super().__init__(folder, "redis", command, f"127.0.0.1:{port}")
        self.url = f"redis://127.0.0.1:{port}"


class MailServer(Process):
    """The mail server of `sink`, and the mails that it has taken."""

    def __init__(self, folder: Path) -> None:
        port, self._folder = free_port(), folder / "mail"
        self._folder.mkdir()
        command = [sys.executable, "-m", "benchmarks.load.sink", str(port), str(self._folder)]
        super().__init__(folder, "smtp", command, f"127.0.0.1:{port}")
        self.url = f"smtp://127.0.0.1:{port}"

    def slow(self, greeting: float = 0, data: float = 0) -> None:
        """Greet, or answer to a mail that has been taken, so many seconds late."""
        (self._folder / sink.SLOW).write_text(f"{greeting} {data}")

    def mails(self) -> list[dict[str, Any]]:
        """Every mail that was taken, in order."""
        with suppress(FileNotFoundError):
            # A line that is being written has no end yet.
            lines = (self._folder / sink.MAILS).read_text("utf-8").split("\n")[:-1]
            return [json.loads(line) for line in lines]
        return []


class Gunicorn(Process):
    """One gunicorn. `settings` are further variables of its environment."""

    def __init__(
        self,
        folder: Path,
        name: str,
        app: str,
        settings: Mapping[str, str],
        *,
        kind: str,
        workers: int = 2,
        threads: int = 4,
        unix: bool = False,
    ) -> None:
        address = f"unix:{folder / name}.sock" if unix else f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "gunicorn", "-k", kind, "-w", str(workers), "-b", address]
        command += ["--threads", str(threads)] if kind == "gthread" else []
        command += ["--graceful-timeout", "5", f"benchmarks.load.site:{app}"]
        super().__init__(folder, name, command, address, environment=settings)

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        return family(self.pid)[1:]

    def kill_worker(self) -> None:
        """`kill -9` of the first worker."""
        os.kill(self.workers()[0], signal.SIGKILL)


class Nginx(Process):
    """nginx in front of gunicorns."""

    def __init__(self, base: Path, name: str, behind: Sequence[Gunicorn], port: int) -> None:
        folder = base / name
        folder.mkdir()
        servers = " ".join(f"server {_upstream(one.address)} max_fails=0;" for one in behind)
        user = f"user {pwd.getpwuid(0).pw_name};" if os.getuid() == 0 else ""
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(user=user, folder=folder, port=port, servers=servers))
        command = [program("nginx", "nginx-light"), "-p", str(folder), "-c", str(config)]
        super().__init__(base, name, [*command, "-e", str(folder / "error.log")], f"127.0.0.1:{port}")


def _upstream(address: str) -> str:
    """An address as nginx writes it."""
    return f"unix:{address.removeprefix('unix:')}" if address.startswith("unix:") else address


class SmallDisk:
    """A tmpfs of a few MiB that can be filled. Raises `Missing` where it cannot be mounted."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "disk"
        self.path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.path)]
        if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            raise Missing("no small disk: only root may mount one")

    def fill(self) -> None:
        """Leave no byte, also none in files that are longer than what they hold."""
        for database in self.path.glob("*.db"):
            with closing(sqlite3.connect(database, timeout=5)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(OSError), (self.path / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Free what `fill` took."""
        (self.path / "full").unlink(missing_ok=True)

    def stop(self) -> None:
        """Unmount."""
        subprocess.run(["umount", "-l", str(self.path)], check=False)
