"""Sessions without HTTP: limits, touching, stamps, rehashing, sweeping."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import argon2
import pytest
import time_machine

from nipo_auth_mw import SessionPolicy, StoreUnavailable
from nipo_auth_mw._flows.advance import SignedIn
from nipo_auth_mw._flows.login import sign_in
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw.models import Client, Session, StoredSession
from nipo_auth_mw.testing import fast_hasher
from tests.downstream.suite.reports_users import DictUsers
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, events, middleware, person, seen
from tests.kit import sign_in as kit_sign_in

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
    assert auth._services.worker.flush(5)
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
    persistent, unkept = enter(auth).session, enter(auth, remember=False).session
    clock.shift(DAY)
    assert auth.sweep() == 1
    assert alive(auth, persistent, prolong=False)
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
    account, state = store.get("1"), store.account_state("1")
    assert auth._services.known_devices.known(before.device, account, state)
    assert store.get("1").password_hash not in state.equivalent_hashes


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
    assert worker.flush(5)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        done = []
        worker.submit(lambda: done.append(1))
        assert worker.flush(5)
        os.write(write, b"%d" % len(done))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    os.close(read)
    os.close(write)


def test_cl1_ru6_a_clock_set_back_by_a_quarter_of_an_hour_ends_nothing_and_by_more_it_does(auth, clock):
    borne, ended = enter(auth).session, enter(auth).session
    clock.shift(-900)
    assert alive(auth, borne)
    clock.shift(-1)
    assert not alive(auth, ended)


def test_the_cookie_of_a_kept_session_is_due_again_after_thirty_days_and_no_other_ever(auth, clock):
    persistent, unkept = enter(auth).session, enter(auth, remember=False).session
    sessions = auth._services.sessions
    for _ in range(60):
        clock.shift(timedelta(hours=12))
        assert not sessions.find(persistent).cookie_due
        assert not alive(auth, unkept)
    clock.shift(1)
    assert sessions.find(persistent).cookie_due
    assert sessions.send_again(sessions.find(persistent).stored)
    assert not sessions.find(persistent).cookie_due


def test_a_session_tells_where_it_began_in_one_short_line_each(auth, clock):
    enter(auth, client=Client("192.0.2.7\n" + "x" * 100, "Browser\r\n\x1b[2J" + "y" * 5000))
    (stored,) = auth._services.sessions.of("1")
    assert stored.client_address.startswith("192.0.2.7\\nx")
    assert stored.user_agent.startswith("Browser\\r\\n\\x1b[2Jy")
    assert len(stored.client_address) == 64
    assert len(stored.user_agent) <= 1000
    assert [stored.created_at, stored.seen_at, stored.sent_at, stored.confirmed_at] == [START.timestamp()] * 4


def test_a_session_tells_what_was_proved_and_its_renewal_keeps_it(auth, clock):
    user, services = auth.accounts.find("tanaka@example.com"), auth._services
    account, state = services.users.get(user.id), services.account_states.account_state(user.id)
    one = services.sessions.open(account, state, Client(), persistent=True)[0]
    assert (Session(one).means, Session(one).second_at) == (("password",), None)
    proved = {"means": "password,app", "second_at": START.timestamp()}
    two = services.sessions.open(account, state, Client(), persistent=True, **proved)[0]
    clock.shift(60)
    renewed = services.sessions.renew(two, account, state, Client())[0]
    for stored in (two, services.session_store.find_session(renewed.key)[0]):
        assert (Session(stored).means, Session(stored).second_at) == (("password", "app"), START)
        assert (Session(stored).created_at, Session(stored).confirmed_at) == (START, START)


def test_a_store_that_knows_one_step_alone_still_makes_sessions():
    """A host app's own store gives the ten fields that it has columns for."""
    stored = StoredSession("a" * 64, "1", "stamp", 1.0, 1.0, 1.0, True, "", "", 1.0)
    assert (Session(stored).means, Session(stored).second_at) == (("password",), None)


def test_a_sweep_ends_any_number_and_what_is_overdue_is_counted_up_to_five_hundred(auth, clock):
    sessions, store = auth._services.sessions, auth._services.session_store
    enter(auth)
    (one,) = sessions.of("1")
    for number in range(1001):
        store.open_session(one._replace(key=f"{number:064}", user_id=str(number % 11 + 1)))
    assert sessions.overdue() == 0
    clock.shift(91 * DAY)
    assert sessions.overdue() == 500
    assert sessions.sweep() == 1002
    assert sessions.overdue() == 0
    assert len(events(auth, "session_expired")) == 1002


def test_what_is_delicate_bears_a_clock_five_minutes_behind_and_lasts_its_quarter_of_an_hour(auth, clock):
    enter(auth)
    sessions = auth._services.sessions
    (stored,) = sessions.of("1")
    for after, fresh in ((-301, False), (-300, True), (0, True), (899, True), (900, False)):
        clock.move_to(START + timedelta(seconds=after))
        assert sessions.fresh(Session(stored)) is fresh, after
    assert sessions.confirm(stored)
    (stored,) = sessions.of("1")
    assert sessions.fresh(Session(stored))


@pytest.mark.parametrize("persistent", [True, False])
def test_both_limits_end_a_session_on_the_second_and_the_row_says_which_it_was(persistent, clock):
    policy = SessionPolicy(idle=3 * DAY, browser_idle=2 * DAY, absolute=4 * DAY)
    auth = middleware(session=policy)
    user = person(auth)
    idle = (3 if persistent else 2) * DAY
    disused, used, _ = (enter(auth, remember=persistent).session for _ in "123")
    ids = {Session(stored).id for stored in auth._services.sessions.of(user.id)}
    clock.move_to(START + idle - timedelta(seconds=1))
    assert alive(auth, used)
    assert auth.sweep() == 0
    clock.shift(1)
    assert not alive(auth, disused)
    assert alive(auth, used)
    clock.shift(1)
    assert auth.sweep() == 1
    clock.move_to(START + 3.5 * DAY)
    assert alive(auth, used)
    clock.move_to(START + 4 * DAY - timedelta(seconds=1))
    assert alive(auth, used)
    assert auth.sweep() == 0
    clock.shift(1)
    assert not alive(auth, used)
    rows = events(auth, "session_expired")
    assert [(row.time - START, row.details["limit"]) for row in rows] == [(idle, "idle")] * 2 + [(4 * DAY, "absolute")]
    assert [row.details["last_seen"] for row in rows[:2]] == [int(START.timestamp())] * 2
    assert {row.session for row in rows} == ids
    assert {(row.user_id, row.client_address) for row in rows} == {(user.id, "192.0.2.1")}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda rows: rows.update(u0=rows["u0"]._replace(active=False)), "account_disabled"),
        (lambda rows: rows.update(u0=rows["u0"]._replace(email="new@example.com")), "account_changed"),
        (lambda rows: rows.clear(), "account_deleted"),
    ],
)
def test_over_a_hosts_own_table_a_session_lives_and_ends_with_the_row(change, why):
    users = DictUsers()
    users.add("tanaka@example.com", fast_hasher().hash(PASSWORD))
    auth = middleware(users=users)
    cookie = enter(auth).session
    assert auth._services.sessions.find(cookie).user.name == "own"
    change(users.rows)
    assert not alive(auth, cookie)
    assert not alive(auth, cookie)
    (row,) = events(auth, "session_ended")
    assert (row.user_id, row.actor, row.details) == ("u0", "", {"why": why})


def test_the_person_behind_a_session_is_the_account_as_it_is(auth):
    facts = {"name": "鈴木", "role": "admin", "language": "ja", "notify_email": "notices@example.net"}
    user = person(auth, "suzuki@example.com", **facts)
    cookie = enter(auth, "suzuki@example.com").session
    found = auth._services.sessions.find(cookie).user
    assert found == user == auth.accounts.get(user.id)
    assert (found.name, found.role, found.language, found.notify_email, found.active) == (*facts.values(), True)


def test_of_two_who_end_one_session_one_does(auth):
    enter(auth, client=Client("192.0.2.9", "Firefox"))
    sessions = auth._services.sessions
    (stored,) = sessions.of("1")
    record = auth._services.log.record
    assert [sessions.end(stored, why="by_owner", record=record) for _ in "12"] == [True, False]
    assert not sessions.confirm(stored)
    assert not sessions.send_again(stored)
    (row,) = events(auth, "session_ended")
    assert (row.session, row.client_address, row.user_agent) == (Session(stored).id, "192.0.2.9", "Firefox")


@pytest.mark.parametrize("persistent", [True, False])
def test_a_new_password_keeps_a_session_as_long_as_it_was_to_be_kept(auth, persistent):
    page = browser(auth)
    page.post(
        "/-/auth/login",
        {"email": "tanaka@example.com", "password": PASSWORD, **({"remember": "1"} if persistent else {})},
    )
    page.post(
        "/-/auth/account/password", {"current_password": PASSWORD, "password": "midori-no-oka-to-kaze"}, status=303
    )
    assert [stored.persistent for stored in auth._services.sessions.of("1")] == [persistent]
    assert seen(page) == "1"


def test_the_row_of_an_ended_session_names_who_ended_it(auth):
    enter(auth)
    auth.accounts.acting_as("cli").set_active("1", False)
    assert [row.actor for row in events(auth, "account_disabled", "session_ended")] == ["cli", "cli"]


def test_signing_out_is_a_row_without_a_reason(auth):
    page = browser(auth)
    kit_sign_in(page)
    page.post("/-/auth/logout")
    (row,) = events(auth, "signed_out")
    assert (row.user_id, dict(row.details)) == ("1", {})


def test_of_two_sweeps_at_once_one_counts_a_session(auth, clock):
    enter(auth)
    sessions, store = auth._services.sessions, auth._services.session_store
    read, other = store.expired_sessions, []

    def overtaken(**limits):
        found = read(**limits)
        if not other:
            other.append("sweeps")
            other.append(sessions.sweep())
        return found

    store.expired_sessions = overtaken
    clock.shift(91 * DAY)
    assert sessions.sweep() == 0
    assert other == ["sweeps", 1]
    assert len(events(auth, "session_expired")) == 1


def test_an_account_without_a_name_is_a_person_whose_name_is_empty():
    users = DictUsers()
    users.add("tanaka@example.com", fast_hasher().hash(PASSWORD))
    users.rows["u0"] = users.rows["u0"]._replace(name=None)
    auth = middleware(users=users)
    assert auth._services.sessions.find(enter(auth).session).user.name == ""
