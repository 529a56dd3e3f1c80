"""The audit log under attack: rows AU6 and LK16 of what must hold, and what sealing promises."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from nipo_auth_mw._runtime.periodic import PeriodicJob
from nipo_auth_mw.models import Event
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.stores import _schema as schema
from nipo_auth_mw.testing import fast_hasher
from nipo_auth_mw.testing.contracts.audit import an_event
from tests.kit import WRONG, browser, events, middleware, person, sign_in

KEY = "one secret key of many characters " * 2


class House:
    """A middleware on a file, with rows in two seals and a few that have none yet."""

    def __init__(self, store: SQLStore, **given: Any) -> None:
        self.store = store
        self.auth = middleware(store=store, hasher=fast_hasher(), secret_key=KEY, **given)
        self.seals = self.auth._services.seals
        if not store.events(limit=1):
            self.record(10)
            assert self.seals.seal() == 10
            self.record(10)
            assert self.seals.seal() == 10
            self.record(2)
        self.anchor = self.seals.verify().anchor

    def record(self, amount: int) -> None:
        for number in range(amount):
            self.auth._services.log._append(an_event(number))

    def sql(self, statement: Any, *rows: Any) -> None:
        with self.store._db.writing() as connection:
            connection.execute(statement, *rows)

    def wrong(self, anchor: str = "") -> list[tuple[str, int]]:
        return self.seals.verify(anchor).wrong

    def row(self, number: int) -> dict[str, Any]:
        with self.store._db.writing() as connection:
            return dict(connection.execute(sa.select(EVENT).where(EVENT.c.id == number)).mappings().one())


NOW = time.time()
EVENT, SEAL = schema.event, schema.seal
ROW_CHANGES: list[dict[str, Any]] = [
    *({"email": "x"}, {"time": 1.5}, {"user_id": None}, {"details": "{}"}, {"event": "signed_out"}, {"digest": "x"}),
    *({"actor": ""}, {"client_address": "192.0.2.99"}, {"session": "0"}, {"user_agent": ""}),
]
SEAL_CHANGES: list[dict[str, Any]] = [
    *({"entries": ""}, {"entries": "1:x"}, {"entries": "x"}, {"chain": "0" * 64}, {"made_at": 1.0}, {"last": 3}),
    *({"number": 7}, {"proof": "x", "entries": ""}),
]


@pytest.fixture(scope="module")
def sealed_database(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A file that holds what each house begins with."""
    path = Path(shutil.copy(empty_database, tmp_path_factory.mktemp("sealed") / "auth.db"))
    store = SQLStore(f"sqlite:///{path}")
    House(store)
    store.close()
    return path


@pytest.fixture
def house(tmp_path: Path, sealed_database: Path) -> Iterator[House]:
    store = SQLStore(f"sqlite:///{shutil.copy(sealed_database, tmp_path / 'auth.db')}")
    yield House(store)
    store.close()


def test_an_untouched_history_has_nothing_wrong(house: House) -> None:
    verdict = house.seals.verify()
    assert (verdict.rows, verdict.unsealed, verdict.wrong) == (22, 2, [])
    assert house.wrong(house.anchor) == []
    assert house.seals.seal() == 2
    assert house.seals.seal() == 0
    assert house.wrong(house.anchor) == []


@pytest.mark.parametrize(
    "change",
    [
        {"email": "x"},
        {"time": 1.5},
        {"user_id": None},
        {"details": "{}"},
        {"event": "signed_out"},
        {"digest": "x"},
        {"actor": ""},
        {"client_address": "192.0.2.99"},
        {"session": "0"},
        {"user_agent": ""},
    ],
)
@pytest.mark.parametrize("number", [4, 21])
def test_au6_an_edited_row_is_named(house: House, change: dict[str, Any], number: int) -> None:
    house.sql(sa.update(EVENT).where(EVENT.c.id == number).values(change))
    assert house.wrong() == [("changed" if number < 21 else "slipped_in", number)]


def test_au6_a_removed_row_is_named(house: House) -> None:
    house.sql(sa.delete(EVENT).where(EVENT.c.id.in_([4, 12])))
    assert house.wrong() == [("removed", 4), ("removed", 12)]


def test_au6_two_swapped_rows_are_named(house: House) -> None:
    rows = {3: house.row(3), 15: house.row(15)}
    for number, other in ((3, 15), (15, 3)):
        values = {name: value for name, value in rows[other].items() if name != "id"}
        house.sql(sa.update(EVENT).where(EVENT.c.id == number).values(values))
    assert house.wrong() == [("changed", 3), ("changed", 15)]


def test_au6_a_row_slipped_in_is_named_made_up_or_copied(house: House) -> None:
    house.sql(sa.delete(EVENT).where(EVENT.c.id == 22))
    copied = house.row(5) | {"id": 40}
    forged = house.row(5) | {"id": 41, "digest": "0" * 40}
    first = house.row(6) | {"id": -3}
    for row in (copied, forged, first):
        house.sql(sa.insert(EVENT).values(row))
    assert house.wrong() == [("slipped_in", -3), ("slipped_in", 40), ("slipped_in", 41)]
    house.seals.seal()
    assert ("slipped_in", 41) in house.wrong()
    assert ("slipped_in", -3) in house.wrong()


def test_au6_a_copied_row_that_got_sealed_is_named_too(house: House) -> None:
    house.sql(sa.insert(EVENT).values(house.row(5) | {"id": 40}))
    house.seals.seal()
    assert house.wrong() == [("slipped_in", 40)]


def test_au6_a_cut_tail_shows_against_an_anchor(house: House) -> None:
    house.sql(sa.delete(EVENT).where(EVENT.c.id > 10))
    house.sql(sa.delete(SEAL).where(SEAL.c.number > 1))
    assert house.wrong() == []
    assert house.wrong(house.anchor) == [("anchor", 2)]
    house.record(5)
    house.seals.seal()
    assert house.wrong(house.anchor) == [("anchor", 2)]
    assert house.wrong("nonsense") == [("anchor", 0)]


@pytest.mark.parametrize(
    "change",
    [
        {"entries": ""},
        {"entries": "1:x"},
        {"entries": "x"},
        {"chain": "0" * 64},
        {"made_at": 1.0},
        {"last": 3},
        {"number": 7},
        {"proof": "x", "entries": ""},
    ],
)
def test_au6_a_changed_or_missing_seal_is_named_first(house: House, change: dict[str, Any]) -> None:
    house.sql(sa.update(SEAL).where(SEAL.c.number == 1).values(change))
    assert house.wrong()[0][0] in {"seal_changed", "seal_removed"}
    house.sql(sa.delete(SEAL).where(SEAL.c.number.in_([1, 7])))
    assert house.wrong()[0] == ("seal_removed", 1)


def test_au6_no_page_changes_or_removes_a_row(house: House) -> None:
    person(house.auth, role="admin")
    boss = browser(house.auth)
    assert sign_in(boss).status_int == 303
    before = events(house.auth)
    for path in ("audit", "audit.csv", "audit/4", "audit/4/delete", "staff/1/audit"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = boss.request(f"/-/auth/{path}", method=method, expect_errors=True)
            assert answer.status_int in {404, 405}, (method, path)
    assert events(house.auth) == before


def test_ky1_the_key_that_left_the_configuration_is_told_apart(store: SQLStore) -> None:
    House(store)
    later = middleware(store=store, hasher=fast_hasher(), secret_key=["another key " * 4, KEY])
    later._services.log._append(an_event(1))
    later._services.seals.seal()
    assert later._services.seals.verify().wrong == []
    gone = middleware(store=store, hasher=fast_hasher(), secret_key=["another key " * 4])
    assert gone._services.seals.verify().wrong[:2] == [("unknown_key", 1), ("unknown_key", 2)]


def test_a_transaction_that_ends_late_is_sealed_afterwards(house: House) -> None:
    late = house.row(22)
    house.sql(sa.delete(EVENT).where(EVENT.c.id == 22))
    house.record(3)
    house.seals.seal()
    house.sql(sa.insert(EVENT).values(late))
    assert house.seals.verify().unsealed == 1
    assert house.seals.seal() == 1
    assert house.wrong() == []


def test_of_several_that_seal_at_once_each_row_is_sealed_once(house: House) -> None:
    house.record(50)
    threads = [threading.Thread(target=house.seals.seal) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    named = [number for seal in house.store.seals(limit=99) for number, _ in seal.entries]
    assert sorted(named) == list(range(1, 73))
    assert house.wrong() == []


def passes(house: House, start: int, end: int, step: int = 20) -> None:
    """Let days pass as they do: with something to record now and then."""
    for day in range(start, end + 1, step):
        with time_machine.travel(NOW + day * 86400, tick=True):
            house.record(1)
            house.auth.sweep()


def test_old_batches_go_whole_and_leave_a_proof(house: House) -> None:
    passes(house, 0, 720)
    assert house.seals.verify().rows == 59
    passes(house, 740, 780)
    with time_machine.travel(NOW + 781 * 86400, tick=True):
        verdict = house.seals.verify()
        # The 22 of the first day, and one each of days 0, 20 and 40 are gone.
        assert (verdict.rows, verdict.wrong) == (37, [])
        house.auth.sweep()
        assert house.seals.verify().rows == 37
        # The proof is ours alone: a later seal cannot be made to look like one.
        oldest = house.store.seals(limit=1)[0].number
        house.sql(sa.update(SEAL).where(SEAL.c.number == oldest).values(last=30))
        assert house.wrong()[0] == ("seal_changed", oldest)


def test_all_may_be_old_and_sealing_goes_on(house: House) -> None:
    """Nothing happens for two years and then for a month and a half: a holiday home."""
    passes(house, 0, 0)
    passes(house, 800, 840)
    with time_machine.travel(NOW + 841 * 86400, tick=True):
        house.record(3)
        house.auth.sweep()
        verdict = house.seals.verify()
        assert (verdict.rows, verdict.unsealed, verdict.wrong) == (6, 0, [])


# What stops sealing or ages the log at once


@pytest.mark.parametrize("days", [33, 740, 3650])
def test_ru26_a_clock_that_is_ahead_for_one_sweep_or_an_hour_of_them_erases_nothing(
    store: SQLStore, days: int, caplog: pytest.LogCaptureFixture
) -> None:
    with time_machine.travel(NOW - 60 * 86400, tick=True):
        house = House(store, audit_retention=timedelta(days=62))
    passes(house, -60, 0)
    before = house.seals.verify().rows
    for minutes in range(0, 60, 15):
        with time_machine.travel(NOW + days * 86400 + minutes * 60, tick=True):
            house.record(1)
            house.auth.sweep()
    assert "clock" in caplog.text
    assert house.seals.verify().rows == before + 4
    assert house.wrong() == []
    assert house.wrong(house.anchor) == []
    caplog.clear()
    passes(house, 0, 80)
    verdict = house.seals.verify()
    assert verdict.wrong == []
    assert verdict.rows < before, "with a right clock rows age again, those in front of the future ones too"


def test_ru26_another_process_with_a_clock_that_is_ahead_erases_nothing(store: SQLStore) -> None:
    house, ahead = House(store), middleware(store=store, hasher=fast_hasher(), secret_key=KEY)
    with time_machine.travel(NOW + 740 * 86400, tick=True):
        ahead.sweep()
        ahead.sweep()
    house.record(1)
    house.auth.sweep()
    assert house.seals.verify().rows == 23


SEAL_JUNK: list[dict[str, Any]] = [
    {"number": 2**62, "last": 2**62},
    {"number": 4, "last": 2**62},
    {"number": 3, "last": 2**62},
    {"number": 3, "last": 0, "entries": " ".join(f"{n}:{'0' * 40}" for n in range(20, 60))},
    {"number": 3, "entries": "1" * 5000 + ":x"},
    {"number": 3, "chain": "é" * 64},
    {"number": 3, "made_at": 1e300},
    {"number": 3, "key": "00000000", "last": 2**62},
    {"number": 2**62, "key": "00000000", "last": 2**62, "proof": "0" * 64},
    {"number": 0, "made_at": 1.0},
    {"number": -5, "made_at": 1.0, "entries": "1:x 2:x 3:x"},
]


@pytest.mark.parametrize("junk", SEAL_JUNK, ids=str)
def test_ru26_rubbish_among_the_seals_stops_nothing(
    house: House, junk: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    row = {"made_at": NOW, "key": house.seals._digests._chains.names[0], "last": 22, "entries": "", "chain": "0" * 64}
    house.sql(sa.insert(SEAL).values({**row, "proof": "", **junk}))
    assert house.seals.seal() == 2
    house.record(5)
    assert house.seals.seal() == 5
    if junk["number"] > 2:
        assert "do not verify" in caplog.text
    assert len([one for one in caplog.records if "do not verify" in one.message]) <= 1, "once"
    # Rows that go now are missed, although the rubbish goes too.
    house.sql(sa.delete(EVENT).where(EVENT.c.id == 25))
    house.sql(sa.delete(SEAL).where(SEAL.c.number == junk["number"]))
    assert ("removed", 25) in house.wrong()
    fresh = middleware(store=house.store, hasher=fast_hasher(), secret_key=KEY)._services.seals
    house.record(1)
    assert fresh.seal() == 1


def test_ru26_rubbish_has_no_row_removed(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A forged old seal that names young rows: the package must not remove them, and prove it."""
    passes(house, 0, 720)
    named = " ".join(f"{number}:x" for number in range(1, 60))
    forged = {"number": -5, "made_at": 1.0, "key": "x", "last": 59, "entries": named, "chain": "", "proof": ""}
    house.sql(sa.insert(SEAL).values(forged))
    passes(house, 740, 740)
    assert house.seals.verify().rows == 60 - 23, "those that are old, and no others"
    # The same in the place of a real one.
    oldest = house.store.seals(limit=2)[1].number
    house.sql(sa.update(SEAL).where(SEAL.c.number == oldest).values(entries=named))
    passes(house, 760, 780)
    assert house.seals.verify().rows == 60 - 23 + 2
    assert "no row from it on is removed" in caplog.text


@pytest.mark.parametrize("amount", [1, 2000])
@pytest.mark.parametrize("place", [1000, 2**40])
def test_ru26_rubbish_among_the_rows_stops_nothing(
    house: House, amount: int, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    junk = house.row(5) | {"digest": "0" * 40}
    with house.store.transaction():
        house.sql(sa.insert(EVENT), [junk | {"id": place + number} for number in range(amount)])
    house.record(5)
    assert house.seals.seal() == 7
    assert "do not verify" in caplog.text
    assert len([one for one in caplog.records if "do not verify" in one.message]) <= 3
    house.record(5)
    assert house.seals.seal() == 5
    wrong = house.wrong()
    assert len(wrong) == amount
    assert {what for what, _ in wrong} == {"slipped_in"}


@pytest.mark.parametrize(
    "values",
    [
        *({"time": 1e300}, {"time": -1e300}, {"time": "x"}, {"details": "{"}, {"details": "[1]"}, {"details": "null"}),
        *({"digest": "é" * 40}, {"digest": b"\xff" * 40}, {"email": b"\xff"}, {"details": "[" * 100_000}),
    ],
    ids=lambda values: str(values)[:40],
)
def test_ru26_a_row_that_cannot_be_read_stops_nothing(house: House, values: dict[str, Any]) -> None:
    columns = ", ".join(house.row(5))
    marks = ", ".join("?" for _ in house.row(5))
    row = house.row(5) | {"id": 40} | values
    with house.store._db.writing() as connection:
        connection.exec_driver_sql(f"INSERT INTO nipo_auth_event ({columns}) VALUES ({marks})", tuple(row.values()))
    house.record(3)
    assert house.seals.seal() == 5
    assert ("slipped_in", 40) in house.wrong()
    assert len(events(house.auth)) == 26


def test_ru26_of_a_backup_that_was_put_back_the_end_is_the_end(house: House) -> None:
    house.seals.seal()
    house.sql(sa.delete(EVENT).where(EVENT.c.id > 10))
    house.sql(sa.delete(SEAL).where(SEAL.c.number > 1))
    house.record(3)
    assert house.seals.seal() == 3
    assert house.wrong() == []


def test_ru26_rows_of_a_key_that_left_are_unreadable_and_not_changed(store: SQLStore) -> None:
    old, new = "another key " * 4, "a third key " * 4
    house = House(store)
    # Two rows of the first key are sealed by the next process.
    second = middleware(store=store, hasher=fast_hasher(), secret_key=[old, KEY])
    second._services.log._append(an_event(1))
    assert second._services.seals.seal() == 3
    third = middleware(store=store, hasher=fast_hasher(), secret_key=[new, old])
    third._services.log._append(an_event(2))
    assert third._services.seals.seal() == 1
    verdict = third._services.seals.verify(house.anchor)
    assert {what for what, _ in verdict.wrong} == {"unknown_key"}
    assert verdict.rows == 24
    house.sql(sa.update(EVENT).where(EVENT.c.id == 3).values(digest="x" * 40))
    assert ("changed", 3) in third._services.seals.verify().wrong
    gone = middleware(store=store, hasher=fast_hasher(), secret_key=[new])
    gone._services.log._append(an_event(2))
    assert gone._services.seals.seal() == 1
    assert {what for what, number in gone._services.seals.verify().wrong if number != 3} == {"unknown_key"}


def test_ru26_of_two_sweeps_at_once_the_slower_leaves_no_older_anchor(house: House) -> None:
    house.seals.seal()
    older, newer, _ = house.store.seals(limit=3)
    for seal in (newer, older):
        house.store.remove_sealed(replace(seal, entries=(), proof=house.seals._digests.proof(seal)))
    assert house.wrong() == []
    assert [one.number for one in house.store.seals(limit=9)] == [2, 3]


def test_a_row_of_a_program_that_knows_no_key_is_named(house: House) -> None:
    house.store.append_event(Event(an_event().time, "signed_in", "1"))
    assert house.wrong() == [("slipped_in", 23)]


# Sweeping


def test_disuse_is_recorded_once_with_its_deadline_however_many_sweep(store: SQLStore) -> None:
    auths = [middleware(store=store, hasher=fast_hasher(), secret_key=KEY) for _ in range(4)]
    person(auths[0])
    sign_in(browser(auths[0]))
    opened = time.time()
    with time_machine.travel(time.time() + 91 * 86400, tick=True):
        threads = [threading.Thread(target=auth.sweep) for auth in auths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (row,) = events(auths[0], "session_expired")
    assert abs(row.time.timestamp() - opened - 90 * 86400) < 5
    assert row.details["limit"] == "idle"


def test_a_session_that_another_process_ended_just_now_is_not_recorded_twice(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = middleware(store=store, hasher=fast_hasher(), secret_key=KEY)
    person(auth)
    sign_in(browser(auth))
    with time_machine.travel(time.time() + 91 * 86400, tick=True):
        late = auth._services.sessions._late(time.time())
        assert auth.sweep() == 1
        monkeypatch.setattr(store, "expired_sessions", lambda **_: late)
        assert auth.sweep() == 0
    assert len(events(auth, "session_expired")) == 1


def test_lk16_a_lock_nobody_came_back_to_is_reported_by_the_sweep() -> None:
    auth = middleware()
    person(auth)
    for _ in range(9):
        sign_in(browser(auth), password=WRONG)
    auth.sweep()
    assert events(auth, "unlocked") == []
    with time_machine.travel(time.time() + 301, tick=True):
        auth.sweep()
        auth.sweep()
    (row,) = events(auth, "unlocked")
    assert (row.details["refused"], row.actor, row.user_id) == (4, "sweep", "1")
    assert len(events(auth, "locked")) == 1
    assert len(events(auth, "sign_in_failed")) == 5


def test_au6_rows_are_sealed_many_at_once_and_not_in_the_request(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed_by, seal = [], store.add_seal
    monkeypatch.setattr(store, "add_seal", lambda one: sealed_by.append(threading.current_thread()) or seal(one))
    auth = middleware(store=store, hasher=fast_hasher(), secret_key=KEY)
    person(auth)
    for _ in range(5):
        sign_in(browser(auth))
    assert sealed_by == []
    auth._services.worker.flush(5)
    assert len(sealed_by) == 1
    assert sealed_by[0] is not threading.current_thread()
    assert auth._services.seals.verify().unsealed == 0


def test_running_servers_seal_and_sweep_by_themselves(store: SQLStore) -> None:
    auth = middleware(store=store, hasher=fast_hasher(), secret_key=KEY)
    person(auth)
    auth._services.worker.flush(5)
    assert auth._services.seals.verify().unsealed == 0
    asked = [call.__self__ for call in auth._services.worker._submit_callbacks]
    (sweeping,) = (job for job in asked if isinstance(job, PeriodicJob))
    sign_in(browser(auth))
    sweeping._not_before = 0.0
    with time_machine.travel(time.time() + timedelta(days=91).total_seconds(), tick=True):
        sign_in(browser(auth))
        auth._services.worker.flush(5)
        auth._services.worker.submit(lambda: None)
        auth._services.worker.flush(5)
        assert len(events(auth, "session_expired")) == 1


def test_finding_two_of_one_device(store: SQLStore) -> None:
    """A new device is told of once, and not at an account's first sign-in."""
    auth = middleware(store=store, hasher=fast_hasher(), secret_key=KEY)
    person(auth)
    first, second = browser(auth), browser(auth, "198.51.100.7")
    for who in (first, first, second, second):
        sign_in(who)
    assert [row.client_address for row in events(auth, "new_device")] == ["198.51.100.7"]
    user = auth.accounts.find("tanaka@example.com")
    auth.accounts.set_password(user.id, "midori-no-kaze-no-oto")
    # The same browser on the way home.
    second.extra_environ["REMOTE_ADDR"] = "203.0.113.5"
    sign_in(second, password="midori-no-kaze-no-oto")
    unkept = browser(auth, "198.51.100.8")
    for _ in range(2):
        sign_in(unkept, password="midori-no-kaze-no-oto", remember=None)
    assert [row.client_address for row in events(auth, "new_device")] == ["198.51.100.8", "198.51.100.7"][::-1]


def test_two_processes_with_different_secrets_are_told(store: SQLStore, caplog: pytest.LogCaptureFixture) -> None:
    ones = [
        middleware(store=store, hasher=fast_hasher(), secret_key=f"a secret that each process makes at its start {n}")
        for n in range(2)
    ]
    person(ones[0])
    told = "a secret key that this process lacks: give all processes one secret_key"
    for _ in range(3):
        for auth in ones:
            sign_in(browser(auth))
            auth._services.seals.seal()
    assert [told in record.getMessage() for record in caplog.records].count(True) == 2, "once for each process"
    caplog.clear()
    later = middleware(store=store, hasher=fast_hasher(), secret_key="a secret that has just replaced an older one 3")
    sign_in(browser(later))
    later._services.seals.seal()
    assert not any(told in record.getMessage() for record in caplog.records), "the older seals are no fault"
