"""Statements, transactions, and what becomes of a database's errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar, TypeVarTuple

import sqlalchemy as sa

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.stores.kept import Kept, KeptConnections, Turn
from nipo_auth_mw.stores.statements import Query, compiled

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_STALE_SECONDS = 1.0
_WAL_SECONDS = 5.0


class Connections:
    """What a store's methods run their statements on; each thread keeps one connection.

    An outage is raised as `StoreUnavailable`, a value that does not fit its column as ValueError. Neither carries a
    row's values, nor the driver's exception, whose text may hold them.
    """

    def __init__(self, engine: sa.Engine, settings: Sequence[str], turn: Turn | None) -> None:
        self.engine = engine
        self._settings = tuple(settings)
        self._turn = turn
        self._begin = "BEGIN IMMEDIATE" if turn else "BEGIN"
        self._kept = KeptConnections(self._opened)
        self._queries: dict[sa.ClauseElement, Query] = {}
        driver: Any = engine.dialect.loaded_dbapi
        self._misfits = (driver.DataError, sa.exc.DataError, UnicodeError)
        self._errors = (driver.Error, sa.exc.SQLAlchemyError, UnicodeError)
        self._outages = (
            *(driver.OperationalError, driver.InterfaceError, driver.InternalError),
            *(sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.InvalidRequestError),
        )

    # One statement

    def fetch(self, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        """The rows of a statement on the driver's own cursor. A text that no column could hold matches none."""
        return self._run(_fetched, sql, parameters) or ()

    def look_up(self, statement: sa.ClauseElement, **values: object) -> Sequence[Any]:
        """The rows of a statement that never changes, compiled at its first use, as the driver gives them."""
        query = self._queries.get(statement)
        if query is None:
            query = self._queries[statement] = compiled(statement, self.engine)
        return self.fetch(query.sql, query.values(**values))

    def read(self, statement: sa.Executable, **values: object) -> Sequence[sa.Row[Any]]:
        """The rows of a statement. A text that no column could hold matches none."""
        return self._run(lambda kept: kept.connection.execute(statement, values).all()) or ()

    def ask(self, question: Callable[[sa.Connection], T]) -> T | None:
        """What a function that only reads finds out."""
        return self._run(lambda kept: question(kept.connection))

    def change(self, statement: sa.Executable, **values: object) -> bool:
        """Run an UPDATE or DELETE; whether it met a row."""
        with self.writing() as connection:
            return bool(connection.execute(statement, values).rowcount)

    def _run(self, work: Callable[[Kept, *Ts], T], *given: *Ts) -> T | None:
        kept = self._kept.mine()
        with kept.lock:
            started = time.monotonic()
            try:
                if not kept.is_open:
                    kept.open()
                return work(kept, *given)
            except self._outages as problem:
                unavailable = self._failed(kept, problem)
                # A connection found dead at once is a server that was restarted; after a wait it is an outage.
                if kept.within or time.monotonic() - started > _STALE_SECONDS:
                    raise unavailable from None
            except BaseException as problem:
                self._refused(kept, problem)
                return None
            try:
                kept.open()
                return work(kept, *given)
            except BaseException as problem:
                self._refused(kept, problem)
                return None

    def _refused(self, kept: Kept, problem: BaseException) -> None:
        """What becomes of an error that is not worth another try."""
        if isinstance(problem, self._misfits):
            kept.failed = kept.within
            return
        unavailable = self._failed(kept, problem)
        if isinstance(problem, self._errors):
            raise unavailable from None
        raise problem

    # Several

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All that this thread writes inside, whole or not at all. Inside another it is part of that one."""
        kept = self._kept.mine()
        with kept.lock:
            if kept.within:
                _refuse_after_failure(kept)
                yield kept.connection
                return
            with self.turn():
                self._run(lambda kept: kept.connection.exec_driver_sql(self._begin))
                kept.within, kept.failed = True, False
                try:
                    yield kept.connection
                    _refuse_after_failure(kept)
                except BaseException:
                    self._finish(kept, "ROLLBACK")
                    raise
                if problem := self._finish(kept, "COMMIT"):
                    raise problem

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction for a store's own statements: their errors are translated."""
        with self.transaction() as connection:
            kept = self._kept.mine()
            try:
                yield connection
            except self._misfits:
                kept.failed = True
                raise ValueError("a value does not fit its column") from None
            except self._errors as problem:
                raise self._failed(kept, problem) from None

    @property
    def within(self) -> bool:
        """Whether this thread has a transaction open."""
        return self._kept.mine().within

    def turn(self) -> AbstractContextManager[None]:
        """The right to write, for a statement outside a transaction."""
        return nullcontext() if self._turn is None or self.within else self._turn.taken()

    def close(self) -> None:
        """Close all threads' connections; they open again when used again."""
        self._kept.close()

    def _finish(self, kept: Kept, how: str) -> StoreUnavailable | None:
        kept.within = False
        try:
            if kept.is_open:
                kept.connection.exec_driver_sql(how)
                return None
        except self._errors as problem:
            # In whatever state it is, the next transaction must not begin inside this one.
            kept.close()
            return self._failed(kept, problem)
        return StoreUnavailable("the connection was lost, and with it the transaction")

    def _failed(self, kept: Kept, problem: BaseException) -> StoreUnavailable:
        """Stopped half-way, the next statement on a connection could read this one's answer: so open another."""
        kept.failed = kept.within
        if not kept.within:
            kept.close()
        return StoreUnavailable(f"the database cannot be used ({_reason(problem)})")

    def _opened(self) -> sa.Connection:
        connection = self.engine.connect()
        try:
            for setting in self._settings:
                _set(connection, setting)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        return connection


def _fetched(kept: Kept, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
    cursor = kept.cursor
    cursor.execute(sql, parameters)
    rows: Sequence[Any] = cursor.fetchall()
    return rows


def _refuse_after_failure(kept: Kept) -> None:
    """Some databases roll back by themselves when a statement fails; what followed would be kept on its own."""
    if kept.failed or not kept.is_open:
        raise StoreUnavailable("a statement of this transaction failed, so nothing of it can be kept")


def _set(connection: sa.Connection, setting: str) -> None:
    """SQLite's own time-out does not cover the change of a file's journal mode, so wait for it here."""
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
    """The kind of an error and its code, never its text, which may quote a row."""
    cause: Any = getattr(problem, "orig", None) or problem
    first = cause.args[0] if cause.args and isinstance(cause.args[0], int) else ""
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or first
    return f"{type(cause).__name__} {code}".rstrip()
