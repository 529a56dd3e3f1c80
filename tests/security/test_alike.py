"""Rows EN1, EN2, EN4, EN6, LK3: with or without an account, an address costs the same work and gets the same bytes.

The doors, the people and the spies are those of `benchmarks.alike`, which also looks at the time.
"""

from __future__ import annotations

import pytest
import time_machine

from benchmarks.alike import DOORS, EVERYBODY, Posted, furnished, shown
from benchmarks.effect import effect
from nipo_auth_mw._credentials import hashing
from nipo_auth_mw.models import Client
from nipo_auth_mw.testing import fast_hasher
from tests.kit import WRONG, middleware, person

BY_NAME = {door.name: door for door in DOORS}


@pytest.fixture
def answers(tmp_path):
    """Of a door: every kind's answers, and what was done for each."""

    def of(name, rounds=2):
        door = BY_NAME[name]
        with time_machine.travel(1_800_000_000, tick=False):
            house = furnished(tmp_path, door, rounds + 1, fast_hasher(), spied=True)
            shown(house, *door.ready(house, door.kinds[0], rounds))  # which opens connections
            found = {kind: [shown(house, *door.ready(house, kind, n)) for n in range(rounds)] for kind in door.kinds}
        house.store.close()
        return found

    return of


def all_alike(found):
    first, *others = found.values()
    assert all(other == first for other in others)
    return first[0]


def test_en1_en2_mf16_a_wrong_password_costs_everybody_the_same(answers):
    one = all_alike(answers("sign-in, wrong password"))
    assert one.status.startswith("401")
    assert one.done.hashes == ["verify"]
    assert one.done.history == ["sign_in_failed reason"]
    assert len(one.done.statements) > 6
    assert len(one.done.counters) > 2


def test_ru19_a_dearer_hash_in_the_store_costs_everybody_the_same(answers):
    one = all_alike(answers("sign-in, wrong password, dearer hashes in the store"))
    assert one.done.hashes == ["verify"]


def test_lk3_en2_the_wrong_password_that_begins_a_lock_costs_everybody_the_same(answers):
    one = all_alike(answers("sign-in, the wrong password that begins a lock"))
    assert one.done.hashes == ["verify"]
    assert one.done.mails == ["queued"]
    assert [row.split()[0] for row in one.done.history] == ["sign_in_failed", "locked"]


def test_lk3_a_lock_costs_everybody_the_same(answers):
    one = all_alike(answers("sign-in, locked"))
    assert one.status.startswith("429")
    assert (one.done.hashes, one.done.history, one.done.mails) == ([], [], [])


def test_en4_a_forgotten_password_costs_everybody_the_same(answers):
    one = all_alike(answers("forgotten password"))
    assert one.status.startswith("200")
    assert (one.done.hashes, one.done.mails) == ([], ["queued"])
    assert one.done.history == [], "the background records it, when it has looked the address up"
    assert not any("nipo_auth_account" in statement for statement in one.done.statements), "nothing is looked up"


def test_en6_a_taken_address_costs_what_a_free_one_does(answers):
    one = all_alike(answers("change of address"))
    assert one.status.startswith("303")
    assert one.done.mails == ["queued"] * 2
    wrong = all_alike(answers("change of address, wrong password"))
    assert wrong.status.startswith("403")
    assert wrong.done.hashes == ["verify"]


def test_en5_no_mail_is_written_while_an_answer_leaves(monkeypatch):
    handed_in = []
    auth = middleware(mailer=Posted())
    for worker in (auth._services.outbox._answering, auth._services.outbox._sending):
        monkeypatch.setattr(worker, "submit", lambda job, *, after=0.0: handed_in.append(after))
    person(auth)
    for email in ("tanaka@example.com", "nobody@example.com"):
        auth._services.notifications.reset_asked(email, Client())
    # A program in the background would hold the answer up, and only for people who have an account.
    assert len(handed_in) == 2
    assert handed_in[0] == handed_in[1] >= 0.05
    assert all(mail.due_in > 0 for mail in auth._services.outbox.rows.mails(limit=9)), "not even another process"


def test_en2_as_much_is_read_of_nobodys_hash_as_of_somebodys(monkeypatch):
    hashes = hashing.PasswordHashing(fast_hasher())
    stored, read = hashes.hash("aoi-umi-to-shiroi-kumo"), []
    kind_of = hashing.kind_of
    monkeypatch.setattr(hashing, "kind_of", lambda stored: read.append(stored) or kind_of(stored))
    counts = []
    for whose in (stored, None):
        read.clear()
        assert not hashes.verify(whose, WRONG)
        counts.append(len(read))
    assert abs(counts[0] - counts[1]) <= 1


def test_en2_the_script_tells_a_difference_from_noise():
    first = [1e-3 + n * 1e-6 for n in range(200)]
    assert effect(first, [value + 1e-3 for value in first]).delta == 1
    assert not effect(first, [value + 1e-3 for value in first]).alike
    assert effect(first, first).alike
    assert effect(first, [value + 1e-6 for value in first]).alike, "no network carries a microsecond"
    assert effect([1e-3] * 50, [1e-3] * 50).p == 1
    assert EVERYBODY[0] == "known"
