"""What people, administrators and scripts change for real; `model.py` says what each of it must have done."""

from __future__ import annotations

import base64
import functools
import json

from hypothesis import strategies as st
from hypothesis.stateful import rule

from nipo_auth_mw._credentials import totp
from nipo_auth_mw.testing import SoftPasskey
from tests.kit import WRONG
from tests.security.doors import Here, There
from tests.security.model import DAY, HOUR, MINUTE, REQUIRED, Browser, Person, Session
from tests.security.model_entrance import BROWSERS, DOORS, JSON, MOSTLY, PEOPLE, PROOFS, Prepared
from tests.security.model_passkeys import SECURITY, PasskeyHolders
from tests.security.tools import HTTPS


@functools.cache
def prepared() -> Prepared:
    """What every sequence begins with: two of the three people have two steps and a passkey, and one of them backup
    codes."""
    house = House(new=True)
    for who in "bc":
        phone = Browser(f"198.51.100.{ord(who)}")
        house.enrol(phone, 0, house.entered(phone, 0, who))
        house.new_passkey(phone, 0, house.entered(phone, 0, who), SoftPasskey(HTTPS, synced=who == "c"))
    house.new_codes(phone, 0, house.entered(phone, 0, who))
    return house.stop()


class House(PasskeyHolders):
    def __init__(self, *, new: bool = False) -> None:
        super().__init__(None if new else prepared())

    # What a person does with a session

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, right=MOSTLY, proof=PROOFS)
    def prove_once_more(self, browser: int, door: int, who: str, right: bool, proof: str) -> None:
        device = self.browsers[browser]
        session = self.entered(device, door, who)
        if session is None:
            return
        who, one = session.who, self.people[session.who]
        text, right_code = self.code(one, proof)
        given = {"password": one.password if right else WRONG, "code": text}
        status = self.send(device, door, "/-/auth/account/confirm", given)
        if one.unmet == "password" and not one.two_step:
            assert status == 403
            return
        expected = self.checked(device, who, right, clears=not one.two_step)
        if expected == "right" and one.two_step:
            expected = self.proved(device, who, text, right_code)
        assert status == {"locked": 429, "wrong": 403, "right": 303}[expected]
        if expected == "right":
            session.confirmed = self.now
            if one.two_step:
                self.proves(session, "code" if "-" in text else "app")

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, right=MOSTLY)
    def change_own_password(self, browser: int, door: int, who: str, right: bool) -> None:
        device = self.browsers[browser]
        session = self.entered(device, door, who)
        if session is None:
            return
        who, one, new = session.who, self.people[session.who], self.new_password()
        given = {"current_password": one.password if right else WRONG, "password": new}
        deadline, stale = one.password_change_deadline, not self.fresh(session)
        if one.unmet == "second" or (one.two_step and stale):
            assert self.send(device, door, "/-/auth/account/password", given) == 403
            return
        # Who has just signed in with a temporary password, or with a passkey in its place, is not asked for it.
        just = deadline is not None and (self.now < deadline or "passkey" in session.means) and not stale
        expected = "right" if just else self.checked(device, who, right)
        allowed = expected != "right" or deadline is not None or self.may_change(who, "password", 4)
        status = self.send(device, door, "/-/auth/account/password", given)
        assert status == ({"locked": 429, "wrong": 403, "right": 303}[expected] if allowed else 429)
        if expected == "right" and allowed:
            one.password, one.password_change_deadline, session.confirmed = new, None, self.now
            self.renewed(device, session)

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, end=st.sampled_from(["confirm", "cancel", "undo", "void"]))
    def change_address(self, browser: int, door: int, who: str, end: str) -> None:
        device = self.browsers[browser]
        session = self.entered(device, door, who)
        if session is None:
            return
        one = self.people[session.who]
        self.made += 1
        old, new = one.email, f"moved{self.made}@example.com"
        given = {"email": new, "password": one.password}
        if one.unmet or (one.two_step and not self.fresh(session)):
            assert self.send(device, door, "/-/auth/account/email", given) == 403
            return
        self.read_mails(door)
        expected = self.checked(device, session.who, True)
        status = self.send(device, door, "/-/auth/account/email", given)
        if expected == "locked" or status == 429:
            assert status == 429
            return
        assert status == 303
        self.read_mails(door)
        confirm, cancel = self.link(door, new, "email/confirm"), self.link(door, old, "email/cancel")
        stranger = Browser("198.51.100.2")
        if end in {"confirm", "undo"}:
            assert self.send(stranger, 1 - door, confirm, {}) == 303
            one.email = new
            self.changed(session.who)
        if end in {"cancel", "undo"}:
            assert self.send(stranger, door, cancel, {}) == 303
            one.email = old
            self.changed(session.who)
            assert self.send(stranger, door, confirm, {}) == 410
        if end == "void":
            self.set_password(session.who, 1 - door, False)
            assert [self.send(stranger, door, path, {}) for path in (confirm, cancel)] == [410, 410]

    @rule(who=PEOPLE, door=DOORS, use_at=st.sampled_from([0, 59 * MINUTE, 61 * MINUTE]), change=st.booleans())
    def forget(self, who: str, door: int, use_at: int, change: bool) -> None:
        """Ask for a link, wait, perhaps have the account changed meanwhile, use it twice, sign in."""
        one, stranger = self.people[who], Browser("198.51.100.1")
        self.read_mails(door)
        assert self.send(stranger, door, "/-/auth/forgot", {"email": one.email}) == 200
        self.read_mails(door)
        path = self.link(door, one.email, "reset")
        if not path:
            return
        assert one.active
        self.pass_time(use_at)
        if change:
            self.set_password(who, 1 - door, False)
        new = self.new_password()
        answers = [self.send(stranger, at, path, {"password": new}) for at in (door, 1 - door)]
        if change or use_at > HOUR:
            assert answers == [410, 410]
            return
        assert answers == [303, 410]
        self.lifted(who)
        self.password_is(who, new)
        if not one.two_step:
            stranger.known[who] = one.state
        self.try_password(stranger, who, door, True, True)

    # The second step of an account

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE)
    def enrol_app(self, browser: int, door: int, who: str) -> None:
        """Set up an app, or a new one in place of one that may be lost."""
        device = self.browsers[browser]
        self.enrol(device, door, self.entered(device, door, who))

    def enrol(self, device: Browser, door: int, session: Session | None) -> None:
        if session is None:
            return
        shown = self.browse(device, door, "GET", f"{SECURITY}/app?replace=1", accept=JSON)
        if not self.may_open_security(session, shown.status):
            return
        one, setup = self.people[session.who], json.loads(shown.body)
        app, step = base64.b32decode(setup["key"].replace(" ", "")), totp.step_at(self.now)
        given = {"setup": setup["setup"], "code": totp.code_at(app, step), "replace": "1"}
        allowed = self.may_change(session.who, "second step", 20)
        assert self.send(device, door, f"{SECURITY}/app", given) == (303 if allowed else 429)
        if allowed:
            one.apps.append(app)
            one.two_step, one.has_app, one.used_step, one.has_phone = True, True, step, True
            self.proves(session, "app", *session.means)
            self.keeps_what_stands(session)
            self.renewed(device, session)
            assert self.send(device, door, f"{SECURITY}/app", given) in {409, 422}, "a set-up is confirmed once"

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE)
    def make_codes(self, browser: int, door: int, who: str) -> None:
        device = self.browsers[browser]
        self.new_codes(device, door, self.entered(device, door, who))

    def new_codes(self, device: Browser, door: int, session: Session | None) -> None:
        if session is None:
            return
        made = self.browse(device, door, "POST", f"{SECURITY}/codes", {}, accept=JSON)
        if not self.may_open_security(session, made.status):
            return
        one = self.people[session.who]
        if not one.two_step:
            assert made.status == 409
        elif not self.may_change(session.who, "second step", 20):
            assert made.status == 429
        else:
            one.spent, one.codes = one.spent + one.codes, json.loads(made.body)["codes"]
            assert len(one.codes) == 10

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, whole=st.booleans())
    def remove_app(self, browser: int, door: int, who: str, whole: bool) -> None:
        """By its button, which the last proof refuses, or with two steps as a whole."""
        device = self.browsers[browser]
        session = self.entered(device, door, who)
        if session is None:
            return
        who, one = session.who, self.people[session.who]
        form = {"on": "0"} if whole else {"factor": f"app:{one.id}"}
        status = self.send(device, door, f"{SECURITY}/{'two-step' if whole else 'remove'}", form)
        if not self.may_open_security(session, status):
            return
        expected = 303
        if whole and one.role == REQUIRED:
            expected = 403
        elif not whole and (not one.has_app or not one.keys):
            expected = 409 if one.has_app else 404
        changes = expected == 303 and one.two_step
        if changes and not self.may_change(who, "second step", 20):
            changes, expected = False, 429
        assert status == expected
        if changes and whole:
            self.without_second_step(who)
        elif changes:
            one.has_app = False
        if changes:
            self.keeps_what_stands(session)
            self.renewed(device, session)

    @rule(who=PEOPLE)
    def lose_phone(self, who: str) -> None:
        """The owner has backup codes at most. The app itself works for its finder until another one replaces it."""
        self.people[who].has_phone = False

    # What an administrator does in a browser

    @rule(
        browser=BROWSERS,
        door=DOORS,
        who=PEOPLE,
        what=st.sampled_from(["active", "password", "role", "unlock", "security"]),
    )
    def administer(self, browser: int, door: int, who: str, what: str) -> None:
        device, one = self.browsers[browser], self.people[who]
        session, new = self.live(device.pair), self.new_password()
        form = {"active": "0" if one.active else "1", "password": new, "role": one.next_role}
        sent = {what: form[what]} if what in form else {"reset": "1"}
        status = self.send(device, door, f"/-/auth/staff/{one.id}/{what}", sent)
        if session is None:
            assert status == 401
            return
        self.touch(session)
        actor = self.people[session.who]
        stale = what in {"password", "role", "security"} and not self.fresh(session)
        own = session.who == who
        if actor.unmet or actor.role != "admin" or stale or own:
            assert status == 403
            return
        if (what == "security" and not self.may_change(who, "reset", 10)) or (
            what == "unlock" and not self.may_change(who, "unlock", 10)
        ):
            assert status == 429
            return
        assert status == (200 if what == "password" else 303), "a password set by an administrator is shown once"
        if what == "unlock":
            self.unlocked(who)
        elif what == "role":
            one.role = one.next_role
        elif what == "active":
            one.active = not one.active
            self.changed(who)
        elif what == "security":
            self.was_reset(who)
        else:
            self.lifted(who)
            self.password_is(who, new)

    def was_reset(self, who: str) -> None:
        one = self.people[who]
        if one.two_step or one.keys:
            self.without_second_step(who)
            one.gone, one.keys = one.gone + one.keys, []
            self.lifted(who, "second")
            self.changed(who)

    # What a script does

    @rule(who=PEOPLE, door=DOORS)
    def reset_second_step(self, who: str, door: int) -> None:
        self.do(door, "reset_factors", self.people[who].id)
        self.was_reset(who)

    @rule(who=PEOPLE, door=DOORS)
    def switch(self, who: str, door: int) -> None:
        one = self.people[who]
        self.do(door, "act", "set_active", one.id, not one.active)
        one.active = not one.active
        self.changed(who)

    @rule(who=PEOPLE, door=DOORS, must_change=st.booleans())
    def set_password(self, who: str, door: int, must_change: bool) -> None:
        one, new = self.people[who], self.new_password()
        self.do(door, "act", "set_password", one.id, new, must_change=must_change)
        self.lifted(who)
        self.password_is(who, new, self.now + 7 * DAY if must_change else None)

    @rule(who=PEOPLE, door=DOORS)
    def change_role(self, who: str, door: int) -> None:
        one = self.people[who]
        one.role = one.next_role
        self.do(door, "act", "set_role", one.id, one.role)

    @rule(who=PEOPLE, door=DOORS)
    def hire_anew(self, who: str, door: int) -> None:
        """Delete the account and give its address to another one: nothing of the first opens the second."""
        one = self.people[who]
        self.do(door, "act", "delete", one.id)
        self.changed(who)
        self.people[who] = Person(
            self.do(1 - door, "create", one.email, "staff"),
            one.email,
            "staff",
            state=one.state,
            apps=one.apps,
            spent=one.spent + one.codes,
            gone=one.gone + one.keys,
        )


class HouseOfTwoProcesses(House):
    doors_of = (Here, There)
