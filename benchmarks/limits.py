"""Middlewares that do as little as possible, to compare nipo_auth_mw with."""

from __future__ import annotations

import hashlib
import hmac
import mmap
import sqlite3
from pathlib import Path
from typing import Any

KEY = b"a key of 32 bytes for benchmarks"
NAME = "nipo_auth="


def sign(secret: str) -> str:
    """The secret with its signature."""
    return f"{secret}.{hmac.digest(KEY, secret.encode(), 'sha256').hex()}"


def _verified(environ: dict[str, Any]) -> str | None:
    """The secret of the cookie if its signature is right."""
    cookie = environ.get("HTTP_COOKIE", "")
    start = cookie.find(NAME)
    if start < 0:
        return None
    value = cookie[start + len(NAME) :].partition(";")[0]
    secret, _, given = value.rpartition(".")
    if hmac.compare_digest(hmac.digest(KEY, secret.encode(), "sha256").hex(), given):
        return secret
    return None


class HmacOnly:
    """A signed cookie with the account id. No session can be ended."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("REMOTE_USER", None)
        if (user := _verified(environ)) is not None:
            environ["REMOTE_USER"] = user
        return self.app(environ, start_response)


class HmacAndSQLite:
    """A signed cookie and one look-up on an open connection: the next request sees that a session has ended."""

    SQL = "SELECT u.id, u.email, u.name FROM session s JOIN user u ON u.id = s.user_id WHERE s.key = ?"

    def __init__(self, app: Any, path: Path) -> None:
        self.app = app
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE user (id TEXT PRIMARY KEY, email TEXT, name TEXT)")
        self.db.execute("CREATE TABLE session (key TEXT PRIMARY KEY, user_id TEXT)")
        self.cursor = self.db.cursor()

    def enter(self, secret: str, user: str) -> str:
        """Add an account with a session; the value of its cookie."""
        self.db.execute("INSERT INTO user VALUES (?, ?, ?)", (user, "tanaka@example.com", ""))
        self.db.execute("INSERT INTO session VALUES (?, ?)", (hashlib.sha256(secret.encode()).hexdigest(), user))
        return sign(secret)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("REMOTE_USER", None)
        secret = _verified(environ)
        if secret is not None:
            row = self.cursor.execute(self.SQL, (hashlib.sha256(secret.encode()).hexdigest(),)).fetchone()
            if row is not None:
                environ["REMOTE_USER"] = row[0]
                environ["user"] = row
        return self.app(environ, start_response)


class HmacAndEpoch:
    """A signed cookie, a cache in the process, and a number shared by all processes: a new number empties the cache."""

    def __init__(self, app: Any, path: Path, behind: HmacAndSQLite) -> None:
        self.app = app
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self.epoch = mmap.mmap(file.fileno(), 8)
        self.seen = bytes(8)
        self.cache: dict[str, Any] = {}
        self.behind = behind

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("REMOTE_USER", None)
        secret = _verified(environ)
        if secret is not None:
            now = self.epoch[:8]
            if now != self.seen:
                self.seen = now
                self.cache.clear()
            row = self.cache.get(secret)
            if row is None:
                key = hashlib.sha256(secret.encode()).hexdigest()
                row = self.cache[secret] = self.behind.cursor.execute(self.behind.SQL, (key,)).fetchone()
            if row is not None:
                environ["REMOTE_USER"] = row[0]
                environ["user"] = row
        return self.app(environ, start_response)
