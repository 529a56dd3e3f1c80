"""Rows SE1-SE9, SE20: how a session begins, lasts and ends."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine

from nipo_auth_mw import SessionPolicy
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.login import admit
from nipo_auth_mw.models import Client
from nipo_auth_mw.testing import MemoryStore, SoftPasskey, mails
from tests.kit import PASSWORD, SUZUKI, enrol_passkey, middleware, two_people
from tests.security.tools import Inner, ask, login, rows, session_pair, signed_in, who

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
START = 1_800_000_000
NEW_PASSWORD = "midori-mori-to-siroi-tori"


@pytest.fixture
def auth():
    return two_people(middleware())


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def test_se1_sign_in_over_a_live_session_ends_it(auth):
    old = signed_in(auth)
    new = session_pair(login(auth, cookie=old))
    assert new != old
    assert (who(auth, old), who(auth, new)) == ("", "1")
    other = session_pair(login(auth, SUZUKI, cookie=new))
    assert (who(auth, new), who(auth, other)) == ("", "2")


@pytest.mark.parametrize("sent", ["attacker", "a" * 43 + "." + "b" * 43, ""])
def test_se2_a_value_that_was_sent_is_never_adopted(auth, sent):
    issued = session_pair(login(auth, cookie=f"nipo_auth={sent}"))
    assert issued not in {"", f"nipo_auth={sent}"}
    assert (who(auth, issued), who(auth, f"nipo_auth={sent}")) == ("1", "")


def test_se2_a_strangers_live_session_is_not_taken_over(auth):
    planted = signed_in(auth, SUZUKI)
    issued = session_pair(login(auth, cookie=planted))
    assert issued != planted
    assert (who(auth, issued), who(auth, planted)) == ("1", "")


def test_se3_sign_out_ends_the_session_on_the_server(auth):
    mine = signed_in(auth)
    assert ask(auth, "POST", "/-/auth/logout", cookie=mine).status == 303
    assert who(auth, mine) == ""
    assert rows(auth) == 0


def test_se4_no_activity_prolongs_a_session_past_its_absolute_limit(clock):
    auth = two_people(middleware(session=SessionPolicy(idle=2 * DAY, absolute=10 * DAY)))
    mine = signed_in(auth)
    for _ in range(10 * 24 - 1):
        clock.shift(timedelta(hours=1))
        assert who(auth, mine) == "1"
    clock.move_to(START + 10 * 86400 - 1)
    assert who(auth, mine) == "1"
    clock.shift(2 * SECOND)
    assert who(auth, mine) == ""


@pytest.mark.parametrize(("persistent", "limit"), [("1", 3 * DAY), ("", timedelta(hours=12))])
def test_se5_disuse_ends_a_session_and_use_prolongs_it(clock, persistent, limit):
    auth = two_people(middleware(session=SessionPolicy(idle=3 * DAY)))
    one, two = (session_pair(login(auth, fields={"remember": persistent})) for _ in "12")
    clock.shift(limit - SECOND)
    assert who(auth, one) == "1"
    clock.shift(2 * SECOND)
    assert who(auth, two) == ""
    clock.shift(limit - 3 * SECOND)
    assert who(auth, one) == "1"
    clock.shift(limit + SECOND)
    assert who(auth, one) == ""


def test_se6_a_new_password_ends_every_session_of_the_account_and_no_other(auth):
    devices = [signed_in(auth) for _ in range(3)]
    other = signed_in(auth, SUZUKI)
    auth.accounts.set_password("1", NEW_PASSWORD)
    assert [who(auth, device) for device in devices] == ["", "", ""]
    assert who(auth, other) == "2"
    assert who(auth, session_pair(login(auth, password=NEW_PASSWORD))) == "1"
    assert login(auth).status == 401, "the old password is dead"


@pytest.mark.parametrize("end", ["disable", "delete", "password", "email", "their SQL"])
def test_se7_an_account_that_was_changed_has_no_session_at_the_next_request(end):
    inner = Inner()
    store = MemoryStore()
    auth = two_people(middleware(inner, store=store))
    mine = signed_in(auth)
    assert ask(auth, cookie=mine).status == 200
    if end == "disable":
        auth.accounts.set_active("1", False)
    elif end == "delete":
        auth.accounts.delete("1")
    elif end == "password":
        auth.accounts.set_password("1", NEW_PASSWORD)
    elif end == "email":
        auth.accounts.change_email("1", "new@example.com")
    else:
        store.update("1", active=False)
    inner.seen.clear()
    assert ask(auth, cookie=mine).status == 303
    assert inner.seen == []
    if end in {"disable", "their SQL"}:
        auth.accounts.set_active("1", False)
        auth.accounts.set_active("1", True)
        assert ask(auth, cookie=mine).status == 303, "enabling brings no session back"


@pytest.mark.parametrize("field", ["password", "email"])
def test_se7_a_change_by_the_hosts_own_sql_ends_the_session_too(field):
    store = MemoryStore()
    auth = two_people(middleware(store=store))
    mine = signed_in(auth)
    before = store.get("1")
    if field == "password":
        other = store.get("2").password_hash
        assert store.set_password_hash("1", other, expected=before.password_hash)
    else:
        assert store.set_email("1", "moved@example.com", expected=before.email)
    assert who(auth, mine) == ""
    assert rows(auth) == 0, "it was ended for good, so the earlier state brings nothing back"


ENDS = {
    "a new password": lambda auth, own, taken: auth.accounts.set_password("1", NEW_PASSWORD),
    "disabling": lambda auth, own, taken: auth.accounts.set_active("1", False),
    "the owner's other device": lambda auth, own, taken: ask(
        auth, "POST", "/-/auth/account/sessions/end", form={"all": "1"}, cookie=own
    ),
    "sign-out": lambda auth, own, taken: ask(auth, "POST", "/-/auth/logout", cookie=taken),
}
CHANGES = {
    "account/profile": {"notify_email": "thief@example.com"},
    "account/email": {"email": "thief@example.com", "password": PASSWORD},
    "account/security/codes": {},
    "account/security/passkeys": {},
}


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("end", ENDS)
def test_se20_a_request_in_flight_changes_nothing_after_its_session_has_ended(end, path, monkeypatch):
    auth = two_people(middleware())
    enrol_passkey(auth, auth.accounts.get("1"))
    services, own = auth._services, signed_in(auth)
    change_account_state(services, "1", two_step=time.time())
    value = admit(services, services.users.get("1"), client=Client(), means=("password", "passkey"))
    taken, form = f"nipo_auth={value}", CHANGES[path]
    if path.endswith("passkeys"):
        page = ask(auth, path=f"/-/auth/{path}", cookie=taken, HTTP_ACCEPT="application/json")
        form = {"credential": SoftPasskey().create(json.loads(page.body)["options"])}

    def meanwhile(*about, **limits):
        monkeypatch.undo()
        ENDS[end](auth, own, taken)
        mails(auth).clear()
        return True

    # Each of these requests asks for this after the look at its session.
    monkeypatch.setattr(services.quotas, "allow_about", meanwhile)
    assert ask(auth, "POST", f"/-/auth/{path}", form=form, cookie=taken).status == 401
    assert auth.accounts.get("1").notify_email is None
    assert (len(services.factors.of("1")), services.factors.codes_left("1"), mails(auth)) == (1, 0, [])


def test_se9_a_request_in_flight_cannot_revive_a_session(clock):
    reached, go_on = threading.Event(), threading.Event()

    def slow(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            reached.set()
            assert go_on.wait(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"user={environ.get('REMOTE_USER', '-')} ".encode()]

    auth = two_people(middleware(slow))
    mine = signed_in(auth)
    clock.shift(31 * DAY)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ask, auth, path="/slow", cookie=mine)
        assert reached.wait(5)
        assert ask(auth, "POST", "/-/auth/logout", cookie=mine).status == 303
        go_on.set()
        assert running.result().all("Set-Cookie") == []
    assert who(auth, mine) == ""
    assert rows(auth) == 0
