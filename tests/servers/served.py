"""An app for several processes, built before they fork; its hasher writes each check into a file they share."""

from __future__ import annotations

import os
import time
from pathlib import Path

from nipo_auth_mw import AuthConfig, AuthMiddleware, LockoutPolicy
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, SpyHasher, echo

PARENT = os.getpid()
FOLDER = Path(os.environ.get("SERVED_FOLDER", "."))


class WritingHasher(SpyHasher):
    def verify(self, hash, password):
        with (FOLDER / "verified").open("ab", buffering=0) as file:
            file.write(b".")
        return self.inner.verify(hash, password)


class WritingMailer:
    """A slow server: what is on its way when the process is told to end must not be lost."""

    def send(self, message):
        time.sleep(0.3)
        with (FOLDER / "mails").open("ab", buffering=0) as file:
            file.write(f"{message.to} {os.getpid() != PARENT}\n".encode())


def slow_or_echo(environ, start_response):
    """Below /slow it answers when a test has written the file `go`."""
    if environ["PATH_INFO"] == "/slow":
        (FOLDER / "inside").touch()
        ends = time.monotonic() + 20
        while not (FOLDER / "go").exists() and time.monotonic() < ends:
            time.sleep(0.01)
    return echo(environ, start_response)


def build() -> AuthMiddleware:
    store = SQLStore(os.environ.get("SERVED_STORE") or f"sqlite:///{FOLDER / 'auth.db'}")
    store.create_schema()
    config = AuthConfig(
        secret_key="for the tests of several processes alone",
        base_url="http://127.0.0.1",
        lockout=LockoutPolicy(storage=os.environ.get("SERVED_COUNTERS", "store"), client_failures=1000),
    )
    auth = AuthMiddleware(
        slow_or_echo, config, store=store, hasher=WritingHasher(fast_hasher()), mailer=WritingMailer()
    )
    if auth.accounts.find("tanaka@example.com") is None:
        auth.accounts.create(email="tanaka@example.com", password=PASSWORD)
    return auth


if "SERVED_FOLDER" in os.environ:
    app = build()
