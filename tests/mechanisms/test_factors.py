"""Factors and backup codes of accounts: accepted once, bound to their account, worthless when tampered with."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import threading

import pytest
import time_machine

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.factors import MOST_PASSKEYS, Factors
from nipo_auth_mw._credentials.hashing import PasswordHashing
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryStore, fast_hasher
from nipo_auth_mw.testing.contracts.base import at_once

OLD = "the old secret of this set-up, 0123456789"
NEW = "the new secret of this set-up, 9876543210"
NOW = 1_795_470_000.0
STEP = totp.step_at(NOW)
HASHING = PasswordHashing(fast_hasher())


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def factors(store):
    return Factors(store, [OLD], HASHING)


@pytest.fixture
def database(tmp_path, empty_database):
    """The file of a SQLite database."""
    return shutil.copy(empty_database, tmp_path / "auth.db")


@pytest.fixture(params=["memory", "sqlite"])
def each_store(request):
    """A store of threads, and one of processes."""
    if request.param == "memory":
        yield MemoryStore()
        return
    store = SQLStore(f"sqlite:///{request.getfixturevalue('database')}")
    yield store
    store.close()


def with_app(factors: Factors, user_id: str = "1") -> bytes:
    """The secret of an app of this account that was confirmed two minutes ago."""
    secret = totp.new_secret()
    assert factors.add_app(user_id, secret, STEP - 4)
    return secret


def code(secret: bytes, step: int = STEP) -> str:
    return totp.code_at(secret, step)


def tamper(store, key: str, **values) -> None:
    """What an attacker does who can write into the table."""
    store._factors[key] = store.find_factor(key)._replace(**values)


# The app


def test_nothing_is_stored_before_the_code_is_confirmed(factors, store):
    setup = factors.setup("1", 0)
    assert factors.secret_in(setup.sealed, "1", 0) == setup.secret
    assert (factors.of("1"), store.find_factor("app:1")) == ([], None)


def test_to4_the_secret_of_a_setup_is_ours_and_of_this_account(factors, clock):
    secrets = {factors.setup("1", 0).secret for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(secret) for secret in secrets} == {20}
    setup = factors.setup("1", 0)
    assert factors.secret_in(setup.sealed, "2", 0) is None
    for text in (setup.secret.hex(), totp.key_text(setup.secret), "", setup.sealed[:-1], setup.sealed + "A"):
        assert factors.secret_in(text, "1", 0) is None
    factor = factors.add_app("1", setup.secret, STEP)
    assert factors.secret_in(factor.data, "1", 0) is None, "a stored secret is no setup"


@pytest.mark.parametrize(("age", "good"), [(-301, False), (-299, True), (0, True), (899, True), (900, False)])
def test_a_setup_lasts_fifteen_minutes(factors, clock, age, good):
    setup = factors.setup("1", 0)
    clock.shift(age)
    assert (factors.secret_in(setup.sealed, "1", 0) is not None) is good


def test_no_secret_shows_in_a_repr_or_in_the_store(factors, store):
    setup = factors.setup("1", 0)
    factor = factors.add_app("1", setup.secret, STEP)
    codes = factors.new_codes("1")
    factors.store_codes("1", codes)
    shown = repr([setup, factor, codes, factors])
    stored = json.dumps([factor, *store.backup_codes("1")])
    plain_key = totp.key_text(setup.secret).replace(" ", "")
    for secret in (plain_key, setup.secret.hex(), setup.sealed, *codes.texts):
        assert secret not in shown
        assert secret not in stored
        assert secret.replace("-", "") not in shown + stored


def test_to1_a_code_works_once_and_none_before_it(each_store):
    factors = Factors(each_store, [OLD], HASHING)
    secret = with_app(factors)
    accepted = factors.accept_code("1", code(secret), NOW)
    assert (accepted.counter, accepted.used_at) == (STEP, NOW)
    assert factors.accept_code("1", code(secret), NOW) is None
    assert factors.accept_code("1", code(secret, STEP - 1), NOW) is None
    assert factors.accept_code("1", code(secret, STEP + 1), NOW)
    assert factors.of("1")[0].counter == STEP + 1


def test_to1_the_code_of_the_enrolment_is_used_up(factors):
    secret = factors.setup("1", 0).secret
    factors.add_app("1", secret, STEP)
    assert factors.accept_code("1", code(secret), NOW) is None
    assert factors.accept_code("1", code(secret, STEP + 1), NOW + 30)


def test_to3_one_step_around_now(factors):
    secret = with_app(factors)
    assert factors.accept_code("1", code(secret, STEP - 2), NOW) is None
    assert factors.accept_code("1", code(secret, STEP + 2), NOW) is None
    assert factors.accept_code("1", code(secret, STEP - 1), NOW)


def test_to2_of_twenty_threads_with_one_code_one_is_let_in(each_store, monkeypatch):
    """All have read the row before one of them writes: the store decides by compare-and-set."""
    factors = Factors(each_store, [OLD], HASHING)
    secret = with_app(factors)
    read, find = threading.Barrier(20), each_store.find_factor

    readers = set()

    def find_together(key):
        found = find(key)
        if threading.get_ident() not in readers:
            readers.add(threading.get_ident())
            read.wait()
        return found

    monkeypatch.setattr(each_store, "find_factor", find_together)
    results = at_once(lambda _: factors.accept_code("1", code(secret), NOW), 20)
    assert len([one for one in results if one]) == 1
    assert results.count(None) == 19


@pytest.mark.parametrize(("renewals", "right"), [(1, True), (2, False)])
def test_a_right_code_meets_a_renewal_of_the_row(store, monkeypatch, renewals, right):
    """The row is read twice at most."""
    secret, factors = with_app(Factors(store, [OLD], HASHING)), Factors(store, [NEW, OLD], HASHING)
    update, left = store.update_factor, list(range(renewals))

    def update_late(new, *, expected):
        if left:
            factor = store.find_factor(new.key)._replace(name=f"renewed {left.pop()}")
            assert update(factors._signed(factor), expected=factor.digest)
        return update(new, expected=expected)

    monkeypatch.setattr(store, "update_factor", update_late)
    assert (factors.accept_code("1", code(secret), NOW) is not None) is right
    assert store.find_factor("app:1").counter == (STEP if right else STEP - 4)


def test_a_code_of_another_accounts_app_is_none_of_ours(factors):
    with_app(factors)
    others = with_app(factors, "2")
    assert factors.accept_code("1", code(others), NOW) is None
    assert factors.accept_code("3", code(others), NOW) is None
    assert factors.accept_code("2", code(others), NOW)


def test_a_second_app_needs_to_be_a_replacement(factors):
    first = with_app(factors)
    second = totp.new_secret()
    assert factors.add_app("1", second, STEP) is None
    assert factors.add_app("1", second, STEP - 4, replace=True)
    assert len(factors.of("1")) == 1
    assert factors.accept_code("1", code(first), NOW) is None
    assert factors.accept_code("1", code(second), NOW)


def test_an_account_id_cannot_name_the_app_of_another(factors):
    """A host app's ids may look like anything."""
    with_app(factors, "1")
    with_app(factors, "app:1")
    assert [f.key for f in factors.of("1") + factors.of("app:1")] == ["app:1", "app:app:1"]


# Tampered rows


def test_to5_rows_that_were_exchanged_prove_nothing(factors, store):
    first, second = with_app(factors, "1"), with_app(factors, "2")
    one, two = store.find_factor("app:1"), store.find_factor("app:2")
    tamper(store, "app:1", data=two.data, digest=two.digest, counter=two.counter)
    assert factors.accept_code("1", code(second), NOW) is None
    store._factors["app:1"] = two._replace(key="app:1", user_id="1")
    assert factors.accept_code("1", code(second), NOW) is None
    store._factors["app:1"] = two
    assert factors.accept_code("1", code(second), NOW) is None
    assert factors.find("app:1", "1") is None
    store._factors["app:1"] = one
    assert factors.accept_code("1", code(first), NOW)


CHANGES = {
    "name": "x",
    "data": "x",
    "counter": 0,
    "created_at": NOW - 0.001,
    "used_at": NOW + 1,
    "kind": "passkey",
    "digest": "0" * 64,
}
ODD_VALUES = {"name": 7, "data": b"x", "counter": "many", "created_at": "today", "used_at": None, "kind": None}
ODD_VALUES |= {"digest": 5}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *CHANGES.items(),
        *ODD_VALUES.items(),
        ("user_id", 1),
        ("digest", ""),
        ("digest", "é" * 64),
        ("used_at", float("nan")),
    ],
)
def test_to5_a_changed_value_is_noticed_and_never_raises(factors, store, field, value):
    """SQLite keeps any value in any column."""
    secret = with_app(factors)
    tamper(store, "app:1", **{field: value})
    assert factors.of("1") == []
    assert factors.find("app:1") is None
    assert factors.accept_code("1", code(secret), NOW) is None
    assert [f.key for f in factors.tampered("1")] == (["app:1"] if field != "user_id" else [])


@pytest.mark.parametrize(("field", "value"), ODD_VALUES.items())
def test_to5_sqlite_keeps_any_value_in_any_column(database, field, value):
    store = SQLStore(f"sqlite:///{database}")
    factors = Factors(store, [OLD], HASHING)
    secret = with_app(factors)
    assert factors.accept_code("1", code(secret, STEP - 1), NOW)
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE nipo_auth_factor SET {field} = ? WHERE key = 'app:1'", (str(value),))
    connection.close()
    assert factors.of("1") == []
    assert factors.accept_code("1", code(secret), NOW) is None
    store.close()


def test_to5_every_flipped_character_of_a_sealed_secret_is_noticed(factors, store):
    secret = with_app(factors)
    data = store.find_factor("app:1").data
    for place in range(len(data)):
        tamper(store, "app:1", data=data[:place] + ("A" if data[place] != "A" else "B") + data[place + 1 :])
        assert factors.accept_code("1", code(secret), NOW) is None
    tamper(store, "app:1", data=data)
    assert factors.accept_code("1", code(secret), NOW)


def test_to5_a_planted_row_is_no_factor(factors, store):
    other = Factors(store, [NEW], HASHING)
    secret = with_app(other)
    assert factors.of("1") == []
    assert len(factors.tampered("1")) == 1
    assert factors.accept_code("1", code(secret), NOW) is None
    assert other.tampered("1") == []


def test_to5_a_new_key_seals_at_the_next_use_and_the_old_one_may_go(store):
    secret = with_app(Factors(store, [OLD], HASHING))
    both = Factors(store, [NEW, OLD], HASHING)
    assert both.accept_code("1", code(secret, STEP - 1), NOW)
    new = Factors(store, [NEW], HASHING)
    assert new.tampered("1") == []
    before = store.find_factor("app:1").data
    assert new.accept_code("1", code(secret), NOW)
    assert store.find_factor("app:1").data == before, "sealed again once, not at every use"


def test_to5_what_is_renewed_needs_the_newest_key_alone(store):
    old, both, new = (Factors(store, keys, HASHING) for keys in ([OLD], [NEW, OLD], [NEW]))
    secret, passkey = with_app(old), add_passkey(old)
    others = with_app(old, "2")
    assert [both.need_older_keys(one) for one in "123"] == [True, True, False]
    both.renew("1")
    assert [both.need_older_keys(one) for one in "123"] == [False, True, False]
    assert new.accept_code("1", code(secret), NOW)
    assert new.find(passkey.key, "1").data == passkey.data
    assert new.accept_code("2", code(others), NOW) is None
    before = new.of("1")
    both.renew("1")
    assert new.of("1") == before, "written once"


def test_backup_codes_need_the_key_that_they_were_made_with(store):
    old, both = Factors(store, [OLD], HASHING), Factors(store, [NEW, OLD], HASHING)
    codes = old.make_codes("1")
    both.renew("1")
    new = Factors(store, [NEW], HASHING)
    assert (old.codes_end("1"), both.codes_end("1"), new.codes_end("1")) == ("", "soon", "ended")
    assert spent(both, "1", codes[0])
    both.make_codes("1")
    assert (both.codes_end("1"), new.codes_end("1"), new.codes_end("2")) == ("", "", "")


# Backup codes


def spent(factors, user_id, text):
    """Whether the text is an unused backup code, and this call spends it."""
    digest = factors.find_code(user_id, text)
    return digest is not None and factors.spend_code(user_id, digest)


@pytest.fixture
def derived(monkeypatch):
    texts = []
    real = HASHING.derive
    monkeypatch.setattr(HASHING, "derive", lambda text, salt: texts.append(text) or real(text, salt))
    return texts


def test_rc1_a_code_is_spent_by_its_use(factors):
    codes = factors.make_codes("1")
    assert factors.codes_left("1") == 10
    assert spent(factors, "1", codes[3].upper().replace("-", " "))
    assert factors.codes_left("1") == 9
    assert not spent(factors, "1", codes[3])
    assert spent(factors, "1", codes[4])
    assert factors.codes_left("1") == 8


def test_rc2_of_thirty_threads_with_one_code_one_is_let_in(each_store, monkeypatch):
    factors = Factors(each_store, [OLD], HASHING)
    (one, *_) = factors.make_codes("1")
    read, stored = threading.Barrier(30), each_store.backup_codes

    def read_together(user_id):
        found = stored(user_id)
        read.wait()
        return found

    monkeypatch.setattr(each_store, "backup_codes", read_together)
    results = at_once(lambda _: spent(factors, "1", one), 30)
    assert sorted(results) == [False] * 29 + [True]


def test_rc2_ten_threads_with_ten_codes_are_all_let_in(each_store):
    factors = Factors(each_store, [OLD], HASHING)
    codes = factors.make_codes("1")
    assert at_once(lambda number: spent(factors, "1", codes[number]), 10) == [True] * 10
    assert factors.codes_left("1") == 0


def test_rc3_a_code_of_another_account_is_none(factors, store):
    codes, others = factors.make_codes("1"), factors.make_codes("2")
    assert not spent(factors, "1", others[0])
    store.replace_backup_codes("1", store.backup_codes("2"))
    assert not spent(factors, "1", others[0]), "rows that were moved to another account prove nothing"
    assert spent(factors, "2", others[0])
    assert not spent(factors, "1", codes[0])


def test_rc5_one_hash_for_a_well_formed_guess_and_none_for_another_text(factors, derived):
    factors.make_codes("1")
    assert len(derived) == 10
    for text, cost in [("0000-0000-00000", 1), ("123456", 0), ("", 0), ("0" * 10_000_000, 0), ("uuuu-uuuu-uuuuu", 0)]:
        derived.clear()
        assert not spent(factors, "1", text)
        assert len(derived) == cost


def test_a_new_set_ends_the_old_one(factors):
    old = factors.make_codes("1")
    new = factors.new_codes("1")
    assert spent(factors, "1", old[0]), "a set that is not stored yet ends nothing"
    factors.store_codes("1", new)
    assert not spent(factors, "1", old[1])
    assert factors.codes_left("1") == 10


def test_rc3_codes_outlive_a_new_key(store):
    codes = Factors(store, [OLD], HASHING).make_codes("1")
    assert not spent(Factors(store, [NEW], HASHING), "1", codes[0])
    assert Factors(store, [NEW], HASHING).codes_left("1") == 0, "codes that cannot be used any more do not count"
    assert spent(Factors(store, [NEW, OLD], HASHING), "1", codes[0])


# Passkeys, and what all factors have


def add_passkey(factors, key="passkey:aa", user_id="1", **more):
    return factors.add_passkey(user_id, key, **{"name": "Windows", "data": "{}", "counter": 0, **more})


def test_a_passkey_is_of_one_account_for_ever(factors):
    assert add_passkey(factors).user_id == "1"
    assert add_passkey(factors) == "passkey_known"
    assert add_passkey(factors, user_id="2") == "passkey_known"


def test_an_account_has_at_most_twenty_passkeys(factors):
    with_app(factors)
    for number in range(MOST_PASSKEYS):
        assert add_passkey(factors, f"passkey:{number}").kind == "passkey"
    assert add_passkey(factors, "passkey:another") == "too_many_factors"
    assert add_passkey(factors, "passkey:another", "2").kind == "passkey"


def test_the_use_of_a_passkey_is_noted_once(factors):
    factor = add_passkey(factors)
    used = factors.use_passkey(factor, counter=5, now=NOW + 1)
    assert (used.counter, used.used_at, used.data) == (5, NOW + 1, "{}")
    assert factors.use_passkey(factor, counter=6, now=NOW + 1) is None
    again = factors.use_passkey(used, counter=6, now=NOW + 2, data='{"backed_up": true}')
    assert factors.of("1") == [again]


def test_a_factor_has_the_name_that_its_owner_gives_it(factors):
    add_passkey(factors)
    assert factors.rename("2", "passkey:aa", "x") is None
    assert factors.rename("1", "passkey:bb", "x") is None
    assert factors.rename("1", "passkey:aa", "会社のパソコン").name == "会社のパソコン"
    assert [f.name for f in factors.of("1")] == ["会社のパソコン"]


def test_a_factor_is_removed_by_its_owner_alone(factors):
    with_app(factors)
    passkey = add_passkey(factors)
    assert factors.remove("2", passkey.key) is None
    assert factors.remove("1", passkey.key) == passkey
    assert factors.remove("1", passkey.key) is None
    assert [f.kind for f in factors.of("1")] == ["app"]


def test_all_go_at_once_and_those_of_others_stay(factors):
    for user_id, key in itertools.product("12", ("passkey:a", "passkey:b")):
        add_passkey(factors, f"{key}{user_id}", user_id)
    factors.make_codes("1")
    others = factors.make_codes("2")
    factors.remove_all("1")
    assert (factors.of("1"), factors.codes_left("1")) == ([], 0)
    assert len(factors.of("2")) == 2
    assert spent(factors, "2", others[0])


def test_a_tampered_passkey_cannot_be_used_or_renamed_and_can_be_removed(factors, store):
    factor = add_passkey(factors)
    tamper(store, factor.key, data='{"eligible": true}')
    assert factors.find(factor.key) is None
    assert factors.rename("1", factor.key, "x") is None
    assert factors.remove("1", factor.key)
