"""Statements and transactions on lent connections."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar, TypeVarTuple

import sqlalchemy as sa

from nipo_auth_mw.errors import ConfigError, DatabaseUnavailable, StoreUnavailable
from nipo_auth_mw.stores._outages import Outages, is_contention, is_lost_preparation, is_outdated_plan
from nipo_auth_mw.stores._pool import ConnectionPool, PooledConnection, WriteLock
from nipo_auth_mw.stores._setup import Setup
from nipo_auth_mw.stores._statements import Query, compiled

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_STALE_SECONDS = 1.0


class Connections:
    """Runs the statements of a store; each statement or transaction borrows one connection of the process's pool.

    Raises `StoreUnavailable` for an outage and ValueError for a value that does not fit its column. Neither exception
    carries values of a row, nor the driver's exception, whose text can contain them: logs must get no secret. After an
    outage the connection is closed and the idle ones are replaced, so a store recovers as soon as its server does.
    """

    def __init__(self, engine: sa.Engine, setup: Setup, write_lock: WriteLock | None, outages: Outages, size: int):
        self.engine = engine
        self._setup = setup
        self._outages = outages
        self._write_lock = write_lock
        self._pool = ConnectionPool(self._open, size, setup.replaced)
        self._transactions: dict[int, PooledConnection] = {}
        self._queries: dict[sa.ClauseElement, Query] = {}

    # One statement

    def fetch(self, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        """The rows of a statement on the driver's cursor; none for a text that no column can hold."""
        return self._run(_fetch_all, sql, parameters) or ()

    def fetch_often(self, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        """The same for the statement of every request. The server parses and plans it once for each connection."""
        return self._run(_fetch_prepared, sql, parameters) or ()

    def look_up(self, statement: sa.ClauseElement, **values: object) -> Sequence[Any]:
        """The driver's rows of a constant statement, which the first use compiles."""
        query = self._query(statement)
        return self.fetch(query.sql, query.values(**values))

    def read(self, statement: sa.Executable, **values: object) -> Sequence[sa.Row[Any]]:
        """The rows of a statement; none for a text that no column can hold."""
        return self._run(lambda current: current.connection.execute(statement, values).all()) or ()

    def ask(self, question: Callable[[sa.Connection], T]) -> T | None:
        """The result of a function that only reads."""
        return self._run(lambda current: question(current.connection))

    def change(self, statement: sa.Executable, **values: object) -> bool:
        """Run an UPDATE or DELETE in a transaction; whether it matched a row."""
        with self.writing() as connection:
            return bool(connection.execute(statement, values).rowcount)

    def repeatable(self, statement: sa.ClauseElement, **values: object) -> bool:
        """Run a constant statement that may run twice with the same effect; whether it matched a row. A transaction of
        its own would take two more round trips."""
        query = self._query(statement)
        with self.write_lock():
            return bool(self._run(_count_changed, query.sql, query.values(**values)))

    def write(self, statement: sa.ClauseElement, **values: object) -> bool:
        """Run a constant statement in the open transaction, or in one of its own; whether it changed a row. Raises
        ValueError for a misfit."""
        query = self._query(statement)
        with self.writing():
            return bool(_count_changed(self._transactions[threading.get_ident()], query.sql, query.values(**values)))

    def _query(self, statement: sa.ClauseElement) -> Query:
        query = self._queries.get(statement)
        if query is None:
            query = self._queries[statement] = compiled(statement, self.engine)
        return query

    def _run(self, work: Callable[[PooledConnection, *Ts], T], *given: *Ts) -> T | None:
        if self._transactions and (own := self._transactions.get(threading.get_ident())) is not None:
            return self._run_inside(own, work, *given)
        for last in (False, True):
            started = time.monotonic()
            current = self._pool.acquire(started)
            try:
                result = work(current, *given)
            except self._outages.misfits:
                self._pool.release(current)
                return None
            except BaseException as problem:
                unavailable = self._broken(current, problem)
                if unavailable is None:
                    raise
                # An immediate failure is a connection that a restarted server dropped; a late one is an outage.
                if last or not self._is_outage(problem) or time.monotonic() - started > _STALE_SECONDS:
                    raise unavailable from None
            else:
                self._pool.release(current)
                return result
        return None

    def _run_inside(self, own: PooledConnection, work: Callable[[PooledConnection, *Ts], T], *given: *Ts) -> T | None:
        """Run a statement in the open transaction of this thread."""
        _refuse_if_lost(own)
        try:
            return work(own, *given)
        except BaseException as problem:
            if unavailable := self._failed(own, problem):
                raise unavailable from None
            if isinstance(problem, self._outages.misfits):
                return None
            raise

    # Transactions

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Commit this thread's writes together, or roll them back on an exception. A nested one joins the outer one."""
        me = threading.get_ident()
        if own := self._transactions.get(me):
            _refuse_after_failure(own)
            yield own.connection
            return
        # A thread that waits for SQLite's write lock holds no connection, so that readers have theirs.
        with self.write_lock():
            current = self._begin()
            self._transactions[me] = current
            try:
                yield current.connection
                _refuse_after_failure(current)
            except BaseException:
                self._end(me, "ROLLBACK")
                raise
            if problem := self._end(me, "COMMIT"):
                raise problem

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction for the statements of a store; translates their errors."""
        with self.transaction() as connection:
            current = self._transactions[threading.get_ident()]
            try:
                yield connection
            except self._outages.misfits:
                current.failed = True
                raise ValueError("a value does not fit its column") from None
            except self._outages.database_errors as problem:
                raise self._failed(current, problem) or problem from None

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has an open transaction."""
        return threading.get_ident() in self._transactions

    def write_lock(self) -> AbstractContextManager[None]:
        """The write lock of SQLite, for a statement outside a transaction."""
        return nullcontext() if self._write_lock is None or self.in_transaction else self._write_lock.held()

    def close(self) -> None:
        """Close all connections, a lent one when it comes back. The next use opens them again."""
        self._pool.close()

    def _open(self) -> PooledConnection:
        try:
            return self._setup.open(self.engine)
        except (ConfigError, StoreUnavailable):
            raise
        except Exception as problem:
            # The engine of a host app may fetch a token first, and the driver read a certificate.
            raise self._outages.translated(problem) from None

    def _begin(self) -> PooledConnection:
        """A lent connection with an open transaction; a connection that a restarted server dropped is replaced."""
        for last in (False, True):
            started = time.monotonic()
            current = self._pool.acquire(started)
            try:
                current.cursor.execute(current.begin)
            except BaseException as problem:
                unavailable = self._broken(current, problem)
                if unavailable is None:
                    raise
                if last or time.monotonic() - started > _STALE_SECONDS:
                    raise unavailable from None
            else:
                current.failed = False
                return current
        raise AssertionError

    def _end(self, me: int, how: str) -> StoreUnavailable | None:
        current = self._transactions.pop(me)
        if current.lost:
            self._pool.discard(current)
            return DatabaseUnavailable("the connection was lost, and with it the transaction")
        try:
            current.cursor.execute(how)
        except BaseException as problem:
            # The state is unknown, and the next transaction must not begin inside this one.
            unavailable = self._broken(current, problem)
            if unavailable is None:
                raise
            return unavailable
        self._pool.release(current)
        return None

    def _failed(self, own: PooledConnection, problem: BaseException) -> StoreUnavailable | None:
        """Mark the open transaction as failed; the exception to raise for an error of the database."""
        own.failed = True
        if isinstance(problem, self._outages.misfits):
            return None
        # After an interrupted statement, the next one would read the result of the first.
        own.lost = self._is_outage(problem) or not isinstance(problem, self._outages.database_errors)
        return self._told(problem)

    def _broken(self, current: PooledConnection, problem: BaseException) -> StoreUnavailable | None:
        """Close a lent connection after an error; the exception to raise for an error of the database."""
        self._pool.discard(current)
        return self._told(problem)

    def _told(self, problem: BaseException) -> StoreUnavailable | None:
        if not isinstance(problem, self._outages.database_errors):
            return None
        if is_lost_preparation(problem):
            self._setup.behind_pooler = True
        if self._is_outage(problem) and not is_contention(problem):
            self._pool.expire()
        return self._outages.translated(problem)

    def _is_outage(self, problem: BaseException) -> bool:
        if is_lost_preparation(problem) or is_outdated_plan(problem):
            return True
        return isinstance(problem, self._outages.outages)


def _fetch_all(current: PooledConnection, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
    cursor = current.cursor
    cursor.execute(sql, parameters)
    rows: Sequence[Any] = cursor.fetchall()
    return rows


def _fetch_prepared(current: PooledConnection, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
    # psycopg prepares by itself, SQLite's driver keeps what it has compiled, and PyMySQL sends the text each time.
    if current.prepared is None:
        current.cursor.execute(sql, parameters)
        rows: Sequence[Any] = current.cursor.fetchall()
        return rows
    execute = current.prepared.get(sql)
    if execute is None:
        # Behind a pooler, another client's statement must not have this name.
        name, marks = f"nipo_auth_{secrets.token_hex(8)}", ", ".join(["%s"] * len(parameters))
        current.cursor.execute(f"PREPARE {name} FROM %s", (sql.replace("%s", "?"),))
        execute = current.prepared[sql] = f"EXECUTE {name} USING {marks}"
    return _fetch_all(current, execute, parameters)


def _count_changed(current: PooledConnection, sql: str, parameters: Sequence[object]) -> int:
    current.cursor.execute(sql, parameters)
    count: int = current.cursor.rowcount
    return count


def _refuse_if_lost(current: PooledConnection) -> None:
    if current.lost:
        raise DatabaseUnavailable("the connection was lost, and with it the transaction")


def _refuse_after_failure(current: PooledConnection) -> None:
    """Some databases roll back at a failed statement; the later statements would then be committed alone."""
    _refuse_if_lost(current)
    if current.failed:
        raise DatabaseUnavailable("a statement of this transaction failed, so it cannot be committed")
