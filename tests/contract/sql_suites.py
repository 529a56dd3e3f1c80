"""The contracts as `SQLStore` keeps them, and what it promises beyond them, on any of its databases.

A test module that imports these classes defines the fixtures `url`, of a database, and `sql_store`, a store on it
with its tables empty.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.factors import Factors
from nipo_auth_mw._credentials.hashing import PasswordHashing
from nipo_auth_mw._mail.addresses import canonical
from nipo_auth_mw.errors import ConfigError, EmailTaken, StoreUnavailable
from nipo_auth_mw.models import AccountState, Event, StaffQuery
from nipo_auth_mw.stores import MemoryStore, SQLStore, _pool
from nipo_auth_mw.stores import _schema as schema
from nipo_auth_mw.stores import _upgrades as upgrades
from nipo_auth_mw.testing import contracts, fast_hasher
from nipo_auth_mw.testing.contracts.audit import START
from nipo_auth_mw.testing.contracts.base import RACERS, at_once
from nipo_auth_mw.testing.contracts.factors import PASSKEY, a_factor, digests
from nipo_auth_mw.testing.contracts.sessions import a_session
from tests.contract import workers
from tests.kit import no_further_file
from tests.security.corpora import addresses

__all__ = [
    "TestAccountStates",
    "TestAccounts",
    "TestAudit",
    "TestCounterRows",
    "TestCounters",
    "TestCountersClock",
    "TestEmailChanges",
    "TestEmails",
    "TestFactorProcesses",
    "TestFactors",
    "TestJoinedSessions",
    "TestOutages",
    "TestOutbox",
    "TestRestampableSessions",
    "TestSchema",
    "TestSeals",
    "TestSecondStepSessions",
    "TestSecrets",
    "TestSessions",
    "TestStaff",
    "TestStaffLists",
    "TestThreads",
    "TestTransactions",
    "TestUsage",
]

SECRET = "SECRET-VALUE"


def empty(store: SQLStore) -> None:
    """Remove every row, but those of the schema's version."""
    with store._db.writing() as connection:
        for table in schema.account.metadata.sorted_tables:
            if table is not schema.schema_version:
                connection.execute(sa.delete(table))


@pytest.fixture
def without_tables(sql_store: SQLStore) -> Iterator[SQLStore]:
    with sql_store._db.writing() as connection:
        schema.account.metadata.drop_all(connection)
    yield sql_store
    sql_store.create_schema()


WITHOUT_FACTORS = (
    "ALTER TABLE nipo_auth_session DROP COLUMN means",
    "ALTER TABLE nipo_auth_session DROP COLUMN second_at",
    "DROP TABLE nipo_auth_factor",
    "DROP TABLE nipo_auth_backup_code",
)


def older(store: SQLStore, version: int) -> None:
    """Give the tables the shape of an older version, with rows in them."""
    store.open_session(a_session())
    store.create(email="takasaki@example.com", password_hash=None, name="髙﨑", role="staff", active=True)
    statements = [
        "ALTER TABLE nipo_auth_account DROP COLUMN sort_key",
        "UPDATE nipo_auth_account SET name_folded = '髙﨑'",
        "DROP TABLE nipo_auth_account_state",
        "CREATE TABLE nipo_auth_account_notes (user_id VARCHAR(64) PRIMARY KEY, epoch BIGINT NOT NULL, "
        "lineage TEXT NOT NULL, language TEXT, notify_email TEXT, change_by DOUBLE PRECISION, memo TEXT)",
        "INSERT INTO nipo_auth_account_notes VALUES "
        "('1', 7, 'first second', 'ja', 'home@example.com', 1800000000.5, '週3日勤務'), "
        "('2', 3, '', NULL, NULL, NULL, NULL)",
        "ALTER TABLE nipo_auth_session RENAME COLUMN persistent TO kept",
        *WITHOUT_FACTORS,
    ]
    if version == 1:
        statements += [
            "DROP TABLE nipo_auth_email_change",
            "ALTER TABLE nipo_auth_account_notes DROP COLUMN change_by",
            "ALTER TABLE nipo_auth_account_notes DROP COLUMN memo",
            "ALTER TABLE nipo_auth_session DROP COLUMN confirmed_at",
        ]
    statements.append(f"DELETE FROM nipo_auth_schema_version WHERE version > {version}")
    with store._db.writing() as connection:
        next(index for index in schema.account.indexes if "sort_key" in index.columns).drop(connection)
        for statement in statements:
            connection.execute(sa.text(statement))
    store.close()


class OnSQL:
    @pytest.fixture
    def store(self, sql_store: SQLStore) -> SQLStore:
        return sql_store


class TestAccounts(OnSQL, contracts.UserStoreContract): ...


class TestEmails(OnSQL, contracts.EmailStoreContract): ...


class TestEmailChanges(OnSQL, contracts.EmailChangeStoreContract): ...


class TestOutbox(OnSQL, contracts.OutboxStoreContract): ...


class TestUsage(OnSQL, contracts.UsageStoreContract): ...


class TestFactors(OnSQL, contracts.AccountFactorStoreContract): ...


def succeeds(answer: object) -> None:
    """Ends the child of `workers.in_children` with an error if it was refused."""
    if not answer:
        raise LookupError


class TestFactorProcesses:
    """Processes share nothing but the database. Each has read the row before one of them writes."""

    @pytest.fixture
    def factors(self, sql_store: SQLStore) -> Factors:
        return Factors(sql_store, ["the-servers-key-" * 3], PasswordHashing(fast_hasher()))

    def test_to2_of_four_processes_with_one_code_one_is_let_in(self, sql_store: SQLStore, factors: Factors) -> None:
        secret = totp.new_secret()
        assert factors.add_app("1", secret, 1)
        now = time.time()
        code = totp.code_at(secret, totp.step_at(now))
        assert workers.in_children(lambda: succeeds(factors.accept_code("1", code, now))) == 1
        assert factors.accept_code("1", code, now) is None

    def test_rc2_of_four_processes_with_one_backup_code_one_is_let_in(self, factors: Factors) -> None:
        digest = factors.find_code("1", factors.make_codes("1")[0]) or ""
        assert workers.in_children(lambda: succeeds(factors.spend_code("1", digest))) == 1
        assert factors.codes_left("1") == 9

    def test_of_four_processes_that_make_a_set_of_codes_one_set_remains(self, factors: Factors) -> None:
        assert workers.in_children(lambda: succeeds(factors.make_codes("1"))) == workers.PROCESSES
        assert factors.codes_left("1") == 10

    def test_of_four_processes_that_store_one_passkey_one_succeeds(self, factors: Factors) -> None:
        def add() -> None:
            added = factors.add_passkey(str(os.getpid()), PASSKEY, name="", data="{}", counter=0)
            succeeds(not isinstance(added, str))

        assert workers.in_children(add) == 1
        assert factors.find(PASSKEY)

    def test_a_reset_and_a_sign_in_at_once_are_no_deadlock(self, sql_store: SQLStore) -> None:
        """Each locks the account before its codes."""
        codes = digests("a")

        def use(number: int) -> None:
            with sql_store.transaction():
                if number % 2:
                    sql_store.spend_backup_code("1", codes[number])
                    sql_store.raise_revocation_counter("1")
                else:
                    sql_store.raise_revocation_counter("1")
                    sql_store.remove_factors("1")

        # SQLite has one lock for all writers, so two cannot wait for each other there.
        for _ in range(2 if sql_store._db.engine.dialect.name == "sqlite" else 10):
            sql_store.replace_backup_codes("1", codes)
            assert at_once(use) == [None] * RACERS
            assert list(sql_store.backup_codes("1")) == []


class TestSecondStepSessions(OnSQL, contracts.SecondStepSessionsContract): ...


class TestStaffLists(OnSQL, contracts.JoinedStaffDirectoryContract): ...


class TestStaff(OnSQL, contracts.StaffDirectoryContract):
    def test_an_id_is_the_digits_of_a_positive_integer(self, store: SQLStore) -> None:
        assert int(self.create(store).id) > 0

    def test_a_refused_address_leaves_the_transaction_usable(self, store: SQLStore) -> None:
        user_id = self.create(store).id
        with store.transaction():
            with pytest.raises(EmailTaken):
                self.create(store)
            assert store.update(user_id, name="Later") is True
        assert store.get(user_id).name == "Later"

    def test_a_name_may_hold_what_the_database_cannot(self, store: SQLStore) -> None:
        assert store.get(self.create(store, name="a\0b\ud800").id).name == "a�b?"

    def test_id2_every_database_takes_the_same_addresses_for_one_persons(self, store: SQLStore) -> None:
        """Collations differ in case, accents, width and blanks; the canonical form leaves them nothing to do."""
        reference = MemoryStore()
        for place in (store, reference):
            self.create(place, email="victim@site.example")
        for text in [*addresses.ACCEPTED, *addresses.LOOK_ALIKES, *addresses.REFUSED, "VICTIM@SITE.EXAMPLE"]:
            assert store.find_by_email(text) is reference.find_by_email(text) is None, ascii(text)
        for text in [*addresses.ACCEPTED, *addresses.LOOK_ALIKES, "victim@site.example", "VICTIM@SITE.EXAMPLE"]:
            email = canonical(text)
            if email is None:
                continue
            assert (store.find_by_email(email) is None) == (reference.find_by_email(email) is None), ascii(text)
            made = [self.taken_or_made(place, email) for place in (store, reference)]
            assert made[0] == made[1], ascii(text)
            assert store.find_by_email(email).email == email

    def taken_or_made(self, store: Any, email: str) -> str:
        try:
            return str(self.create(store, email=email).email)
        except EmailTaken:
            return "taken"


class TestSessions(OnSQL, contracts.SessionStoreContract):
    def test_a_browser_may_send_what_the_database_cannot_hold(self, store: SQLStore) -> None:
        store.open_session(a_session(user_agent="a\0b", client_address="\udcff"))
        found = store.find_session("a" * 64)[0]
        assert (found.user_agent, found.client_address) == ("a�b", "?")


class TestRestampableSessions(OnSQL, contracts.RestampableSessionsContract): ...


class TestJoinedSessions(OnSQL, contracts.JoinedSessionStoreContract): ...


class TestAccountStates(OnSQL, contracts.AccountStateStoreContract):
    def test_a_text_may_hold_what_the_database_cannot(self, store: SQLStore) -> None:
        store.update_account_state("1", AccountState(attributes={"memo": "a\0b\ud800"}), expected=AccountState())
        assert store.account_state("1").memo == "a�b?"

    def test_a_number_that_json_cannot_spell_is_a_value_error(self, store: SQLStore) -> None:
        with pytest.raises(ValueError, match="JSON"):
            store.update_account_state("1", AccountState(attributes={"x": float("nan")}), expected=AccountState())
        assert store.account_state("1") == AccountState()

    def test_more_accounts_than_one_statement_takes(self, store: SQLStore) -> None:
        store.raise_revocation_counter("1200")
        assert dict(store.account_states([str(n) for n in range(1500)])) == {"1200": AccountState(1)}

    def test_equal_rows_are_parsed_once(self, store: SQLStore) -> None:
        store.update_account_state("1", AccountState(attributes={"memo": "x"}), expected=AccountState())
        assert store.account_state("1") is store.account_state("1")


class TestAudit(OnSQL, contracts.AuditLogContract):
    def test_an_event_may_hold_what_the_database_cannot(self, store: SQLStore) -> None:
        store.append_event(Event(START, "sign_in_failed", email="a\0b"))
        assert store.events()[0].email == "a�b"


class TestSeals(OnSQL, contracts.SealableLogContract): ...


class TestTransactions(OnSQL, contracts.TransactionalContract):
    def test_after_a_failed_statement_nothing_is_kept(self, store: SQLStore) -> None:
        store.open_session(a_session())
        with pytest.raises(StoreUnavailable), store.transaction():
            store.open_session(a_session("b" * 64))
            with pytest.raises(StoreUnavailable):
                store.open_session(a_session())
            with pytest.raises(StoreUnavailable):
                store.open_session(a_session("c" * 64))
        assert [session.key[0] for session in store.sessions_of("1")] == ["a"]

    def test_counting_inside_does_not_wait_for_itself(self, store: SQLStore) -> None:
        with store.transaction():
            store.raise_revocation_counter("1")
            assert store.counters.incr("a", 60) == 1
            assert store.counters.get("a") == 1
            store.counters.clear("a")
            assert store.counters.get("a") == 0


class TestCounters(contracts.CounterContract):
    @pytest.fixture
    def counters(self, sql_store: SQLStore) -> Any:
        return sql_store.counters


class TestCountersClock(contracts.CounterClockContract):
    @pytest.fixture
    def counters(self, sql_store: SQLStore) -> Any:
        return sql_store.counters

    @pytest.fixture
    def later(self, sql_store: SQLStore, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A server's clock cannot be moved, so its rows move back."""
        if sql_store._db.engine.dialect.name == "sqlite":
            real, moved = time.time, [0.0]
            monkeypatch.setattr(time, "time", lambda: real() + moved[0])
            return lambda seconds: moved.__setitem__(0, moved[0] + seconds)

        def move(seconds: float) -> None:
            with sql_store._db.writing() as connection:
                connection.execute(sa.update(schema.counter).values(expires_at=schema.counter.c.expires_at - seconds))

        return move


class TestCounterRows:
    """How the counters share a table."""

    def rows(self, store: SQLStore) -> int:
        return store._db.ask(lambda c: c.execute(sa.select(sa.func.count()).select_from(schema.counter)).scalar())

    def fill(self, store: SQLStore, count: int, *, left: float = 60) -> None:
        rows = [{"key": f"k{number}", "amount": 1, "expires_at": time.time() + left} for number in range(count)]
        with store._db.writing() as connection:
            connection.execute(sa.insert(schema.counter), rows)

    def test_counting_removes_what_has_expired(self, sql_store: SQLStore) -> None:
        self.fill(sql_store, 3500, left=-1)
        for _ in range(256 + 4):
            sql_store.counters.incr("one", 60)
        assert self.rows(sql_store) == 1

    def test_what_counts_is_never_removed(self, sql_store: SQLStore) -> None:
        self.fill(sql_store, 1500)
        for _ in range(257):
            sql_store.counters.incr("one", 60)
        assert sql_store.counters.prune() == 0
        assert self.rows(sql_store) == 1501

    def test_four_processes_never_lose_a_count(self, sql_store: SQLStore, url: str) -> None:
        """Each counts from many threads, and tells every number that it got."""
        told, tell = os.pipe()

        def count() -> None:
            own = SQLStore(url)
            numbers = at_once(lambda _: [own.counters.incr("shared", 600) for _ in range(12)])
            os.write(tell, "".join(f"{number} " for some in numbers for number in some).encode())

        assert workers.in_children(count) == workers.PROCESSES
        os.close(tell)
        with os.fdopen(told) as told_by_all:
            numbers = sorted(map(int, told_by_all.read().split()))
        total = workers.PROCESSES * RACERS * 12
        assert numbers == list(range(1, total + 1))
        assert sql_store.counters.get("shared") == total

    def test_a_key_that_no_column_holds_counts_nothing(self, sql_store: SQLStore) -> None:
        assert sql_store.counters.get("\ud800") == 0
        with pytest.raises(ValueError, match="key"):
            sql_store.counters.incr("\ud800", 60)


class TestSchema:
    def test_four_processes_may_create_it_at_once(self, without_tables: SQLStore, url: str) -> None:
        def create() -> None:
            own = SQLStore(url)
            own.create_schema()
            own.check()

        assert workers.in_children(create) == workers.PROCESSES
        without_tables.check()
        with without_tables._db.writing() as connection:
            found = connection.execute(sa.select(schema.schema_version.c.version)).scalars().all()
        assert found == list(range(1, upgrades.VERSION + 1))

    def test_creating_it_again_keeps_the_rows(self, sql_store: SQLStore) -> None:
        sql_store.open_session(a_session())
        sql_store.create_schema()
        sql_store.check()
        assert sql_store.find_session("a" * 64) is not None

    @pytest.mark.parametrize("version", [1, 2])
    def test_tables_of_an_older_version_are_brought_up_to_date_with_their_rows(
        self, sql_store: SQLStore, version: int
    ) -> None:
        older(sql_store, version)
        with pytest.raises(ConfigError, match=rf"version {version}, older than .* init, in .* With --tables-only"):
            sql_store.check()
        sql_store.create_schema()
        self.is_brought_up_to_date(sql_store, version)

    def test_sessions_from_before_two_steps_have_one(self, sql_store: SQLStore) -> None:
        sql_store.open_session(a_session())
        with sql_store._db.writing() as connection:
            for statement in (*WITHOUT_FACTORS, "DELETE FROM nipo_auth_schema_version WHERE version > 7"):
                connection.execute(sa.text(statement))
        sql_store.close()
        with pytest.raises(ConfigError, match="version 7, older than"):
            sql_store.check()
        sql_store.create_schema()
        assert sql_store.find_session("a" * 64) == (a_session(means="password", second_at=0.0), AccountState())
        assert sql_store.confirm_second("a" * 64, means="password,app", confirmed_at=1.0, second_at=1.0) is True

    @pytest.mark.parametrize("step", ["delete", "insert", "drop"])
    def test_an_interrupted_upgrade_is_finished(
        self, sql_store: SQLStore, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """MariaDB commits before and after each change of a table, so what was done until then is there."""
        older(sql_store, 2)

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            if step == "drop":
                patched.setattr(upgrades, "_drop", interrupted)
            else:
                patched.setattr(upgrades.sa, step, interrupted)
            with pytest.raises(KeyboardInterrupt):
                sql_store.create_schema()
        with pytest.raises(ConfigError, match="version 2, older than"):
            sql_store.check()
        sql_store.create_schema()
        self.is_brought_up_to_date(sql_store, 2)

    def is_brought_up_to_date(self, store: SQLStore, version: int) -> None:
        store.check()
        session, state = store.find_session("a" * 64) or pytest.fail("the row is gone")
        assert (session.persistent, session.confirmed_at, state.revocation_counter) == (True, 0.0, 7)
        attributes = {"equivalent_hashes": "first second", "language": "ja", "notify_email": "home@example.com"}
        if version > 1:
            attributes |= {"password_change_deadline": 1_800_000_000.5, "memo": "週3日勤務"}
        assert dict(state.attributes) == attributes
        assert (session.means, session.second_at) == ("password", 0.0)
        assert store.add_factor(a_factor()) is True
        assert store.account_state("2") == AccountState(3, 1)
        assert store.raise_revocation_counter("1") == 8
        assert store.update_account_state("1", state.having(memo="x"), expected=state) is True
        assert store.find_email_change("x") is None
        (found,) = store.staff_page(StaffQuery("高崎")).entries
        assert (found.account.name, found.last_used_at) == ("髙﨑", None)
        late = {"persistent_before": 1e12, "browser_before": 0.0, "created_before": 0.0}
        assert len(store.expired_sessions(**late, limit=9)) == 1
        there = store._db.ask(sa.inspect)
        assert not there.has_table("nipo_auth_account_notes")
        indexes = {index["name"]: index["column_names"] for index in there.get_indexes("nipo_auth_session")}
        assert indexes["ix_nipo_auth_session_idle"] == ["persistent", "seen_at"]

    def test_an_interrupted_creation_is_finished(self, without_tables: SQLStore) -> None:
        with without_tables._db.writing() as connection:
            schema.event.create(connection)
        without_tables.create_schema()
        without_tables.check()

    def test_a_missing_one_is_named_with_its_command(self, without_tables: SQLStore) -> None:
        with pytest.raises(ConfigError, match=r"nipo-auth --store .* init") as caught:
            without_tables.check()
        assert caught.value.field == "store"

    def test_a_newer_one_is_refused(self, sql_store: SQLStore) -> None:
        newer = {"version": upgrades.VERSION + 1}
        with sql_store._db.writing() as connection:
            connection.execute(sa.insert(schema.schema_version), newer)
        try:
            with pytest.raises(ConfigError, match="newer"):
                sql_store.check()
        finally:
            with sql_store._db.writing() as connection:
                newer_rows = schema.schema_version.c.version > upgrades.VERSION
                connection.execute(sa.delete(schema.schema_version).where(newer_rows))

    def test_every_table_has_the_prefix(self, sql_store: SQLStore) -> None:
        names = sql_store._db.ask(lambda connection: sa.inspect(connection).get_table_names())
        assert {name for name in names if name.startswith("nipo_auth_")} == set(schema.account.metadata.tables)

    def test_it_works_in_a_hosts_engine_and_leaves_it_alone(self, sql_store: SQLStore, url: str) -> None:
        host = sa.create_engine(url)
        heard: list[object] = []
        sa.event.listen(host, "connect", lambda *given: heard.append(given))
        store = SQLStore(host)
        store.check()
        store.open_session(a_session())
        assert store.find_session("a" * 64) is not None
        assert len(heard) == 1, "our connection was made by the host's recipe"
        assert host.pool.checkedin() + host.pool.checkedout() == 0, "and is none of its pool's"
        with host.begin() as connection:
            connection.execute(sa.text("DELETE FROM nipo_auth_session"))
            connection.rollback()
        assert store.find_session("a" * 64) is not None, "the host's own transactions work as before"
        store.close()
        host.dispose()


class TestSecrets:
    """No value of a row leaves the store in an exception (AU3, AD8)."""

    def told(self, problem: BaseException) -> str:
        return "".join(traceback.format_exception(problem)) + repr(problem)

    def test_a_taken_address(self, sql_store: SQLStore) -> None:
        given = {"email": f"{SECRET}@example.com", "password_hash": SECRET, "name": SECRET, "role": "x", "active": True}
        user_id = sql_store.create(**given).id
        with pytest.raises(EmailTaken) as caught:
            sql_store.create(**given)
        assert SECRET not in self.told(caught.value)
        other = sql_store.create(**given | {"email": "other@example.com"}).id
        with pytest.raises(EmailTaken) as caught:
            sql_store.set_email(other, f"{SECRET}@example.com", expected="other@example.com")
        assert SECRET not in self.told(caught.value)
        assert SECRET not in repr(sql_store.get(user_id)).replace(f"{SECRET}@", "").replace(f"name='{SECRET}'", "")

    def test_a_refused_row(self, sql_store: SQLStore) -> None:
        sql_store.open_session(a_session(SECRET))
        with pytest.raises(StoreUnavailable) as caught:
            sql_store.open_session(a_session(SECRET, stamp=SECRET))
        assert SECRET not in self.told(caught.value)

    def test_a_missing_table(self, without_tables: SQLStore) -> None:
        for work in (
            lambda: without_tables.find_session(SECRET),
            lambda: without_tables.find_by_email(SECRET),
            lambda: without_tables.counters.incr(SECRET, 60),
            lambda: without_tables.append_event(Event(START, "x", email=SECRET)),
            lambda: without_tables.set_password_hash("1", SECRET, expected=SECRET),
        ):
            with pytest.raises(StoreUnavailable) as caught:
                work()
            assert SECRET not in self.told(caught.value)


class TestOutages:
    def test_a_closed_store_opens_again(self, sql_store: SQLStore) -> None:
        sql_store.open_session(a_session())
        sql_store.close()
        assert sql_store.find_session("a" * 64) is not None
        sql_store.close()
        with sql_store.transaction():
            sql_store.raise_revocation_counter("1")
        sql_store.close()
        assert sql_store.counters.incr("a", 60) == 1

    def test_an_interrupted_statement_leaves_no_answer_behind(self, sql_store: SQLStore) -> None:
        """The next statement on a kept connection must never be given what the one before asked for."""

        def interrupted(current: Any) -> None:
            current.cursor.execute("SELECT 'of another request'")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sql_store._db._run(interrupted)
        assert sql_store._db.fetch("SELECT 1", ())[0][0] == 1


class TestThreads:
    def test_ru2_threads_share_at_most_max_connections(self, sql_store: SQLStore) -> None:
        """A connection is lent for a statement, so threads that are busy elsewhere hold none."""
        busy, looked = threading.Barrier(41), []

        def work() -> None:
            for _ in range(5):
                looked.append(sql_store.find_session("a" * 64))
                sql_store.counters.get("a")
            busy.wait(30)

        threads = [threading.Thread(target=work) for _ in range(40)]
        for thread in threads:
            thread.start()
        busy.wait(30)
        assert len(looked) == 200
        assert 2 <= len(sql_store._db._pool) + len(sql_store._counting._pool) <= sql_store.max_connections == 8
        for thread in threads:
            thread.join()

    def test_ru2_a_caller_that_waits_too_long_for_a_connection_is_told_so(
        self, sql_store: SQLStore, monkeypatch
    ) -> None:
        monkeypatch.setattr(_pool, "WAIT_SECONDS", 0.05)
        connections = sql_store._db
        lent = [connections._pool.acquire(time.monotonic()) for _ in range(connections._pool.size)]
        with pytest.raises(StoreUnavailable, match=f"^all {len(lent)} connections to the database are in use$"):
            sql_store.find_session("a" * 64)
        monkeypatch.setattr(_pool, "WAIT_SECONDS", 30.0)
        found: list[object] = []
        waiting = threading.Thread(target=lambda: found.append(sql_store.find_session("a" * 64)))
        waiting.start()
        while not connections._pool._waiting:
            pass
        connections._pool.release(lent.pop())
        waiting.join(10)
        assert found == [None]
        for one in lent:
            connections._pool.release(one)

    def test_ru1_an_outage_leaves_no_connection_behind(self, sql_store: SQLStore) -> None:
        """After a switch-over the other connections may lead to the former primary, too."""
        connections = sql_store._db
        old = [connections._pool.acquire(time.monotonic()) for _ in range(3)]
        for one in old[1:]:
            connections._pool.release(one)
        error = connections.engine.dialect.loaded_dbapi.OperationalError

        def broken(current: Any) -> None:
            raise error("the server went away")

        with pytest.raises(StoreUnavailable):
            connections._run(broken)
        connections._pool.release(old[0])
        with sql_store.transaction():
            fresh = connections._transactions[threading.get_ident()]
            assert fresh not in old
        assert len(connections._pool) == 1

    def test_ru4_a_process_that_may_open_no_further_file_is_told_so(self, sql_store: SQLStore) -> None:
        assert sql_store.find_session("a" * 64) is None
        sql_store.close()
        with no_further_file(), pytest.raises(StoreUnavailable, match=r"may open no further file.*ulimit -n"):
            sql_store.find_session("a" * 64)
        assert sql_store.find_session("a" * 64) is None

    def test_ru1_a_connection_that_broke_inside_a_transaction_is_not_used_again(self, sql_store: SQLStore) -> None:
        connections = sql_store._db
        error = connections.engine.dialect.loaded_dbapi.OperationalError

        def broken(current: Any) -> None:
            raise error("the server only reads")

        with pytest.raises(StoreUnavailable), sql_store.transaction():
            old = connections._transactions[threading.get_ident()]
            with suppress(StoreUnavailable):
                connections._run(broken)
            sql_store.find_session("a" * 64)
        assert old.connection.closed
        with sql_store.transaction():
            assert connections._transactions[threading.get_ident()] is not old

    def test_ru1_a_connection_is_replaced_after_five_minutes(self, sql_store: SQLStore) -> None:
        pool = sql_store._db._pool
        now = time.monotonic()
        old = pool.acquire(now)
        pool.release(old)
        assert pool.acquire(now + 299) is old
        pool.release(old)
        # Against a later time than the real one, each new connection would be too old as well.
        old.opened_at -= 301
        new = pool.acquire(now)
        assert new is not old
        pool.release(new)

    def test_ws6_a_forked_child_shares_no_connection(self, sql_store: SQLStore) -> None:
        sql_store.open_session(a_session())
        assert (
            workers.in_children(
                lambda: [sql_store.find_session("a" * 64)[0].key, sql_store.raise_revocation_counter("1")]
            )
            == 4
        )
        assert sql_store.account_state("1").revocation_counter == 4
        assert sql_store.find_session("a" * 64) is not None

    def test_ws6_a_child_of_which_python_was_not_told_shares_no_connection(self, sql_store: SQLStore, url: str) -> None:
        sql_store.open_session(a_session())
        # In a process of one thread: a lock of the interpreter that another thread holds stays locked in the child.
        parent = [sys.executable, "-m", "tests.contract.fork_in_c", url]
        subprocess.run(parent, cwd=Path(__file__).parents[2], check=True, timeout=60)
        assert sql_store.account_state("1").revocation_counter == 4

    def test_a_fork_closes_idle_connections_and_the_parent_goes_on(self, sql_store: SQLStore) -> None:
        sql_store.open_session(a_session())
        pool = sql_store._db._pool
        assert len(pool) >= 1
        pool.before_fork()
        pool.after_fork()
        assert len(pool) == 0
        assert sql_store.find_session("a" * 64) is not None

    def test_ws6_a_fork_waits_for_a_connection_that_another_thread_has(self, sql_store: SQLStore) -> None:
        pool = sql_store._db._pool
        lent = pool.acquire(time.monotonic())
        giving_back = threading.Timer(0.05, lambda: pool.release(lent))
        giving_back.start()
        pool.before_fork()
        assert len(pool) == 0
        pool.after_fork()
        giving_back.join()
