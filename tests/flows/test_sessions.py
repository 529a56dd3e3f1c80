"""Sessions without HTTP: limits, touching, stamps, rehashing, sweeping."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import argon2
import pytest
import time_machine

from nipo_auth_mw import SessionPolicy, StoreUnavailable
from nipo_auth_mw.flows.signin import Refused, SignedIn, sign_in
from nipo_auth_mw.models import Client
from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, WRONG, SpyHasher, events, middleware, person

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def enter(auth, email="tanaka@example.com", password=PASSWORD, **more):
    outcome = sign_in(auth._services, email, password, **{"remember": True, "client": Client("192.0.2.1"), **more})
    assert isinstance(outcome, SignedIn), outcome
    return outcome


def alive(auth, cookie, **more):
    live = auth._services.sessions.find(cookie, **more)
    auth._services.worker.flush(5)
    return live is not None


@pytest.fixture
def auth():
    auth = middleware()
    person(auth)
    return auth


def test_disuse_ends_a_session_and_use_prolongs_it(auth, clock):
    used, unused = enter(auth).session, enter(auth).session
    for _ in range(3):
        clock.shift(40 * DAY)
        assert alive(auth, used)
    assert not alive(auth, unused)
    clock.shift(90 * DAY + timedelta(seconds=1))
    assert not alive(auth, used)


def test_no_use_outlasts_the_absolute_limit(auth, clock):
    cookie = enter(auth).session
    for _ in range(400):
        assert alive(auth, cookie)
        clock.shift(DAY)
    assert not alive(auth, cookie)


def test_a_session_that_is_not_kept_ends_after_twelve_hours_of_disuse(auth, clock):
    cookie = enter(auth, remember=False).session
    clock.shift(timedelta(hours=11))
    assert alive(auth, cookie)
    clock.shift(timedelta(hours=12, seconds=1))
    assert not alive(auth, cookie)


def test_passive_looks_do_not_prolong(auth, clock):
    cookie = enter(auth).session
    for _ in range(90):
        assert alive(auth, cookie, prolong=False)
        clock.shift(DAY)
    assert not alive(auth, cookie)


def test_last_seen_is_written_at_most_every_five_minutes(clock):
    auth = middleware()
    person(auth)
    writes = []
    store = auth._services.session_store
    original = store.touch_session
    store.touch_session = lambda key, seen: (writes.append(seen), original(key, seen))
    cookie = enter(auth).session
    for _ in range(60):
        clock.shift(30)
        alive(auth, cookie)
    assert len(writes) == 6


def test_a_touch_does_not_hold_up_or_fail_the_request(clock):
    auth = middleware()
    person(auth)
    cookie = enter(auth).session

    def broken(key, seen):
        raise StoreUnavailable

    auth._services.session_store.touch_session = broken
    clock.shift(DAY)
    assert alive(auth, cookie)


def test_a_touch_that_is_written_during_a_look_up_is_not_missed(auth, clock):
    sessions, worker = auth._services.sessions, auth._services.worker
    cookie = enter(auth, remember=False).session
    look_up, waiting = sessions._look_up, []

    def slow(key):
        found = look_up(key)
        for job in waiting:
            job()
        return found

    sessions._look_up, worker.submit = slow, waiting.append
    clock.shift(timedelta(hours=8))
    assert sessions.find(cookie) is not None
    clock.shift(timedelta(hours=8))
    assert sessions.find(cookie) is not None


def test_the_sweep_spares_a_session_whose_touch_is_not_written_yet(auth, clock):
    services, waiting = auth._services, []
    cookie = enter(auth, remember=False).session
    services.worker.submit = waiting.append
    clock.shift(timedelta(hours=8))
    assert services.sessions.find(cookie) is not None
    clock.shift(timedelta(hours=8))
    assert services.sessions.sweep() == 0
    for job in waiting:
        job()
    clock.shift(timedelta(hours=4, seconds=1))
    assert services.sessions.sweep() == 1


def test_expiry_is_recorded_once_with_the_deadline_as_its_time(auth, clock):
    cookie = enter(auth).session
    clock.shift(120 * DAY)
    assert not alive(auth, cookie)
    assert not alive(auth, cookie)
    assert auth.sweep() == 0
    (row,) = events(auth, "session_expired")
    assert row.time == START + 90 * DAY
    assert row.details["limit"] == "idle"


def test_the_sweep_ends_what_is_over_and_nothing_else(auth, clock):
    kept, unkept = enter(auth).session, enter(auth, remember=False).session
    clock.shift(DAY)
    assert auth.sweep() == 1
    assert alive(auth, kept, prolong=False)
    assert not alive(auth, unkept)
    clock.shift(90 * DAY)
    assert auth.sweep() == 1
    assert len(events(auth, "session_expired")) == 2


def test_a_change_made_behind_our_back_ends_the_session_and_it_stays_ended(auth):
    cookie = enter(auth).session
    store = auth._services.session_store
    store.update("1", active=False)
    assert not alive(auth, cookie)
    store.update("1", active=True)
    assert not alive(auth, cookie)
    (row,) = events(auth, "session_ended")
    assert row.details["why"] == "account_disabled"


def test_our_own_changes_bring_no_earlier_state_back(auth):
    cookie = enter(auth).session
    auth.accounts.change_email("1", "suzuki@example.com")
    auth.accounts.change_email("1", "tanaka@example.com")
    auth.accounts.set_active("1", False)
    auth.accounts.set_active("1", True)
    assert not alive(auth, cookie)


def test_a_change_while_the_password_is_checked_makes_the_session_stillborn():
    auth = middleware(hasher=(spy := SpyHasher(fast_hasher())))
    person(auth)
    check = spy.verify

    def slow(hash, password):
        auth._services.session_store.update("1", active=False)
        return check(hash, password)

    spy.verify = slow
    cookie = enter(auth).session
    assert not alive(auth, cookie)


def test_pw12_a_rehash_upgrades_the_hash_and_ends_neither_sessions_nor_known_devices():
    class Weaker(SpyHasher):
        outdated = True

        def check_needs_rehash(self, hash):
            return self.outdated

    hasher = Weaker(fast_hasher())
    auth = middleware(hasher=hasher)
    person(auth)
    store = auth._services.session_store
    before = enter(auth)
    hashes = {store.get("1").password_hash}
    for _ in range(6):
        enter(auth)
        hashes.add(store.get("1").password_hash)
    assert len(hashes) == 7
    assert alive(auth, before.session)
    account, notes = store.get("1"), store.notes_of("1")
    assert auth._services.devices.known(before.device, account, notes)
    assert store.get("1").password_hash not in notes.lineage


def test_pw12_a_right_password_brings_an_older_hash_to_todays_parameters_and_a_wrong_one_does_not():
    auth = middleware(hasher=argon2.PasswordHasher(2, 20 * 1024, 1))
    person(auth)
    store = auth._services.session_store
    older = argon2.PasswordHasher(2, 19 * 1024, 1).hash(PASSWORD)
    store.set_password_hash("1", older, expected=store.get("1").password_hash)
    assert sign_in(auth._services, "tanaka@example.com", WRONG, remember=True, client=Client("192.0.2.1")) == Refused(
        "invalid_credentials"
    )
    assert store.get("1").password_hash == older
    enter(auth)
    newer = store.get("1").password_hash
    assert newer.startswith("$argon2id$v=19$m=20480,t=2,p=1$")
    enter(auth)
    assert store.get("1").password_hash == newer, "once"


def test_pw12_a_rehash_that_cannot_be_written_fails_no_sign_in():
    hasher = SpyHasher(fast_hasher())
    hasher.check_needs_rehash = lambda hash: True
    auth = middleware(hasher=hasher)
    person(auth)

    def broken(*args, **kwargs):
        raise StoreUnavailable

    auth._services.session_store.set_password_hash = broken
    assert alive(auth, enter(auth).session)


def test_se16_the_101st_session_ends_the_longest_unseen(auth, clock):
    cookies = []
    for _ in range(101):
        cookies.append(enter(auth).session)
        clock.shift(1)
    assert [alive(auth, cookie) for cookie in cookies] == [False] + [True] * 100
    (row,) = events(auth, "session_ended")
    assert row.details["why"] == "cap"


def test_signing_in_over_a_live_session_ends_that_one(auth):
    first = enter(auth)
    over = auth._services.sessions.find(first.session)
    second = enter(auth, over=over)
    assert not alive(auth, first.session)
    assert alive(auth, second.session)


def test_the_history_out_of_reach_keeps_nobody_out(auth):
    def broken(event):
        raise StoreUnavailable

    auth._services.audit.append_event = broken
    assert alive(auth, enter(auth).session)


def test_an_administrators_act_that_cannot_be_recorded_does_not_happen(auth):
    cookie = enter(auth).session

    def broken(event):
        raise StoreUnavailable

    auth._services.audit.append_event = broken
    with pytest.raises(StoreUnavailable):
        auth.accounts.set_active("1", False)
    assert auth.accounts.get("1").active
    assert alive(auth, cookie)


def test_the_shortest_policies_still_touch_often_enough(clock):
    policy = SessionPolicy(idle=timedelta(minutes=2), browser_idle=timedelta(minutes=2))
    auth = middleware(session=policy)
    person(auth)
    cookie = enter(auth).session
    for _ in range(10):
        clock.shift(70)
        assert alive(auth, cookie)


def test_a_child_process_writes_its_own_last_seen(auth):
    worker = auth._services.worker
    worker.submit(lambda: None)
    worker.flush(5)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        done = []
        worker.submit(lambda: done.append(1))
        worker.flush(5)
        os.write(write, b"%d" % len(done))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    os.close(read)
    os.close(write)
