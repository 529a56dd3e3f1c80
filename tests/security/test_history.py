"""The history under attack: rows AU6 and LK16 of what must hold, and what sealing promises."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

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
        self.record(10)
        assert self.seals.seal() == 10
        self.record(10)
        assert self.seals.seal() == 10
        self.anchor = self.seals.verify().anchor
        self.record(2)

    def record(self, amount: int) -> None:
        for number in range(amount):
            self.auth._services.log._append(an_event(number))

    def sql(self, statement: Any) -> None:
        with self.store._db.writing() as connection:
            connection.execute(statement)

    def wrong(self, anchor: str = "") -> list[tuple[str, int]]:
        return self.seals.verify(anchor).wrong

    def row(self, number: int) -> dict[str, Any]:
        with self.store._db.writing() as connection:
            return dict(connection.execute(sa.select(EVENT).where(EVENT.c.id == number)).mappings().one())


EVENT, SEAL = schema.event, schema.seal
ROW_CHANGES: list[dict[str, Any]] = [
    *({"email": "x"}, {"time": 1.5}, {"user_id": None}, {"details": "{}"}, {"event": "signed_out"}, {"digest": "x"}),
    *({"actor": ""}, {"client_address": "192.0.2.99"}, {"session": "0"}, {"user_agent": ""}),
]
SEAL_CHANGES: list[dict[str, Any]] = [
    *({"entries": ""}, {"entries": "1:x"}, {"entries": "x"}, {"chain": "0" * 64}, {"made_at": 1.0}, {"last": 3}),
    *({"number": 7}, {"proof": "x", "entries": ""}),
]


@pytest.fixture
def house(store: SQLStore) -> House:
    return House(store)


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


def test_old_batches_go_whole_and_leave_a_proof(house: House) -> None:
    with time_machine.travel(time.time() + 400 * 86400, tick=True):
        house.record(5)
        house.seals.seal()
        house.seals.remove_old()
        assert house.seals.verify().rows == 27
    with time_machine.travel(time.time() + 800 * 86400, tick=True):
        house.auth.sweep()
        verdict = house.seals.verify(house.anchor)
        assert (verdict.rows, verdict.wrong) == (7, [])
        house.auth.sweep()
        assert house.seals.verify().rows == 7
        # The proof is ours alone: a later seal cannot be made to look like one.
        house.sql(sa.update(SEAL).where(SEAL.c.number == 2).values(last=30))
        assert house.wrong() == [("seal_changed", 2)]


def test_all_may_be_old_and_sealing_goes_on(house: House) -> None:
    house.seals.seal()
    with time_machine.travel(time.time() + 800 * 86400, tick=True):
        house.seals.remove_old()
        assert house.seals.verify().rows == 0
        house.record(3)
        house.auth.sweep()
        verdict = house.seals.verify()
        assert (verdict.rows, verdict.unsealed, verdict.wrong) == (3, 0, [])


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
    sweeping = auth._services.worker._submit_callbacks[0].__self__
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
