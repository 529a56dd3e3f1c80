"""Counters in a database, which all processes and machines share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import counter
from nipo_auth_mw.stores._statements import clock_of, upsert_rows

_PRUNE_EVERY = 256
_BATCH = 1000
_CLOCK_TOLERANCE = 60.0
"""Seconds by which a counter may seem too long before it is shortened; only a clock that was set back is meant."""
_CLEAR = sa.delete(counter).where(counter.c.key == sa.bindparam("of_key"))


class SQLCounters:
    """Counters in a table of the store, with the methods of a `limits` storage; see `protocols.BatchCounters`.

    `incr` is one atomic statement that returns the sum, so no two callers of any process get the same one. Counters use
    a connection of their own, outside `transaction()`: a rollback gives an attacker no guess back. With SQLite, which
    has one writer, an `incr` inside a transaction belongs to it. When a connection breaks during `incr`, the store
    counts again, possibly twice: an attacker never gains a guess. Every method raises `StoreUnavailable` in an outage.

    Counters end by the clock of the database's server. Machines whose own clocks differ would take one another's
    attempt slots for expired. An SQLite file is on one machine, which has one clock.
    """

    def __init__(self, connections: Connections, store: Connections) -> None:
        self._connections = connections
        self._store = store
        self._calls = count(1)
        self._more_to_prune = False
        self._statements = _Statements(connections.engine)

    def read(self, lifetimes: Mapping[str, int]) -> Mapping[str, tuple[int, float]]:
        """See `BatchCounters.read`. One statement, and one for each counter that a clock ahead wrote."""
        found: dict[str, tuple[int, float]] = {}
        for key, amount, left, expires_at in self._rows(lifetimes):
            longest = lifetimes[key]
            if left > longest + _CLOCK_TOLERANCE:
                self._db.repeatable(
                    self._statements.shorten, of_key=key, former=expires_at, lifetime=longest, now=time.time()
                )
            if left > 0:
                found[key] = int(amount), min(float(left), longest)
        return found

    def remove(self, keys: Sequence[str]) -> Mapping[str, int]:
        """See `BatchCounters.remove`. Inside `transaction()` it belongs to it, on every database."""
        db = self._store if self._store.in_transaction else self._connections
        with db.write_lock():
            rows = db.look_up(self._statements.removal_of(len(keys)), **_numbered("key", keys), now=time.time())
        return {key: int(amount) for key, amount, left, _ in rows if left > 0}

    @property
    def _db(self) -> Connections:
        one_writer = self._connections.engine.dialect.name == "sqlite"
        return self._store if one_writer and self._store.in_transaction else self._connections

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` and return the sum. The first call starts the counter at 0 with a lifetime of `expiry` seconds,
        which later calls do not prolong. Raises ValueError for a key that the database cannot store."""
        return self.add({key: (amount, expiry)})[key]

    def add(self, changes: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """See `BatchCounters.add`. Raises ValueError for a key that the database cannot store."""
        sums = self._add(self._db, changes)
        if not sums:
            raise ValueError("no counter can have this key")
        if self._more_to_prune or next(self._calls) % _PRUNE_EVERY == 0:
            # A failed removal of old rows must not refuse a sign-in.
            with suppress(StoreUnavailable):
                self._more_to_prune = self._prune() == _BATCH
        return sums

    def end(self, keys: Sequence[str], less: Mapping[str, int]) -> None:
        """See `BatchCounters.end`. The rows of ended counters stay until they are pruned."""
        db = self._store if self._store.in_transaction else self._connections
        # As an INSERT: an UPDATE locks rows in any order.
        if changes := dict.fromkeys(keys, (0, 0)) | {key: (-1, lifetime) for key, lifetime in less.items()}:
            self._add(db, changes)

    def get(self, key: str) -> int:
        """The count; 0 for a counter that does not exist or has expired."""
        return next((int(amount) for _, amount, left, _ in self._rows([key]) if left > 0), 0)

    def get_expiry(self, key: str) -> float:
        """The moment at which the counter expires, in seconds since 1970; the present moment without a counter."""
        return time.time() + next((max(0.0, float(left)) for _, _, left, _ in self._rows([key])), 0.0)

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

    def _rows(self, keys: Iterable[str]) -> Sequence[tuple[str, int, float, float]]:
        """Key, count, seconds left and moment of expiry of the counters that have a row."""
        named = _numbered("key", keys)
        return self._db.look_up(self._statements.rows_of(len(named)), **named, now=time.time())

    def _add(self, db: Connections, changes: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        amounts, lifetimes = zip(*changes.values(), strict=True)
        values = _numbered("key", changes) | _numbered("amount", amounts) | _numbered("lifetime", lifetimes)
        with db.write_lock():
            rows = db.look_up(self._statements.addition_of(len(changes)), **values, now=time.time())
        return {key: int(amount) for key, amount in rows}

    def _prune(self) -> int:
        now = time.time()
        keys = sorted(row[0] for row in self._db.look_up(self._statements.expired, now=now, most=_BATCH, skip=0))
        if not keys:
            return 0
        with self._db.writing() as connection:
            over = sa.and_(counter.c.key.in_(keys), self._statements.over)
            connection.execute(sa.delete(counter).where(over), {"now": now})
        return len(keys)


class _Statements:
    """The statements for one database, with its clock."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._now = now = clock_of(engine)
        self.over = counter.c.expires_at <= now
        self._row = (counter.c.key, counter.c.amount, counter.c.expires_at - now, counter.c.expires_at)
        self._reads: dict[int, sa.ClauseElement] = {}
        self._removals: dict[int, sa.ClauseElement] = {}
        self._additions: dict[int, sa.ClauseElement] = {}
        self.expired = (
            sa.select(counter.c.key)
            .where(self.over)
            .order_by(counter.c.expires_at)
            .limit(sa.bindparam("most"))
            .offset(sa.bindparam("skip"))
        )
        former = counter.c.expires_at == sa.bindparam("former", type_=sa.Double())
        expires_at = now + sa.bindparam("lifetime", type_=sa.Double())
        self.shorten = (
            sa.update(counter).where(counter.c.key == sa.bindparam("of_key"), former).values(expires_at=expires_at)
        )

    def rows_of(self, many: int) -> sa.ClauseElement:
        """The statement that reads this many counters."""
        # Built once for each number: SQLAlchemy spends more time on building a statement than on running it.
        if many not in self._reads:
            self._reads[many] = sa.select(*self._row).where(_one_of(many))
        return self._reads[many]

    def addition_of(self, many: int) -> sa.ClauseElement:
        """The statement that adds to this many counters."""
        if many not in self._additions:
            rows = [
                {
                    "key": sa.bindparam(f"key_{number}"),
                    "amount": sa.bindparam(f"amount_{number}", type_=sa.BigInteger()),
                    "expires_at": self._now + sa.bindparam(f"lifetime_{number}", type_=sa.Double()),
                }
                for number in range(many)
            ]
            made = upsert_rows(self._engine.dialect.name, counter, rows, self._added)
            self._additions[many] = made.returning(counter.c.key, counter.c.amount)
        return self._additions[many]

    def _added(self, new: Any) -> Sequence[tuple[str, Any]]:
        # A counter that a clock ahead of this one wrote lasts no longer than its lifetime, either.
        new_expiry = sa.or_(self.over, counter.c.expires_at > new.expires_at)
        return (
            # MariaDB's later assignments read the results of earlier ones, so `amount` comes first.
            ("amount", sa.case((self.over, new.amount), else_=counter.c.amount + new.amount)),
            ("expires_at", sa.case((new_expiry, new.expires_at), else_=counter.c.expires_at)),
        )

    def removal_of(self, many: int) -> sa.ClauseElement:
        """The statement that removes this many counters."""
        if many not in self._removals:
            self._removals[many] = sa.delete(counter).where(_one_of(many)).returning(*self._row)
        return self._removals[many]


def _numbered(name: str, values: Iterable[object]) -> dict[str, Any]:
    return {f"{name}_{number}": value for number, value in enumerate(values)}


def _one_of(many: int) -> sa.ColumnElement[bool]:
    return counter.c.key.in_([sa.bindparam(f"key_{number}") for number in range(many)])
