"""Counters in a database, which all processes and machines share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import count

import sqlalchemy as sa

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import counter
from nipo_auth_mw.stores._statements import compiled, upsert

_PRUNE_EVERY = 256
_BATCH = 1000
_CLOCK_TOLERANCE = 60.0
"""Seconds by which the clocks of two machines may differ before a counter of one looks too long to the other."""
_ROW = (counter.c.key, counter.c.amount, counter.c.expires_at)
_CLEAR = sa.delete(counter).where(counter.c.key == sa.bindparam("of_key"))


class SQLCounters:
    """Counters in a table of the store, with the methods of a `limits` storage; see `protocols.BatchCounters`.

    `incr` is one atomic statement that returns the sum, so no two callers of any process get the same one. Counters use
    a connection of their own, outside `transaction()`: a rollback gives an attacker no guess back. With SQLite, which
    has one writer, an `incr` inside a transaction belongs to it. When a connection breaks during `incr`, the store
    counts again, possibly twice: an attacker never gains a guess. Every method raises `StoreUnavailable` in an outage.
    """

    def __init__(self, connections: Connections, store: Connections) -> None:
        self._connections = connections
        self._store = store
        self._calls = count(1)
        self._more_to_prune = False
        engine = connections.engine
        self._incr = compiled(_increment(engine), engine)
        row = sa.select(counter.c.amount, counter.c.expires_at).where(counter.c.key == sa.bindparam("key"))
        self._get = compiled(row, engine)

    def read(self, lifetimes: Mapping[str, int]) -> Mapping[str, tuple[int, float]]:
        """See `BatchCounters.read`. One statement; a second one for each counter that a clock ahead of this one wrote.

        Writes nothing for a counter that looks up to a minute too long: no two machines have the same time.
        """
        found: dict[str, tuple[int, float]] = {}
        now = time.time()
        for key, amount, expires_at in self._db.look_up(_rows_of(len(lifetimes)), **_numbered(lifetimes)):
            left, longest = expires_at - now, lifetimes[key]
            if left > longest + _CLOCK_TOLERANCE:
                self._db.repeatable(_SHORTEN, of_key=key, former=expires_at, sooner=now + longest)
            if left > 0:
                found[key] = int(amount), min(left, longest)
        return found

    def remove(self, keys: Sequence[str]) -> Mapping[str, int]:
        """See `BatchCounters.remove`. Inside `transaction()` it belongs to it, on every database."""
        now = time.time()
        db = self._store if self._store.in_transaction else self._connections
        with db.write_lock():
            rows = db.look_up(_removal_of(len(keys)), **_numbered(keys))
        return {key: int(amount) for key, amount, expires_at in rows if expires_at > now}

    @property
    def _db(self) -> Connections:
        one_writer = self._connections.engine.dialect.name == "sqlite"
        return self._store if one_writer and self._store.in_transaction else self._connections

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` and return the sum. The first call starts the counter at 0 with a lifetime of `expiry` seconds,
        which later calls do not prolong. Raises ValueError for a key that the database cannot store."""
        now = time.time()
        values = self._incr.values(key=key, amount=amount, now=now, expires_at=now + expiry)
        db = self._db
        with db.write_lock():
            rows = db.fetch(self._incr.sql, values)
        if not rows:
            raise ValueError("no counter can have this key")
        if self._more_to_prune or next(self._calls) % _PRUNE_EVERY == 0:
            # A failed removal of old rows must not refuse a sign-in.
            with suppress(StoreUnavailable):
                self._more_to_prune = self._prune() == _BATCH
        return int(rows[0][0])

    def get(self, key: str) -> int:
        """The count; 0 for a counter that does not exist or has expired."""
        amount, expires_at = self._row(key)
        return amount if expires_at > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """The moment at which the counter expires, in seconds since 1970; the present moment without a counter."""
        return max(time.time(), self._row(key)[1])

    def check(self) -> bool:
        """Whether the database answers."""
        try:
            self._db.fetch("SELECT 1", ())
        except StoreUnavailable:
            return False
        return True

    def reset(self) -> int:
        """Remove all counters; returns their number."""
        with self._db.writing() as connection:
            return connection.execute(sa.delete(counter)).rowcount

    def clear(self, key: str) -> None:
        """Remove one counter."""
        self._db.repeatable(_CLEAR, of_key=key)

    def prune(self) -> int:
        """Remove all expired counters; returns their number. `incr` removes up to 1,000 at every 256th call."""
        removed = 0
        while batch := self._prune():
            removed += batch
        return removed

    def _row(self, key: str) -> tuple[int, float]:
        for amount, expires_at in self._db.fetch(self._get.sql, (key,)):
            return int(amount), expires_at
        return 0, 0.0

    def _prune(self) -> int:
        expired = counter.c.expires_at <= time.time()
        late = sa.select(counter.c.key).where(expired).order_by(counter.c.expires_at).limit(_BATCH)
        keys = sorted(row.key for row in self._db.read(late))
        if not keys:
            return 0
        with self._db.writing() as connection:
            connection.execute(sa.delete(counter).where(counter.c.key.in_(keys), expired))
        return len(keys)


_SHORTEN = (
    sa.update(counter)
    .where(counter.c.key == sa.bindparam("of_key"), counter.c.expires_at == sa.bindparam("former", type_=sa.Double()))
    .values(expires_at=sa.bindparam("sooner", type_=sa.Double()))
)


def _numbered(keys: Iterable[str]) -> dict[str, str]:
    return {f"key_{number}": key for number, key in enumerate(keys)}


def _one_of(many: int) -> sa.ColumnElement[bool]:
    return counter.c.key.in_([sa.bindparam(f"key_{number}") for number in range(many)])


@cache
def _rows_of(many: int) -> sa.ClauseElement:
    """The statement that reads this many counters."""
    return sa.select(*_ROW).where(_one_of(many))


@cache
def _removal_of(many: int) -> sa.ClauseElement:
    """The statement that removes this many counters."""
    return sa.delete(counter).where(_one_of(many)).returning(*_ROW)


def _increment(engine: sa.Engine) -> sa.ClauseElement:
    amount = sa.bindparam("amount", type_=sa.BigInteger())
    now: sa.BindParameter[float] = sa.bindparam("now", type_=sa.Double())
    expires_at: sa.BindParameter[float] = sa.bindparam("expires_at", type_=sa.Double())
    over = counter.c.expires_at <= now
    # A counter that a clock ahead of this one wrote lasts no longer than its lifetime, either.
    new_expiry = sa.or_(over, counter.c.expires_at > expires_at)
    changes = (
        # MariaDB's later assignments read the results of earlier ones, so `amount` comes first.
        ("amount", sa.case((over, amount), else_=counter.c.amount + amount)),
        ("expires_at", sa.case((new_expiry, expires_at), else_=counter.c.expires_at)),
    )
    first = {"key": sa.bindparam("key"), "amount": amount, "expires_at": expires_at}
    statement: sa.ClauseElement = upsert(engine, counter, first, changes).returning(counter.c.amount)
    return statement
