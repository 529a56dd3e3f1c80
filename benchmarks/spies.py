"""Counts the work for one request: statements, hashes, mails, counters, rows of the audit log."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw import AuthMiddleware

_VALUES = re.compile(r"'[^']*'|\b[0-9][0-9.e+-]*\b|NULL")
_SUBJECT = re.compile(r"(?<=:)[0-9a-f]{32}")


@dataclass
class Done:
    """The work since the last look, in order and without values.

    `mails` are those that a request queues. They are looked up, composed and sent after the answer.
    """

    statements: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    counters: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


class Commits:
    """Counts the statements and commits of the connections that an engine opens from now on, to SQLite.

    `durable` are the commits that wait for the disk. A statement that writes outside a transaction is a commit.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.statements: list[str] = []
        self.commits = self.durable = 0
        sa.event.listen(engine, "connect", self._watch)

    def _watch(self, connection: Any, _: object) -> None:
        waits = inside = False

        def see(text: str) -> None:
            nonlocal waits, inside
            word = text.split(maxsplit=1)[0]
            if word == "PRAGMA":
                waits = "FULL" in text if "synchronous" in text else waits
                return
            self.statements.append(text)
            inside = word == "BEGIN" or (inside and word not in {"COMMIT", "ROLLBACK"})
            if word == "COMMIT" or (word in {"INSERT", "UPDATE", "DELETE"} and not inside):
                self.commits += 1
                self.durable += waits

        connection.set_trace_callback(see)

    def of(self, work: Callable[[], object]) -> tuple[int, int, int]:
        """Statements, commits and durable commits of a call."""
        self.statements, self.commits, self.durable = [], 0, 0
        work()
        return len(self.statements), self.commits, self.durable


class SpyHasher:
    """A hasher that records its calls."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.asked: list[str] = []

    def hash(self, password: Any, *, salt: Any = None) -> str:
        """Record and hash."""
        self.asked.append("hash")
        return str(self.inner.hash(password, salt=salt))

    def verify(self, hash: Any, password: Any) -> Any:
        """Record and verify."""
        self.asked.append("verify")
        return self.inner.verify(hash, password)

    def check_needs_rehash(self, hash: Any) -> bool:
        """Pass the question on."""
        return bool(self.inner.check_needs_rehash(hash))


class Spies:
    """Records the work of one middleware.

    `engine` is the one that its store was made from, before its first connection. SQLite itself reports the statements,
    since some of them bypass SQLAlchemy.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._done = Done()

        def trace(connection: Any, _: object) -> None:
            connection.set_trace_callback(lambda text: self._done.statements.append(_VALUES.sub("?", text)))

        sa.event.listen(engine, "connect", trace)

    def watch(self, auth: AuthMiddleware) -> None:
        """Wrap the hasher, the counters, the outbox and the audit log of the middleware."""
        services = auth._services
        self._hasher = services.hashing._hasher = SpyHasher(services.hashing._hasher)  # type: ignore[assignment]
        spied_counters: Any = _Counters(services.counters, self)
        for throttle in (services.lockout, services.client_limit, services.quotas):
            throttle._counters = spied_counters  # type: ignore[attr-defined]
        outbox, audit = services.outbox, services.audit
        put, append = outbox.put, audit.append_event

        def spied_put(*mails: Any) -> None:
            self._done.mails.append("queued")
            put(*mails)

        def spied_append(new: Any) -> None:
            self._done.history.append(f"{new.event} {' '.join(sorted(new.details))}")
            append(new)

        outbox.put, audit.append_event = spied_put, spied_append  # type: ignore[method-assign]

    def counted(self, what: str, key: str) -> None:
        """Record the use of a counter."""
        self._done.counters.append(f"{what} {_SUBJECT.sub('…', key)}")

    def look(self) -> Done:
        """The work since the last look."""
        done, self._done = self._done, Done()
        done.hashes, self._hasher.asked = self._hasher.asked, []
        return done


class _Counters:
    """Records each use of the counters and passes it on."""

    def __init__(self, inner: Any, spies: Spies) -> None:
        self._inner = inner
        self._spies = spies

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Record and count."""
        self._spies.counted("incr", key)
        return int(self._inner.incr(key, expiry, amount))

    def read(self, lifetimes: Mapping[str, int]) -> Mapping[str, tuple[int, float]]:
        """Record and read."""
        self._spies.counted("read", " ".join(sorted(lifetimes)))
        found: Mapping[str, tuple[int, float]] = self._inner.read(lifetimes)
        return found

    def add(self, changes: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """Record and raise."""
        self._spies.counted("add", " ".join(changes))
        sums: Mapping[str, int] = self._inner.add(changes)
        return sums

    def end(self, keys: Sequence[str], less: Mapping[str, int]) -> None:
        """Record and end."""
        self._spies.counted("end", " ".join([*keys, *less]))
        self._inner.end(keys, less)

    def remove(self, keys: Sequence[str]) -> Mapping[str, int]:
        """Record and remove."""
        self._spies.counted("remove", " ".join(sorted(keys)))
        removed: Mapping[str, int] = self._inner.remove(keys)
        return removed

    def get(self, key: str) -> int:
        """Record and read."""
        self._spies.counted("get", key)
        return int(self._inner.get(key))

    def get_expiry(self, key: str) -> float:
        """Record and read."""
        self._spies.counted("get_expiry", key)
        return float(self._inner.get_expiry(key))

    def clear(self, key: str) -> None:
        """Record and clear."""
        self._spies.counted("clear", key)
        self._inner.clear(key)
