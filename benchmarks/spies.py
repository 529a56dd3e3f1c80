"""What a middleware does for one request, counted: statements, hashes, mails, counters, rows of the history."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw import AuthMiddleware

_VALUES = re.compile(r"'[^']*'|\b[0-9][0-9.e+-]*\b|NULL")
_SUBJECT = re.compile(r"(?<=:)[0-9a-f]{32}")


@dataclass
class Done:
    """What was done since the last look, each in its order and without the values. Of mails it is what an answer hands
    in; whether one is written and sent is found out after the answer."""

    statements: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    counters: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


class SpyHasher:
    """A hasher that tells what it was asked for."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.asked: list[str] = []

    def hash(self, password: Any, *, salt: Any = None) -> str:
        self.asked.append("hash")
        return str(self.inner.hash(password, salt=salt))

    def verify(self, hash: Any, password: Any) -> Any:
        self.asked.append("verify")
        return self.inner.verify(hash, password)

    def check_needs_rehash(self, hash: Any) -> bool:
        return bool(self.inner.check_needs_rehash(hash))


class Spies:
    """Everything of one middleware. `engine` is what its store was made from, spied on before the first connection:
    some statements go past SQLAlchemy, so it is SQLite itself that tells of them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._done = Done()

        def trace(connection: Any, _: object) -> None:
            connection.set_trace_callback(lambda text: self._done.statements.append(_VALUES.sub("?", text)))

        sa.event.listen(engine, "connect", trace)

    def watch(self, auth: AuthMiddleware) -> None:
        services = auth._services
        self._hasher = services.passwords._hasher = SpyHasher(services.passwords._hasher)  # type: ignore[assignment]
        services.lockout._counters = _Counters(services.lockout._counters, self)  # type: ignore[assignment]
        outbox, audit = services.outbox, services.audit
        put, append = outbox.put, audit.append_event

        def spied_put(compose: Any) -> None:
            self._done.mails.append("queued")
            put(compose)

        def spied_append(new: Any) -> None:
            self._done.history.append(f"{new.event} {' '.join(sorted(new.details))}")
            append(new)

        outbox.put, audit.append_event = spied_put, spied_append  # type: ignore[method-assign]

    def counted(self, what: str, key: str) -> None:
        self._done.counters.append(f"{what} {_SUBJECT.sub('…', key)}")

    def look(self) -> Done:
        """What was done since the last look."""
        done, self._done = self._done, Done()
        done.hashes, self._hasher.asked = self._hasher.asked, []
        return done


class _Counters:
    """In front of a storage of counters: tells which were touched."""

    def __init__(self, inner: Any, spies: Spies) -> None:
        self._inner = inner
        self._spies = spies

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        self._spies.counted("incr", key)
        return int(self._inner.incr(key, expiry, amount))

    def get(self, key: str) -> int:
        self._spies.counted("get", key)
        return int(self._inner.get(key))

    def get_expiry(self, key: str) -> float:
        self._spies.counted("get_expiry", key)
        return float(self._inner.get_expiry(key))

    def clear(self, key: str) -> None:
        self._spies.counted("clear", key)
        self._inner.clear(key)
