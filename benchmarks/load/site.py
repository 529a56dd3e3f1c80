"""What gunicorn serves: a page that names its user, bare or behind the middleware. Reads `LOAD_SETTINGS` (JSON)."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import argon2

from nipo_auth_mw import AuthConfig, AuthMiddleware, LockoutPolicy
from nipo_auth_mw.mailers import SMTPMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.protocols import PasswordHasher
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher

SETTINGS = "LOAD_SETTINGS"
SECRET = "for benchmarks only: this key stands in the source"
PASSWORD = "aoi-umi-to-shiroi-kumo"
WRONG = "wrong for "
"""How each wrong password begins; the address that it is tried at follows."""
SPRAYED = "sprayed"
"""How each address begins at which one client tries one wrong password."""
FAILURES, CLIENT_FAILURES = 5, 50
_log = logging.getLogger("load")
_PAGE = b"The rest of a page.\n" * 200


def page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The id of the user on the first line, "-" for a visitor."""
    body = f"{environ.get('REMOTE_USER', '-')}\n".encode() + _PAGE
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class WritingHasher:
    """Computes real hashes, and writes down each wrong password that it verifies, for all processes in one file."""

    def __init__(self, inner: PasswordHasher, folder: Path) -> None:
        self._inner = inner
        self._file = os.open(folder / "verified", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        """The hash of a password."""
        return self._inner.hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:
        """Whether the hash is of this password."""
        if str(password).startswith(WRONG):
            os.write(self._file, f"{password!s}\n".encode())
        return self._inner.verify(hash, password)

    def check_needs_rehash(self, hash: str | bytes) -> bool:
        """Whether the hash has other parameters."""
        return self._inner.check_needs_rehash(hash)


class OneHash(WritingHasher):
    """Computes the hash of a password once, since a run sets up hundreds of accounts with the same password."""

    @functools.cache  # noqa: B019 - one object a run
    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        """The hash of a password."""
        return super().hash(password, salt=salt)


class WritingMailer(SMTPMailer):
    """Writes both ends of each sending into the log, so that a mail that does not come leaves a trace."""

    def send(self, message: Message) -> None:
        """Send one mail."""
        _log.info("sending to %s: %s", message.to, message.subject)
        try:
            super().send(message)
        except BaseException as problem:
            _log.info("not sent to %s: %r", message.to, problem)
            raise
        _log.info("sent to %s: %s", message.to, message.subject)


def verified(folder: Path) -> list[str]:
    """The addresses at which a wrong password was verified, once for each time."""
    try:
        lines = (folder / "verified").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [line.removeprefix(WRONG).split()[0] for line in lines]


def move_clock(file: Path) -> None:
    """Add the seconds that a file holds to the wall clock of this process, as a wrong clock does.

    libfaketime would move it for other code too, and ends gunicorn: it breaks Python's `time.sleep`.
    """
    real = time.time
    time.time = lambda: real() + float(file.read_text())


def middleware(settings: dict[str, str], hasher: type[WritingHasher] = WritingHasher) -> AuthMiddleware:
    """The middleware in front of the page, with a lock that lasts longer than the run."""
    folder = Path(settings["folder"])
    config = AuthConfig(
        secret_key=SECRET,
        base_url=settings["base_url"],
        site_name="Load",
        trusted_proxies=1,
        public_paths=("/public",),
        lockout=LockoutPolicy(
            failures=FAILURES,
            client_failures=CLIENT_FAILURES,
            window=timedelta(hours=1),
            duration=timedelta(hours=1),
            storage=settings.get("storage", "store"),
        ),
    )
    real = argon2.PasswordHasher(2, 19 * 1024, 1)
    cost: PasswordHasher = fast_hasher() if settings.get("hasher") == "fast" else real
    return AuthMiddleware(
        page,
        config,
        store=SQLStore(settings["store"]),
        mailer=WritingMailer(settings["smtp"], sender="noreply@example.com"),
        hasher=hasher(cost, folder),
    )


def application() -> AuthMiddleware:
    """The entry point for gunicorn."""
    logging.basicConfig(format="%(asctime)s [%(process)d] %(name)s: %(message)s")
    _log.setLevel(logging.INFO)
    settings = json.loads(os.environ[SETTINGS])
    if "clock" in settings:
        move_clock(Path(settings["clock"]))
    return middleware(settings)


def bare() -> Any:
    """The entry point for gunicorn of the page without the middleware."""
    return page


def set_up(many: int) -> None:
    """Make the tables and this many accounts, the first of an administrator. Prints the id and address of each."""
    settings = json.loads(os.environ[SETTINGS])
    store = SQLStore(settings["store"])
    store.create_schema()
    store.close()
    auth = middleware(settings, OneHash)
    for number in range(many):
        email, role = f"user{number}@example.com", "admin" if number == 0 else "staff"
        print(auth.accounts.create(email=email, password=PASSWORD, role=role).id, email)


if __name__ == "__main__":
    set_up(int(sys.argv[1]))
