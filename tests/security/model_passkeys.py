"""The passkeys of the model: added, used at each door, copied by an attacker, and removed."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from hypothesis.stateful import rule

from nipo_auth_mw.testing import SoftPasskey
from tests.security.model import REQUIRED, Browser, Key, Session
from tests.security.model_entrance import BROWSERS, DOORS, JSON, MOSTLY, PEOPLE, Entrance
from tests.security.tools import HTTPS

SECURITY, SIGN_IN = "/-/auth/account/security", "/-/auth/login/passkey"
SECOND, CONFIRM = "/-/auth/login/second", "/-/auth/account/confirm"
PASSKEYS = st.sampled_from(["own", "own", "removed", "copied", "another's"])


class PasskeyHolders(Entrance):
    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, synced=st.booleans())
    def add_passkey(self, browser: int, door: int, who: str, synced: bool) -> None:
        device = self.browsers[browser]
        self.new_passkey(device, door, self.entered(device, door, who), SoftPasskey(HTTPS, synced=synced))

    def new_passkey(self, device: Browser, door: int, session: Session | None, soft: SoftPasskey) -> None:
        if session is None:
            return
        page = self.browse(device, door, "GET", f"{SECURITY}/passkeys", accept=JSON)
        if not self.may_open_security(session, page.status):
            return
        one = self.people[session.who]
        form = {"credential": soft.create(json.loads(page.body)["options"])}
        first = not one.has_app and not one.keys
        allowed = self.may_change(session.who, "second step", 20)
        made = self.browse(device, door, "POST", f"{SECURITY}/passkeys", form, accept=JSON)
        assert made.status == (200 if allowed else 429)
        if allowed:
            one.keys.append(Key(soft, json.loads(made.body)["factor"], self.now))
            assert self.send(device, door, f"{SECURITY}/passkeys", form) == 422, "a challenge is used once"
            if first:
                self.proves(session, "passkey", *session.means)
                self.keeps_what_stands(session)
                self.renewed(device, session)

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE)
    def remove_passkey(self, browser: int, door: int, who: str) -> None:
        """The oldest one, which others may have been added beside. Its authenticator keeps it."""
        device = self.browsers[browser]
        session = self.entered(device, door, who)
        if session is None:
            return
        who, one = session.who, self.people[session.who]
        known = (one.keys or one.gone)[:1]
        status = self.send(device, door, f"{SECURITY}/remove", {"factor": known[0].factor if known else "none"})
        if not self.may_open_security(session, status):
            return
        if not one.keys:
            assert status == 404
        elif len(one.keys) == 1 and not one.has_app and (one.two_step or one.role == REQUIRED):
            assert status == 409
        elif not self.may_change(who, "second step", 20):
            assert status == 429
        else:
            assert status == 303
            removed = one.keys.pop(0)
            one.gone.append(removed)
            self.keeps_what_stands(session, removed)
            self.renewed(device, session)
            self.try_as_thief(door, removed.soft)

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, proof=PASSKEYS, persistent=st.booleans())
    def sign_in_with_passkey(self, browser: int, door: int, who: str, proof: str, persistent: bool) -> None:
        """Then an attacker who has read the request sends it once more elsewhere, and uses an earlier copy."""
        device, thief = self.browsers[browser], Browser("203.0.113.7")
        found = None if proof == "another's" else self.passkey(self.people[who], proof)
        if found is None:
            return
        before, (soft, key) = device.pair, found
        form = {"credential": self.answer(thief, door, SIGN_IN, soft), "remember": "1" if persistent else ""}
        status = self.send(device, door, SIGN_IN, form)
        if key is None:
            assert status == 401
        else:
            self.used(device, who, key)
            assert status == (303 if self.people[who].active else 403)
        if status == 303:
            self.opened(device, before, who, persistent, "passkey")
        assert self.send(thief, 1 - door, SIGN_IN, form) == 401, "an answer is used once"
        copied = self.passkey(self.people[who], "copied")
        if copied is not None and copied[1] is None:
            self.try_as_thief(door, copied[0])

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, proof=PASSKEYS)
    def take_second_step_with_passkey(self, browser: int, door: int, who: str, proof: str) -> None:
        device = self.browsers[browser]
        if self.waits(device) is None:
            self.try_password(device, self.with_two_steps(device, who), door, True, True)
        self.try_passkey(device, door, proof)

    def prove_second(self, device: Browser, door: int, who: str) -> None:
        if self.people[who].keys and not self.people[who].has_app:
            self.try_passkey(device, door, "own")
        else:
            super().prove_second(device, door, who)

    def try_passkey(self, device: Browser, door: int, proof: str) -> None:
        waiting = self.waits(device)
        found = self.passkey(self.people[waiting.who], proof) if waiting else None
        if waiting is None or found is None:
            return
        before, (soft, key) = device.pair, found
        status = self.send(device, door, SECOND, {"credential": self.answer(device, door, SECOND, soft)})
        if key is None:
            assert status == 401
            assert device.pair == before
            return
        self.used(device, waiting.who, key)
        self.count(device, waiting.who).wrong = []
        assert status == (303 if self.people[waiting.who].active else 403)
        if status == 303:
            self.opened(device, before, waiting.who, waiting.persistent, "passkey")

    @rule(browser=BROWSERS, door=DOORS, who=PEOPLE, proof=PASSKEYS, right=MOSTLY)
    def confirm_with_passkey(self, browser: int, door: int, who: str, proof: str, right: bool) -> None:
        device = self.browsers[browser]
        session = self.entered(device, door, who)
        found = self.passkey(self.people[session.who], proof if right else "another's") if session else None
        if session is None or found is None:
            return
        one, (soft, key) = self.people[session.who], found
        status = self.send(device, door, CONFIRM, {"credential": self.answer(device, door, CONFIRM, soft)})
        if key is None or (one.unmet == "password" and not one.two_step):
            assert status == 403
            return
        assert status == 303
        self.used(device, session.who, key)
        session.confirmed = self.now
        self.proves(session, "passkey")

    def try_as_thief(self, door: int, soft: SoftPasskey) -> None:
        """A passkey that must not sign in."""
        thief = Browser("203.0.113.7")
        form = {"credential": self.answer(thief, door, SIGN_IN, soft)}
        assert self.send(thief, 1 - door, SIGN_IN, form) == 401
        assert thief.pair == ""

    def answer(self, device: Browser, door: int, path: str, soft: SoftPasskey) -> str:
        """What the authenticator answers to the page at this path, whichever passkeys that one asks for."""
        page = self.browse(device, door, "GET", path, accept=JSON)
        options = json.loads(page.body).get("options") if page.status == 200 else None
        return soft.get(options | {"allowCredentials": []}) if options else "{}"

    def used(self, device: Browser, who: str, key: Key) -> None:
        key.counter, key.used = key.soft.counter, self.now
        self.forgiven(device, who)

    def may_open_security(self, session: Session, status: int) -> bool:
        """Whether the session changes proofs; if not, the status must say so."""
        allowed = self.people[session.who].unmet != "password" and self.fresh(session)
        assert allowed or status == 403
        return allowed
