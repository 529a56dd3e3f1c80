"""How long an administrator waits for the staff list, the audit log, the days of use and an import; the cost of seals.

    python -m benchmarks.lists [--accounts 10000] [--rows 1000000] [--days 365] [--imported 2000] [--sealed 100000]
                               [--most 100]

Fills an SQLite file, requests pages as a browser does, and prints milliseconds (median of nine) and the plan of each
query. Exits 1 if a page takes longer than `--most` milliseconds, if a query of the audit log uses no index, or if the
import with invitations takes longer than ten seconds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from webtest import TestApp

from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw._audit.events import make_event
from nipo_auth_mw._flows.advance import SIGNED_IN
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_bulk import Line, code_of, create, create_each
from nipo_auth_mw._flows.staff_rows import AccountRow
from nipo_auth_mw.models import Client, Message
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.stores import _schema as schema
from nipo_auth_mw.stores._folding import folded_values
from nipo_auth_mw.testing import fast_hasher, in_memory, sign_in

PASSWORD = "aoi-umi-to-shiroi-kumo"
_BATCH = 20_000
_ROUNDS = 9
_IMPORT_SECONDS = 10


class Sink:
    """A mailer that drops its mails. They go the way of production: by the outbox, on the worker's thread."""

    sender = "Reports <noreply@example.com>"

    def send(self, message: Message) -> None:
        """Drop the mail."""


def nothing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An app with an empty page."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b""]


def accounts(amount: int) -> Iterator[dict[str, Any]]:
    """So many rows of accounts."""
    for number in range(amount):
        name, email = f"社員 {number:05}", f"p{number:05}@example.net"
        yield {
            **{"email": email, "name": name},
            **folded_values(email, name, ""),
            **{"password_hash": None, "active": number % 7 > 0, "role": "staff"},
        }


def sessions(amount: int) -> Iterator[dict[str, Any]]:
    """Two sessions of every third account."""
    now = time.time()
    for number in range(2, amount, 3):
        for device in "ab":
            yield {
                **{"key": f"{device}{number:063}", "user_id": str(number), "account_id": number, "stamp": ""},
                **{"created_at": now - number, "seen_at": now - number, "sent_at": now, "persistent": True},
                **{"client_address": "192.0.2.1", "user_agent": "Mozilla/5.0", "confirmed_at": 0.0},
            }


def events(amount: int) -> Iterator[dict[str, Any]]:
    """So many rows of the audit log. Half of them are sign-ins of one account; one has a kind of its own."""
    now = time.time()
    for number in range(amount):
        half = number % 2 == 0
        yield {
            "time": now - amount + number,
            "event": "role_changed" if number == amount // 3 else "signed_in" if half else "signed_out",
            "user_id": "1" if half else str(2 + number % 9000),
            "email": "busy@example.com" if half else f"p{number % 9000:05}@example.net",
            **{"session": "0123456789ab", "client_address": "192.0.2.1", "user_agent": "Mozilla/5.0"},
            **{"actor": "", "details": "{}", "digest": "0" * 40},
        }


def uses(amount: int, days: int) -> Iterator[dict[str, Any]]:
    """The days of use of so many accounts, each of which used the app on two days of three, up to today."""
    today = datetime.now(UTC)
    for back in range(days):
        day = today - timedelta(days=back)
        for number in range(amount):
            if (number + back) % 3:
                yield {"day": day.date().isoformat(), "user_id": str(number + 1)} | dict.fromkeys(
                    ("first_at", "last_at"), day.timestamp()
                )


def fill(store: SQLStore, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
    """Insert the rows in batches."""
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            _insert(store, table, batch)
            batch = []
    if batch:
        _insert(store, table, batch)


def _insert(store: SQLStore, table: sa.Table, batch: list[dict[str, Any]]) -> None:
    """Insert one batch."""
    with store._db.writing() as connection:
        connection.execute(sa.insert(table), batch)


def milliseconds(work: Callable[[], object]) -> float:
    """The median duration of a call."""
    work()
    taken = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def plans(store: SQLStore, work: Callable[[], object]) -> list[str]:
    """SQLite's plan for each SELECT on accounts and events that `work` makes."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith("SELECT") and (" nipo_auth_event" in statement or "LIKE" in statement):
            asked.append((statement, parameters))

    sa.event.listen(store._db.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        sa.event.remove(store._db.engine, "before_cursor_execute", note)
    found = []
    with store._db.writing() as connection:
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            found.append("; ".join(str(row[3]) for row in rows))
    return found


def pages(rows: int) -> Iterator[tuple[str, str]]:
    """Name and path of each page that is measured."""
    yield "staff, first page", "staff"
    yield "staff, searched, none match", "staff?q=nobody+at+all"
    yield "staff, searched, one matches", "staff?q=p00777"
    yield "staff, searched, half match", "staff?q=1"
    yield "staff, searched, page 100", "staff?q=p&after=5000"
    yield "staff, sorted by last use", "staff?sort=-last_used"
    yield "staff, sorted by address", "staff?sort=email"
    yield "staff, sorted by role", "staff?sort=role"
    yield "staff, temporary passwords", "staff?show=temporary"
    yield "staff, never used", "staff?show=unused"
    yield "staff, locked", "staff?show=locked"
    yield "audit log, unfiltered", "audit"
    yield "audit log, a kind, none match", "audit?event=email_changed"
    yield "audit log, a kind, one matches", "audit?event=role_changed"
    yield "audit log, a kind, half match", "audit?event=signed_in"
    yield "audit log, an account, none match", "audit?q=nobody%40example.net"
    yield "audit log, an account, half match", "audit?q=busy%40example.com"
    yield "audit log, part of a name, ten accounts", "audit?q=example"
    yield "audit log, account and kind, none match", "audit?q=busy%40example.com&event=signed_out"
    yield "audit log, account, kind, days", "audit?q=busy%40example.com&event=signed_in&from=2000-01-01"
    yield "audit log, a day without rows", "audit?from=2001-01-01&to=2001-01-01"
    yield "audit log, half way down", f"audit?after={time.time() - rows / 2:.6f}_{rows // 2}"
    today = datetime.now(UTC).date()
    month = f"from={today - timedelta(days=30)}&to={today}"
    yield "days of use, today", f"audit/usage?from={today}&to={today}"
    yield "days of use, a month", f"audit/usage?{month}"
    yield "days of use, a month, page 100", f"audit/usage?{month}&after=5"
    yield "days of use, a month, ten accounts", f"audit/usage?q=p0077&{month}"


def main() -> int:
    """Measure. Returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--accounts", type=int, default=10_000)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--days", type=int, default=365)
    options.add_argument("--imported", type=int, default=2000)
    options.add_argument("--sealed", type=int, default=100_000)
    options.add_argument("--most", type=float, default=100.0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder), given)


def _run(folder: Path, given: argparse.Namespace) -> int:
    """Measure the pages, the import and the seals."""
    store = SQLStore(f"sqlite:///{folder / 'lists.db'}")
    store.create_schema()
    auth = AuthMiddleware(nothing, **{**in_memory(), "store": store, "hasher": fast_hasher(), "mailer": Sink()})
    busy = auth.accounts.create(email="busy@example.com", password=PASSWORD, role="admin", name="管理 担当")
    started = time.perf_counter()
    fill(store, schema.account, accounts(given.accounts - 1))
    fill(store, schema.session, sessions(given.accounts))
    fill(store, schema.event, events(given.rows))
    fill(store, schema.usage, uses(given.accounts, given.days))
    amounts = f"{given.accounts:,} accounts, {given.rows:,} rows, {given.days} days of use"
    print(f"{amounts}, filled in {time.perf_counter() - started:.0f} s\n")
    browser = TestApp(auth)
    sign_in(auth, browser, busy)
    slow = []
    for name, path in pages(given.rows):
        taken = milliseconds(lambda path=path: browser.get(f"/-/auth/{path}"))  # type: ignore[misc]
        print(f"{taken:8.1f} ms  {name}")
        for plan in plans(store, lambda path=path: browser.get(f"/-/auth/{path}")):  # type: ignore[misc]
            print(f"             {plan}")
            scans = "SCAN" in plan and "INDEX" not in plan
            # Ten thousand accounts are read and sorted within the limit.
            if name.startswith("audit") and ("TEMP B-TREE" in plan or scans):
                slow.append(f"{name}: {plan}")
        if taken > given.most:
            slow.append(f"{name}: {taken:.0f} ms")
    if (seconds := _import(auth, given.imported)) > _IMPORT_SECONDS:
        slow.append(f"import: {seconds:.1f} s")
    store.close()
    _seals(folder, given.sealed)
    for line in slow:
        print(f"TOO SLOW  {line}")
    return bool(slow)


def _import(auth: AuthMiddleware, amount: int) -> float:
    """Measure the import of so many rows with an invitation each. Returns seconds."""
    services, seen = auth._services, set[str]()
    rows = [AccountRow(n, {"email": f"new{n}@example.net", "name": f"新人 {n}"}) for n in range(amount)]

    def invited(row: AccountRow) -> Line:
        return create(services, row, role="staff", invite=True, actor=Actor("script"))

    started = time.perf_counter()
    for line in create_each(services, rows, invited, lambda row: not code_of(services, row, "staff", seen)):
        assert line.invited is not None, line.code
    taken = time.perf_counter() - started
    auth._services.outbox.flush(600)
    print(f"{taken * 1000:8.0f} ms  to import {amount:,} rows with an invitation each")
    print(f"{(time.perf_counter() - started) * 1000:8.0f} ms  until their mails are gone")
    return taken


def _seals(folder: Path, amount: int) -> None:
    """Measure the digest of an event, the sealing of many rows and their verification."""
    store = SQLStore(f"sqlite:///{folder / 'seals.db'}")
    store.create_schema()
    auth = AuthMiddleware(nothing, **{**in_memory(), "store": store, "hasher": fast_hasher()})
    seals = auth._services.seals
    client = Client("192.0.2.1", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)")
    numbers = random.Random(1)

    def made() -> Any:
        user_id = str(numbers.randrange(10_000))
        return make_event(SIGNED_IN, client=client, subject=user_id, email="p@example.net")

    started = time.perf_counter()
    for _ in range(1000):
        seals.signed(made())
    each = (time.perf_counter() - started) * 1000  # microseconds, of a thousand
    rows = []
    for _ in range(amount):
        one = seals.signed(made())
        values = {name: getattr(one, name) for name in ("event", "user_id", "email", "session", "client_address")}
        values |= {"user_agent": one.user_agent, "actor": one.actor, "digest": one.digest, "details": "{}"}
        rows.append(values | {"time": one.time.timestamp()})
    fill(store, schema.event, iter(rows))
    started = time.perf_counter()
    seals.seal()
    sealed = time.perf_counter() - started
    started = time.perf_counter()
    verdict = seals.verify()
    verified = time.perf_counter() - started
    auth.accounts.create(email="p@example.net", password=PASSWORD)
    slow = AuthMiddleware(nothing, **{**in_memory(), "store": store, "hasher": None})
    slow.accounts.set_password("1", PASSWORD)
    browser = TestApp(slow)
    whole = milliseconds(lambda: browser.post("/-/auth/login", {"email": "p@example.net", "password": PASSWORD}))
    print(f"\n{each:8.1f} µs  an event and its digest; a sign-in takes {whole:.0f} ms: {each / whole / 10:.2f} %")
    print(f"{sealed * 1000:8.0f} ms  to seal {amount:,} rows")
    print(f"{verified * 1000:8.0f} ms  to verify {verdict.rows:,} rows, {len(verdict.wrong)} wrong")
    store.close()


if __name__ == "__main__":
    sys.exit(main())
