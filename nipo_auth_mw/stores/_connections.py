"""Statements, transactions, and the translation of database errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar, TypeVarTuple

import sqlalchemy as sa

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.stores._statements import Query, compiled
from nipo_auth_mw.stores._thread_connections import ThreadConnection, ThreadConnections, WriteLock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_STALE_SECONDS = 1.0
_WAL_SECONDS = 5.0


class Connections:
    """Runs the statements of a store; each thread has one connection.

    Raises `StoreUnavailable` for an outage and ValueError for a value that does not fit its column. Neither exception
    carries values of a row, nor the driver's exception, whose text can contain them: logs must get no secret.
    """

    def __init__(self, engine: sa.Engine, settings: Sequence[str], write_lock: WriteLock | None) -> None:
        self.engine = engine
        self._settings = tuple(settings)
        self._write_lock = write_lock
        self._begin = "BEGIN IMMEDIATE" if write_lock else "BEGIN"
        self._threads = ThreadConnections(self._connect)
        self._queries: dict[sa.ClauseElement, Query] = {}
        driver: Any = engine.dialect.loaded_dbapi
        self._misfit_errors = (driver.DataError, sa.exc.DataError, UnicodeError)
        self._database_errors = (driver.Error, sa.exc.SQLAlchemyError, UnicodeError)
        self._outage_errors = (
            *(driver.OperationalError, driver.InterfaceError, driver.InternalError),
            *(sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.InvalidRequestError),
        )

    # One statement

    def fetch(self, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        """The rows of a statement on the driver's cursor; none for a text that no column can hold."""
        return self._run(_fetch_all, sql, parameters) or ()

    def look_up(self, statement: sa.ClauseElement, **values: object) -> Sequence[Any]:
        """The driver's rows of a constant statement, which the first use compiles."""
        query = self._queries.get(statement)
        if query is None:
            query = self._queries[statement] = compiled(statement, self.engine)
        return self.fetch(query.sql, query.values(**values))

    def read(self, statement: sa.Executable, **values: object) -> Sequence[sa.Row[Any]]:
        """The rows of a statement; none for a text that no column can hold."""
        return self._run(lambda current: current.connection.execute(statement, values).all()) or ()

    def ask(self, question: Callable[[sa.Connection], T]) -> T | None:
        """The result of a function that only reads."""
        return self._run(lambda current: question(current.connection))

    def change(self, statement: sa.Executable, **values: object) -> bool:
        """Run an UPDATE or DELETE; whether it matched a row."""
        with self.writing() as connection:
            return bool(connection.execute(statement, values).rowcount)

    def _run(self, work: Callable[[ThreadConnection, *Ts], T], *given: *Ts) -> T | None:
        try:
            current: ThreadConnection = self._threads.local.connection
        except AttributeError:
            current = self._threads.get()
        with current.lock:
            started = time.monotonic()
            try:
                if not current.is_open:
                    current.open()
                return work(current, *given)
            except self._outage_errors as problem:
                unavailable = self._unavailable(current, problem)
                # An immediate failure is a connection that a restarted server dropped; a late one is an outage.
                if current.in_transaction or time.monotonic() - started > _STALE_SECONDS:
                    raise unavailable from None
            except BaseException as problem:
                self._handle(current, problem)
                return None
            try:
                current.open()
                return work(current, *given)
            except BaseException as problem:
                self._handle(current, problem)
                return None

    def _handle(self, current: ThreadConnection, problem: BaseException) -> None:
        """Handle an error without another try."""
        if isinstance(problem, self._misfit_errors):
            current.failed = current.in_transaction
            return
        unavailable = self._unavailable(current, problem)
        if isinstance(problem, self._database_errors):
            raise unavailable from None
        raise problem

    # Transactions

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Commit this thread's writes together, or roll them back on an exception. A nested one joins the outer one."""
        current = self._threads.get()
        with current.lock:
            if current.in_transaction:
                _refuse_after_failure(current)
                yield current.connection
                return
            with self.write_lock():
                self._run(lambda current: current.connection.exec_driver_sql(self._begin))
                current.in_transaction, current.failed = True, False
                try:
                    yield current.connection
                    _refuse_after_failure(current)
                except BaseException:
                    self._end_transaction(current, "ROLLBACK")
                    raise
                if problem := self._end_transaction(current, "COMMIT"):
                    raise problem

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction for the statements of a store; translates their errors."""
        with self.transaction() as connection:
            current = self._threads.get()
            try:
                yield connection
            except self._misfit_errors:
                current.failed = True
                raise ValueError("a value does not fit its column") from None
            except self._database_errors as problem:
                raise self._unavailable(current, problem) from None

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has an open transaction."""
        return self._threads.get().in_transaction

    def write_lock(self) -> AbstractContextManager[None]:
        """The write lock of SQLite, for a statement outside a transaction."""
        return nullcontext() if self._write_lock is None or self.in_transaction else self._write_lock.held()

    def close(self) -> None:
        """Close the connections of all threads. The next use opens them again."""
        self._threads.close()

    def _end_transaction(self, current: ThreadConnection, how: str) -> StoreUnavailable | None:
        current.in_transaction = False
        try:
            if current.is_open:
                current.connection.exec_driver_sql(how)
                return None
        except self._database_errors as problem:
            # The state is unknown, and the next transaction must not begin inside this one.
            current.close()
            return self._unavailable(current, problem)
        return StoreUnavailable("the connection was lost, and with it the transaction")

    def _unavailable(self, current: ThreadConnection, problem: BaseException) -> StoreUnavailable:
        """Close the connection: after an interrupted statement, the next one would read the result of the first."""
        current.failed = current.in_transaction
        if not current.in_transaction:
            current.close()
        return StoreUnavailable(f"the database cannot be used ({_reason(problem)})")

    def _connect(self) -> sa.Connection:
        connection = self.engine.connect()
        try:
            for setting in self._settings:
                _set(connection, setting)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        return connection


def _fetch_all(current: ThreadConnection, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
    cursor = current.cursor
    cursor.execute(sql, parameters)
    rows: Sequence[Any] = cursor.fetchall()
    return rows


def _refuse_after_failure(current: ThreadConnection) -> None:
    """Some databases roll back at a failed statement; the later statements would then be committed alone."""
    if current.failed or not current.is_open:
        raise StoreUnavailable("a statement of this transaction failed, so it cannot be committed")


def _set(connection: sa.Connection, setting: str) -> None:
    """Run a setting. SQLite's busy time-out does not cover the change of the journal mode, so wait here."""
    deadline = time.monotonic() + _WAL_SECONDS
    while True:
        try:
            connection.exec_driver_sql(setting)
            return
        except sa.exc.OperationalError:
            if "journal_mode" not in setting or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _reason(problem: BaseException) -> str:
    """The class and the code of an error, never its text, which can quote a row."""
    cause: Any = getattr(problem, "orig", None) or problem
    first = cause.args[0] if cause.args and isinstance(cause.args[0], int) else ""
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or first
    return f"{type(cause).__name__} {code}".rstrip()
