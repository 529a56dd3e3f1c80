"""What a sign-in costs the store, as `benchmarks.request` counts it. Its times are the benchmark's to judge."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from benchmarks.request import work_of_sign_ins
from benchmarks.spies import Commits
from nipo_auth_mw._flows.invitations import create_invited
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_bulk import create, create_each
from nipo_auth_mw._flows.staff_rows import AccountRow
from nipo_auth_mw.stores import SQLStore
from tests.kit import middleware


def test_a_sign_in_is_ten_statements_and_waits_for_the_disk_once_with_a_code_too(tmp_path):
    work = work_of_sign_ins(tmp_path)
    assert list(work) == ["sign-in", "sign-in with a code"]
    for name, most in {"sign-in": (10, 2, 1), "sign-in with a code": (19, 4, 1)}.items():
        assert all(count <= limit for count, limit in zip(work[name], most, strict=True)), (name, work[name])


def test_a_further_row_of_an_import_compiles_no_statement(tmp_path, monkeypatch):
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    services = middleware(store=store)._services

    def imported(number):
        create_invited(services, email=f"p{number}@example.com", name="", role="staff", actor=Actor("a list"))

    imported(1)
    compiled, init = [], SQLCompiler.__init__
    monkeypatch.setattr(SQLCompiler, "__init__", lambda *of, **more: compiled.append(of[2]) or init(*of, **more))
    imported(2)
    assert compiled == []
    store.close()


def test_an_import_is_one_transaction_for_twenty_rows_and_few_statements_for_each(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'auth.db'}")
    commits, store = Commits(engine), SQLStore(engine)
    store.create_schema()
    services = middleware(store=store)._services
    rows = [AccountRow(number, {"email": f"p{number}@example.com", "name": ""}) for number in range(41)]

    def invited(row):
        return create(services, row, role="staff", invite=True, actor=Actor("a list"))

    def work():
        assert all(line.user for line in create_each(services, rows, invited, lambda _row: True))

    statements, transactions, _ = commits.of(work)
    # The mailer of tests gets each mail at once, which is claimed before and removed after it.
    assert transactions == 3 + 2 * len(rows)
    assert statements <= (7 + 8) * len(rows) + 20
    store.close()
