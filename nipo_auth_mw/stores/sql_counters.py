"""Counters in a database, shared by all processes and hosts that use it."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import count

import sqlalchemy as sa
from limits.storage import Storage

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.stores.connections import Connections
from nipo_auth_mw.stores.schema import counter
from nipo_auth_mw.stores.statements import compiled, upsert

_PRUNE_EVERY = 256
_BATCH = 1000
_CLEAR = sa.delete(counter).where(counter.c.key == sa.bindparam("of_key"))


class SQLCounters(Storage):
    """A `limits` storage on the store's table of counters. Raises `StoreUnavailable` during an outage.

    `incr` is one atomic statement that returns what it made, so no two callers anywhere are told the same value.
    Counts go over a connection of their own and are no part of `transaction()`: a guess stays counted. (Not so with
    SQLite, which has one writer: there a count made inside a transaction is part of it.) A count that was lost
    with its connection may have been made nevertheless, and is made again: rather one too many than one too few.
    """

    STORAGE_SCHEME = None  # No URI leads here: counters belong to their store.

    def __init__(self, own: Connections, store: Connections) -> None:
        super().__init__()
        self._own = own
        self._store = store
        self._calls = count(1)
        self._more_to_prune = False
        engine = own.engine
        self._incr = compiled(_increment(engine), engine)
        row = sa.select(counter.c.amount, counter.c.expires_at).where(counter.c.key == sa.bindparam("key"))
        self._get = compiled(row, engine)

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ()

    @property
    def _db(self) -> Connections:
        one_writer = self._own.engine.dialect.name == "sqlite"
        return self._store if one_writer and self._store.within else self._own

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` and return the sum. A counter starts at 0, with `expiry` seconds to live, which later
        increments do not prolong. ValueError for a name that no counter can have."""
        now = time.time()
        values = self._incr.values(key=key, amount=amount, now=now, expires_at=now + expiry)
        db = self._db
        with db.turn():
            rows = db.fetch(self._incr.sql, values)
        if not rows:
            raise ValueError("no counter can have this name")
        if self._more_to_prune or next(self._calls) % _PRUNE_EVERY == 0:
            # Tidying up is no reason to refuse a sign-in.
            with suppress(StoreUnavailable):
                self._more_to_prune = self._prune() == _BATCH
        return int(rows[0][0])

    def get(self, key: str) -> int:
        """The count; 0 when there is none or it has expired."""
        amount, expires_at = self._row(key)
        return amount if expires_at > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the counter ends, in seconds since the epoch; now, when there is none."""
        return max(time.time(), self._row(key)[1])

    def check(self) -> bool:
        """Whether the database answers."""
        try:
            self._db.fetch("SELECT 1", ())
        except StoreUnavailable:
            return False
        return True

    def reset(self) -> int:
        """Forget all counters; returns how many there were."""
        with self._db.writing() as connection:
            return connection.execute(sa.delete(counter)).rowcount

    def clear(self, key: str) -> None:
        """Forget one counter."""
        self._db.change(_CLEAR, of_key=key)

    def prune(self) -> int:
        """Remove all expired counters; returns how many. `incr` does so now and then, at most 1,000 at a time."""
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


def _increment(engine: sa.Engine) -> sa.ClauseElement:
    amount = sa.bindparam("amount", type_=sa.BigInteger())
    now: sa.BindParameter[float] = sa.bindparam("now", type_=sa.Double())
    expires_at: sa.BindParameter[float] = sa.bindparam("expires_at", type_=sa.Double())
    over = counter.c.expires_at <= now
    changes = (
        # In this order: MariaDB's later assignments see what the earlier ones made.
        ("amount", sa.case((over, amount), else_=counter.c.amount + amount)),
        ("expires_at", sa.case((over, expires_at), else_=counter.c.expires_at)),
    )
    first = {"key": sa.bindparam("key"), "amount": amount, "expires_at": expires_at}
    statement: sa.ClauseElement = upsert(engine, counter, first, changes).returning(counter.c.amount)
    return statement
