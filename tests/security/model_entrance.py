"""The house of the model: three people, three browsers and two middleware objects on one file. Who signs in here, how
time passes, and what must hold after each step. `model_house.py` adds what changes the accounts."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import time_machine
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.kit import WRONG
from tests.security.doors import Here, answer_of
from tests.security.model import DAY, HOUR, MINUTE, REQUIRED, Browser, Model, Person, Session, Waiting
from tests.security.tools import Answer

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PEOPLE = st.sampled_from("abc")
BROWSERS = st.sampled_from(range(3))
DOORS = st.sampled_from([0, 1])
MOSTLY = st.sampled_from([True, True, False])
PROOFS = st.sampled_from(["app", "app", "backup", "backup", "used", "spent", "earlier", "another's", "wrong"])
HTML, JSON = "text/html,*/*;q=0.8", "application/json"


@dataclass
class Prepared:
    """What a sequence begins with: the database, and what the model says of it."""

    database: bytes
    model: dict[str, Any]


class Entrance(Model, RuleBasedStateMachine):
    """Each rule does one thing for real and says in the model what it must have done."""

    doors_of: Any = (Here, Here)

    def __init__(self, prepared: Prepared | None = None) -> None:
        RuleBasedStateMachine.__init__(self)
        Model.__init__(self, START.timestamp())
        if prepared:
            vars(self).update(copy.deepcopy(prepared.model))
        self.travel = time_machine.travel(self.now, tick=False)
        self.clock = self.travel.start()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "auth.db")
        if prepared:
            self.file.write_bytes(prepared.database)
        self.doors = [door_of(f"sqlite:///{self.file}") for door_of in self.doors_of]
        if not prepared:
            for who, role in zip("abc", ("admin", "staff", REQUIRED), strict=True):
                email = f"person-{who}@example.com"
                self.people[who] = Person(self.do(0, "create", email, role), email, role)
        self.browsers = [Browser(f"192.0.2.{number}") for number in range(3)]
        self.given: dict[str, None] = {}
        self.made = 0

    def teardown(self) -> None:
        self.stop()

    def stop(self) -> Prepared:
        for door in (0, 1):
            self.do(door, "close")
        self.travel.stop()
        reached = Prepared(self.file.read_bytes(), {name: vars(self)[name] for name in vars(Model(0))})
        self.folder.cleanup()
        return reached

    # The means

    def do(self, door: int, name: str, *arguments: Any, **named: Any) -> Any:
        return self.doors[door].call(self.now, name, *arguments, **named)

    def ask(
        self, door: int, method: str, path: str, form: Any = None, cookie: str = "", address: str = "", accept: str = ""
    ) -> Answer:
        result = self.do(door, "ask", method, path, form, cookie, address or "192.0.2.99", accept or HTML)
        answer = answer_of(result)
        assert answer.status < 500
        return answer

    def browse(self, browser: Browser, door: int, method: str, path: str, form: Any = None, accept: str = "") -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
        answer = self.ask(door, method, path, form, cookie, browser.address, accept)
        for line in answer.all("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            browser.jar.pop(name, None)
            if value and "max-age=0" not in line.lower():
                browser.jar[name] = value
        return answer

    def send(self, browser: Browser, door: int, path: str, form: dict[str, str]) -> int:
        return self.browse(browser, door, "POST", path, form).status

    def link(self, door: int, to: str, kind: str) -> str:
        found = [path for addressee, path in self.mails[door] if addressee == to and f"/-/auth/{kind}/" in path]
        return found[-1] if found else ""

    def read_mails(self, door: int) -> None:
        self.mails = {door: self.do(door, "links")}

    def new_password(self) -> str:
        self.made += 1
        return f"{self.made}-midori-no-oka-to-kaze"

    # Sign-in

    @rule(browser=BROWSERS, who=PEOPLE, door=DOORS, persistent=st.booleans(), right=MOSTLY)
    def sign_in(self, browser: int, who: str, door: int, persistent: bool, right: bool) -> None:
        self.try_password(self.browsers[browser], who, door, persistent, right)

    @rule(browser=BROWSERS, who=PEOPLE, door=DOORS, times=st.integers(4, 6))
    def guess(self, browser: int, who: str, door: int, times: int) -> None:
        for _ in range(times):
            self.try_password(self.browsers[browser], who, door, True, False)

    def try_password(self, device: Browser, who: str, door: int, persistent: bool, right: bool) -> None:
        one, before = self.people[who], device.pair
        expected = self.checked(device, who, right, clears=not one.two_step)
        password = one.password if right else WRONG
        fields = {"email": one.email, "password": password, "remember": "1" if persistent else ""}
        status = self.send(device, door, "/-/auth/login", fields)
        if expected == "right" and one.two_step:
            assert status == 303
            assert device.pair == before, "the first step opens nothing"
            device.waiting[device.pending] = Waiting(who, one.state, self.now, persistent)
        elif expected == "right" and one.active:
            assert status == 303
            self.opened(device, before, who, persistent)
        else:
            assert status == {"locked": 429, "wrong": 401, "right": 403}[expected]

    @rule(browser=BROWSERS, who=PEOPLE, door=DOORS, proof=PROOFS, again=st.booleans())
    def take_second_step(self, browser: int, who: str, door: int, proof: str, again: bool) -> None:
        """Take it. Then an attacker who knows the password and has seen the code sends it once more elsewhere."""
        device, thief = self.browsers[browser], Browser("203.0.113.7")
        who = self.with_two_steps(device, who)
        if self.waits(device) is None:
            self.try_password(device, who, door, True, True)
        self.try_code(device, door, proof)
        if again:
            self.try_password(thief, who, 1 - door, True, True)
            self.try_code(thief, 1 - door, "spent" if proof == "backup" else "used")

    @rule(browser=BROWSERS, who=PEOPLE, door=DOORS, times=st.sampled_from([4, 6]), anew=st.booleans())
    def guess_codes(self, browser: int, who: str, door: int, times: int, anew: bool) -> None:
        """With one right password for all guesses, or with one for each."""
        device = self.browsers[browser]
        who = self.with_two_steps(device, who)
        for number in range(times):
            if anew or self.waits(device) is None:
                self.try_password(device, who, door, True, True)
            self.try_code(device, door, ("wrong", "form")[number % 2])

    def with_two_steps(self, device: Browser, who: str) -> str:
        """Whose second step this browser tries: the account that waits, else one with two steps, or `who`."""
        if waiting := self.waits(device):
            return waiting.who
        return next((one for one in [who, *self.people] if self.people[one].two_step), who)

    def waits(self, device: Browser) -> Waiting | None:
        """The sign-in of this browser that a right code completes."""
        found = device.waiting.get(device.pending)
        if found is None or self.now - found.at >= 10 * MINUTE:
            return None
        return found if self.people[found.who].state == found.state else None

    def try_code(self, device: Browser, door: int, proof: str) -> None:
        waiting = self.waits(device)
        if waiting is None:
            assert self.send(device, door, "/-/auth/login/second", {"code": "123456"}) == 410
            return
        one, before = self.people[waiting.who], device.pair
        text, right = self.code(one, proof)
        expected = self.proved(device, waiting.who, text, right)
        status = self.send(device, door, "/-/auth/login/second", {"code": text})
        if expected == "right" and one.active:
            assert status == 303
            self.opened(device, before, waiting.who, waiting.persistent, "code" if "-" in text else "app")
        else:
            assert status == {"locked": 429, "wrong": 401, "right": 403}[expected]
            assert device.pair == before

    @rule(browser=BROWSERS, door=DOORS)
    def sign_out(self, browser: int, door: int) -> None:
        pair = self.browsers[browser].pair
        assert self.send(self.browsers[browser], door, "/-/auth/logout", {}) == 303
        self.sessions.pop(pair, None)

    def entered(self, device: Browser, door: int, who: str) -> Session | None:
        """The session of this browser; it signs in when there is none."""
        if self.live(device.pair) is None:
            self.try_password(device, who, door, True, True)
            if self.waits(device):
                self.prove_second(device, door, who)
        return self.live(device.pair)

    def prove_second(self, device: Browser, door: int, who: str) -> None:
        """As the owner does it, with what is at hand."""
        self.try_code(device, door, self.at_hand(who))

    def at_hand(self, who: str) -> str:
        """What the owner takes for the second step, with a code of the app that is not used up."""
        one = self.people[who]
        if one.has_app and one.has_phone and not self.code(one, "app")[1]:
            self.pass_time(MINUTE)
        return "app" if one.has_phone else "backup"

    @rule(seconds=st.sampled_from([MINUTE, 4 * MINUTE, 6 * MINUTE, 16 * MINUTE, 13 * HOUR, 3 * DAY, 8 * DAY, 91 * DAY]))
    def pass_time(self, seconds: int) -> None:
        self.clock.shift(seconds)
        self.now += seconds

    # What must hold after each step

    @invariant()
    def every_cookie_ever_given_is_whose_the_model_says(self) -> None:
        """The latest dozen of them, copies of ended sessions too, at both doors."""
        self.given.update(dict.fromkeys([*self.sessions, *(browser.pair for browser in self.browsers)]))
        self.given.pop("", None)
        for pair in list(self.given)[-12:]:
            session = self.live(pair)
            one = self.people[session.who] if session else None
            admitted = one is not None and not one.unmet
            for door in (0, 1):
                answer = self.ask(door, "GET", "/page", cookie=pair)
                got = answer.text.split()[0].removeprefix("user=") if answer.status == 200 else ""
                assert got == (one.id if one and admitted else "")
                assert self.ask(door, "GET", "/open", cookie=pair).text.split()[0] == f"user={got or '-'}"
            if session is not None and one is not None:
                steps = session.second or session.short or not one.two_step
                assert steps, "no session has fewer steps than its account, unless its proof is gone"
                self.touch(session)
                staff = self.ask(0, "GET", "/-/auth/staff", cookie=pair).status
                assert (staff == 200) == (admitted and one.role == "admin")

    @invariant()
    def a_visitor_sees_what_is_public_and_nothing_beside_it(self) -> None:
        for path, status in {"/open": 200, "/open/a": 200, "/opened": 303, "/open-plan/a": 303, "/": 303}.items():
            assert self.ask(0, "GET", path).status == status
