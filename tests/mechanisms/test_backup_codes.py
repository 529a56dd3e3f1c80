"""Backup codes: how they look, how people type them, and what a store gets."""

from __future__ import annotations

import math
import time

import argon2
import pytest

from nipo_auth_mw._credentials import backup_codes
from nipo_auth_mw._credentials.backup_codes import BackupCodes, new_codes, normalised
from nipo_auth_mw._credentials.hashing import PasswordHashing
from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw.testing import fast_hasher

OLD = "the old secret of this set-up, 0123456789"
NEW = "the new secret of this set-up, 9876543210"
CODE = "0123-abcd-efghj"
OTHER = "9876-abcd-efghj"


@pytest.fixture(scope="module")
def hashing():
    return PasswordHashing(fast_hasher())


@pytest.fixture
def derived(hashing, monkeypatch):
    """The texts that a hash was computed of."""
    texts = []
    real = hashing.derive
    monkeypatch.setattr(hashing, "derive", lambda text, salt: texts.append(text) or real(text, salt))
    return texts


def codes(hashing, *keys: str) -> BackupCodes:
    return BackupCodes(hashing, KeyedDigests(keys or [OLD], "backup code"))


def test_rc3_ten_codes_of_65_random_bits():
    sets = [new_codes() for _ in range(300)]
    assert {len(one) for one in sets} == {10}
    texts = [code for one in sets for code in one]
    assert len(set(texts)) == 3000
    assert {tuple(map(len, code.split("-"))) for code in texts} == {(4, 4, 5)}
    alphabet = set("".join(texts)) - {"-"}
    assert 13 * math.log2(len(alphabet)) == 65
    assert not alphabet & set("oilu")
    assert all(normalised(code) == code.replace("-", "") for code in texts)


@pytest.mark.parametrize(
    "typed",
    [
        "0123abcdefghj",
        "0123 ABCD EFGHJ",
        " 0123-abcd-efghj\n",
        "\uff10\uff11\uff12\uff13\u30fc\uff21\uff22\uff23\uff24\uff0d\uff45\uff46\uff47\uff48\uff4a",
        "o123-abcd-efghj",
        "Ol23-abcd-efghj",
        "0I23-abcd-efghj",
    ],
)
def test_a_code_is_read_as_people_type_it(typed):
    assert normalised(typed) == "0123abcdefghj"


BAD_SHAPES = ["", "0123-abcd-efgh", "0123-abcd-efghjk", "0123-abcd-efghu", "0123abcdefgh\u0661", "0123_abcd_efghj"]
BAD_SHAPES += ["123456", "0123abcdefgh\0", "0123abcdefgh\ud800", "\u01303abcdefghjk0", "0" * 10_000_000]


@pytest.mark.parametrize("text", BAD_SHAPES, ids=lambda text: repr(text[:20]))
def test_rc5_a_text_of_another_form_is_never_hashed(text, hashing, derived):
    stored = codes(hashing).hashes([CODE], "1")
    derived.clear()
    started = time.thread_time()
    assert normalised(text) is None
    assert codes(hashing).find(stored, text, "1") is None
    assert time.thread_time() - started < 0.05
    assert derived == []


def test_rc5_a_guess_costs_one_hash_however_many_codes_and_keys_there_are(hashing, derived):
    stored = codes(hashing, OLD).hashes(new_codes(), "1")
    planted = f"{'00' * 16}$01234567${'00' * 32}"
    for text in (CODE, OTHER):
        derived.clear()
        assert codes(hashing, NEW, OLD).find([*stored, planted, "x", ""], text, "1") is None
        assert len(derived) == 1
    derived.clear()
    assert codes(hashing).find([], CODE, "1") is None
    assert codes(hashing).find(["", "x", "00$", f"{'00' * 15}$"], CODE, "1") is None
    assert derived == []


def test_rc3_a_code_is_of_its_account_and_its_set(hashing):
    mine, others = codes(hashing).hashes([CODE], "1"), codes(hashing).hashes([CODE], "2")
    assert codes(hashing).find(mine, CODE, "1") == mine[0]
    assert codes(hashing).find(mine, CODE, "2") is None, "a row that was moved to another account proves nothing"
    assert codes(hashing).find(others, CODE, "1") is None
    assert codes(hashing).find(mine, OTHER, "1") is None
    assert not set(mine) & set(others)
    assert codes(hashing).hashes([CODE], "1") != mine


def test_rc3_stored_is_argon2id_with_a_salt_and_our_key(hashing):
    """An attacker who has the table and knows the hash still lacks the key."""
    (stored,) = codes(hashing).hashes([CODE], "1")
    salt, name, digest = stored.split("$")
    raw = argon2.low_level.hash_secret_raw(b"0123abcdefghj", bytes.fromhex(salt), 1, 8, 1, 32, argon2.Type.ID)
    assert hashing.derive("0123abcdefghj", bytes.fromhex(salt)) == raw
    assert KeyedDigests([OLD], "backup code").digest(raw.hex(), "1") == digest
    assert KeyedDigests([OLD], "backup code").names == (name,)
    assert raw.hex() not in stored
    assert KeyedDigests([NEW], "backup code").digest(raw.hex(), "1") != digest
    assert len(bytes.fromhex(salt)) == 16


def test_rc3_outside_the_test_kit_a_guess_costs_as_much_as_a_password():
    real = PasswordHashing()
    expected = argon2.low_level.hash_secret_raw(b"0123abcdefghj", b"0" * 16, 2, 19 * 1024, 1, 32, argon2.Type.ID)
    assert real.derive("0123abcdefghj", b"0" * 16) == expected


def test_one_salt_a_set(hashing):
    stored = codes(hashing).hashes(new_codes(), "1")
    assert len({one.partition("$")[0] for one in stored}) == 1
    assert len(set(stored)) == 10


def test_codes_outlive_a_new_key_and_end_with_the_last_key(hashing):
    stored = codes(hashing, OLD).hashes([CODE], "1")
    assert codes(hashing, NEW, OLD).find(stored, CODE, "1") == stored[0]
    assert codes(hashing, NEW).find(stored, CODE, "1") is None
    assert (codes(hashing, NEW, OLD).valid(stored), codes(hashing, NEW).valid(stored)) == (stored, [])
    assert (codes(hashing, NEW, OLD).of_older_keys(stored), codes(hashing, OLD).of_older_keys(stored)) == (stored, [])
    assert codes(hashing, OLD).valid(["", "x", "00$", "00$x$00"]) == []


def test_a_hash_waits_for_a_slot_of_the_pool(hashing, monkeypatch):
    """So a flood of guesses takes no more memory than a flood of passwords."""
    ran = []
    real = hashing.hash_pool.run
    monkeypatch.setattr(hashing.hash_pool, "run", lambda *given: ran.append(given[0]) or real(*given))
    stored = codes(hashing).hashes([CODE], "1")
    assert codes(hashing).find(stored, CODE, "1")
    assert len(ran) == 2


def test_only_codes_are_hashed(hashing):
    with pytest.raises(ValueError, match="not a backup code"):
        codes(hashing).hashes(["123456"], "1")
    assert backup_codes.CODES == 10
