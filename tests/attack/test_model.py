"""Who is signed in where, against a small model: sequences over three browsers, two middleware objects, one file."""

from __future__ import annotations

import random
import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.errors import LastAdmin
from nipo_auth_mw.parts.lockout import Lockout
from nipo_auth_mw.parts.stamps import Stamps
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, link_in
from nipo_auth_mw.web.guard import Guard
from tests.attack.tools import HTTPS, ask
from tests.kit import PASSWORD, WRONG, middleware, person

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400
PEOPLE = st.sampled_from("123")
BROWSERS = st.sampled_from(range(3))
DOORS = st.sampled_from([0, 1])


@dataclass
class Person:
    email: str
    role: str
    password: str = PASSWORD
    active: bool = True
    must_change: bool = False
    state: int = 0  # raised by each change that ends sessions, links and known devices


@dataclass
class Session:
    user_id: str
    kept: bool
    created: float
    seen: float


@dataclass
class Count:
    wrong: list[float] = field(default_factory=list)
    locked_until: float = 0.0


@dataclass
class Browser:
    address: str
    jar: dict[str, str] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)


class House(RuleBasedStateMachine):
    """Each rule does one thing for real and says in the model what it must have done."""

    def __init__(self) -> None:
        super().__init__()
        self.travel = time_machine.travel(START, tick=False)
        self.clock = self.travel.start()
        self.now = START.timestamp()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name, 'auth.db')}"
        self.stores = [SQLStore(url), SQLStore(url)]
        self.stores[0].create_schema()
        self.mailer = MemoryMailer()
        self.doors = [
            middleware(
                store=store,
                mailer=self.mailer,
                base_url=HTTPS,
                hasher=fast_hasher(),
                public=["/open"],
                lockout=LockoutPolicy(address_failures=1_000_000),
            )
            for store in self.stores
        ]
        roles = {"1": "admin", "2": "member", "3": "member"}
        self.people = {id: Person(f"person{id}@example.com", role) for id, role in roles.items()}
        for one in self.people.values():
            person(self.doors[0], one.email, role=one.role)
        self.browsers = [Browser(f"192.0.2.{number}") for number in range(3)]
        self.sessions: dict[str, Session] = {}
        self.counts: dict[object, Count] = {}
        self.made = 0

    def teardown(self) -> None:
        for door, store in zip(self.doors, self.stores, strict=True):
            door._services.worker.flush(5)
            store.close()
        self.travel.stop()
        self.folder.cleanup()

    # The model

    def live(self, pair: str) -> Session | None:
        session = self.sessions.get(pair)
        if session is None:
            return None
        idle = 90 * DAY if session.kept else 12 * HOUR
        if self.now >= session.seen + idle or self.now >= session.created + 400 * DAY:
            del self.sessions[pair]
            return None
        return session

    def end_all(self, user_id: str, but: str = "") -> None:
        self.sessions = {p: s for p, s in self.sessions.items() if s.user_id != user_id or p == but}

    def changed(self, user_id: str, but: str = "") -> None:
        self.people[user_id].state += 1
        self.end_all(user_id, but)

    def count(self, browser: Browser, user_id: str) -> Count:
        known = browser.known.get(user_id) == self.people[user_id].state
        key = (id(browser), user_id) if known else self.people[user_id].email
        count = self.counts.setdefault(key, Count())
        count.wrong = [at for at in count.wrong if at + 15 * MINUTE > self.now]
        return count

    # The means

    def send(self, browser: Browser, door: int, method: str, path: str, form: dict[str, str] | None = None) -> int:
        cookie = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
        answer = ask(self.doors[door], method, path, form=form, cookie=cookie, REMOTE_ADDR=browser.address)
        assert answer.status < 500
        for line in answer.all("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            browser.jar.pop(name, None)
            if value and "max-age=0" not in line.lower():
                browser.jar[name] = value
        return answer.status

    def pair(self, browser: Browser) -> str:
        """The session cookie this browser holds."""
        found = [
            f"{n}={v}" for n, v in browser.jar.items() if "nipo_auth" in n and "device" not in n and "lang" not in n
        ]
        return found[0] if found else ""

    def link(self, to: str, kind: str) -> str:
        found = [mail for mail in self.mailer.outbox if mail.to == to and f"/auth/{kind}/" in mail.text]
        return re.sub(r"^https?://[^/]+", "", link_in(found[-1])) if found else ""

    def new_password(self) -> str:
        self.made += 1
        return f"{self.made}-midori-no-oka-to-kaze"

    # What people do

    @rule(browser=BROWSERS, user_id=PEOPLE, door=DOORS, kept=st.booleans(), right=st.sampled_from([True, True, False]))
    def sign_in(self, browser: int, user_id: str, door: int, kept: bool, right: bool) -> None:
        self.try_password(self.browsers[browser], user_id, door, kept, right)

    @rule(browser=BROWSERS, user_id=PEOPLE, door=DOORS, times=st.integers(4, 6))
    def guess(self, browser: int, user_id: str, door: int, times: int) -> None:
        for _ in range(times):
            self.try_password(self.browsers[browser], user_id, door, True, False)

    def try_password(self, browser: Browser, user_id: str, door: int, kept: bool, right: bool) -> None:
        one, count, before = self.people[user_id], self.count(browser, user_id), self.pair(browser)
        fields = {"email": one.email, "password": one.password if right else WRONG, "remember": "1" if kept else ""}
        status = self.send(browser, door, "POST", "/auth/login", fields)
        if self.now < count.locked_until:
            assert status == 429
        elif not right:
            assert status == 401
            count.wrong.append(self.now)
            if len(count.wrong) == 5:
                count.locked_until, count.wrong = self.now + 5 * MINUTE, []
        elif not one.active:
            assert status == 403
            count.wrong = []
        else:
            assert status == 303
            count.wrong = []
            self.sessions.pop(before, None)
            self.sessions[self.pair(browser)] = Session(user_id, kept, self.now, self.now)
            if kept:
                browser.known[user_id] = one.state

    @rule(browser=BROWSERS, door=DOORS)
    def sign_out(self, browser: int, door: int) -> None:
        pair = self.pair(self.browsers[browser])
        assert self.send(self.browsers[browser], door, "POST", "/auth/logout", {}) == 303
        self.sessions.pop(pair, None)

    def entered(self, device: Browser, door: int, user_id: str) -> Session | None:
        """The session of this browser; it signs in when there is none."""
        if self.live(self.pair(device)) is None:
            self.try_password(device, user_id, door, True, True)
        return self.live(self.pair(device))

    @rule(browser=BROWSERS, door=DOORS, user_id=PEOPLE)
    def change_own_password(self, browser: int, door: int, user_id: str) -> None:
        device = self.browsers[browser]
        session = self.entered(device, door, user_id)
        if session is None or self.now < self.count(device, session.user_id).locked_until:
            return
        one, new, count = self.people[session.user_id], self.new_password(), self.count(device, session.user_id)
        fields = {"current_password": one.password, "password": new}
        assert self.send(device, door, "POST", "/auth/account/password", fields) == 303
        count.wrong = []
        was_known = device.known.get(session.user_id) == one.state
        one.password, one.must_change = new, False
        self.changed(session.user_id)
        self.sessions[self.pair(device)] = Session(session.user_id, session.kept, self.now, self.now)
        if session.kept or was_known:
            device.known[session.user_id] = one.state

    @rule(user_id=PEOPLE, door=DOORS, use_at=st.sampled_from([0, 59 * MINUTE, 61 * MINUTE]), change=st.booleans())
    def forget(self, user_id: str, door: int, use_at: int, change: bool) -> None:
        """Ask for a link, wait, perhaps have the account changed meanwhile, use it twice."""
        one, stranger = self.people[user_id], Browser("198.51.100.1")
        self.mailer.outbox.clear()
        assert self.send(stranger, door, "POST", "/auth/forgot", {"email": one.email}) in {200, 303}
        self.doors[door].flush_mail()
        path = self.link(one.email, "reset")
        if not path:
            return
        assert one.active
        self.pass_time(use_at)
        if change:
            self.set_password(user_id, 1 - door)
        new = self.new_password()
        answers = [self.send(stranger, at, "POST", path, {"password": new}) for at in (door, 1 - door)]
        if change or use_at > HOUR:
            assert not {200, 303} & set(answers)
            return
        assert answers[0] == 303
        assert answers[1] != 303
        one.password, one.must_change = new, False
        self.counts.pop(one.email, None)
        self.changed(user_id)

    @rule(browser=BROWSERS, door=DOORS, user_id=PEOPLE, end=st.sampled_from(["confirm", "cancel", "undo"]))
    def change_address(self, browser: int, door: int, user_id: str, end: str) -> None:
        device = self.browsers[browser]
        session = self.entered(device, door, user_id)
        if session is None or self.now < self.count(device, session.user_id).locked_until:
            return
        one, count = self.people[session.user_id], self.count(device, session.user_id)
        if one.must_change:
            return
        self.made += 1
        old, new = one.email, f"moved{self.made}@example.com"
        self.mailer.outbox.clear()
        if self.send(device, door, "POST", "/auth/account/email", {"email": new, "password": one.password}) != 303:
            return
        count.wrong = []
        self.doors[door].flush_mail()
        confirm, cancel = self.link(new, "email/confirm"), self.link(old, "email/cancel")
        stranger = Browser("198.51.100.2")
        if end != "cancel":
            assert self.send(stranger, 1 - door, "POST", confirm, {}) == 303
            one.email = new
            self.changed(session.user_id)
        if end != "confirm":
            assert self.send(stranger, door, "POST", cancel, {}) in {200, 303}
            one.email = old
            self.changed(session.user_id)
            assert self.send(stranger, door, "POST", confirm, {}) not in {200, 303}

    # What an administrator or a script does

    @rule(user_id=PEOPLE, door=DOORS)
    def switch(self, user_id: str, door: int) -> None:
        one = self.people[user_id]
        try:
            self.doors[door].accounts.set_active(user_id, not one.active)
        except LastAdmin:
            assert one.role == "admin"
            return
        one.active = not one.active
        self.changed(user_id)

    @rule(user_id=PEOPLE, door=DOORS)
    def set_password(self, user_id: str, door: int) -> None:
        one = self.people[user_id]
        one.password, one.must_change = self.new_password(), False
        self.doors[door].accounts.set_password(user_id, one.password)
        self.counts.pop(one.email, None)
        self.changed(user_id)

    @rule(user_id=PEOPLE, door=DOORS)
    def change_role(self, user_id: str, door: int) -> None:
        one = self.people[user_id]
        role = "member" if one.role == "admin" else "admin"
        try:
            self.doors[door].accounts.set_role(user_id, role)
        except LastAdmin:
            return
        one.role = role

    @rule(seconds=st.sampled_from([MINUTE, 4 * MINUTE, 6 * MINUTE, 16 * MINUTE, 13 * HOUR, 3 * DAY, 91 * DAY]))
    def pass_time(self, seconds: int) -> None:
        self.clock.shift(seconds)
        self.now += seconds

    # What must hold after each step

    @invariant()
    def every_cookie_ever_given_is_whose_the_model_says(self) -> None:
        held = {self.pair(browser) for browser in self.browsers} - {""}
        for pair in sorted(held | set(self.sessions) | set(self.given())):
            session = self.live(pair)
            for door in self.doors:
                answer = ask(door, path="/page", cookie=pair)
                got = answer.text.split()[0].removeprefix("user=") if answer.status == 200 else ""
                assert got == (session.user_id if session else "")
                door._services.worker.flush(5)
            if session is None:
                continue
            if self.now - session.seen >= 5 * MINUTE:
                session.seen = self.now
            staff = ask(self.doors[0], path="/auth/staff", cookie=pair).status
            assert (staff == 200) == (self.people[session.user_id].role == "admin")

    def given(self) -> list[str]:
        """Cookies seen so far, the copied ones of ended sessions too: the latest dozen."""
        self.seen_pairs = getattr(self, "seen_pairs", {})
        self.seen_pairs.update(dict.fromkeys([*self.sessions, *(self.pair(browser) for browser in self.browsers)]))
        self.seen_pairs.pop("", None)
        return list(self.seen_pairs)[-12:]

    @invariant()
    def a_visitor_sees_what_is_public_and_nothing_beside_it(self) -> None:
        for path, status in {"/open": 200, "/open/a": 200, "/opened": 303, "/open-plan/a": 303, "/": 303}.items():
            assert ask(self.doors[0], path=path).status == status


def play(examples: int, steps: int = 30, **more: object) -> None:
    run_state_machine_as_test(
        House,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            **more,
        ),
    )


def test_thirty_sequences_find_nobody_where_the_model_has_nobody():
    play(30, 20)


@pytest.mark.long
def test_five_hundred_sequences_find_nobody_where_the_model_has_nobody():
    play(500)


def no_revocation(monkeypatch):
    monkeypatch.setattr(Stamps, "fits", lambda *a: True)
    monkeypatch.setattr("nipo_auth_mw.parts.sessions.Sessions.end_all", lambda *a, **k: None)


def cleared_before_verifying(monkeypatch):
    take = Lockout.take

    def careless(self, subject, deadline):
        place = take(self, subject, deadline)
        self.clear(subject)
        return place

    monkeypatch.setattr(Lockout, "take", careless)


def prefixes_of_letters(monkeypatch):
    monkeypatch.setattr(Guard, "needs_session", lambda self, path: not path.startswith("/open"))


@pytest.mark.parametrize("bug", [no_revocation, cleared_before_verifying, prefixes_of_letters])
def test_a_bug_put_in_on_purpose_is_found(monkeypatch, bug):
    bug(monkeypatch)
    random.seed(1)
    with pytest.raises(AssertionError):
        play(60, derandomize=True, phases=[Phase.generate])
