"""The small model of who is signed in where: what must be true, told without the product.

`model_house.py` does for real what people do, and says here what it must have done.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from nipo_auth_mw._credentials import totp
from nipo_auth_mw.testing import SoftPasskey
from tests.kit import PASSWORD

MINUTE, HOUR, DAY = 60, 3600, 86400
FRESH = 15 * MINUTE
ROLES = ("staff", "admin", "manager")
REQUIRED = "manager"
"""The role that requires two steps."""
WRONG_CODES = ("000000", "111111", "222222", "333333", "444444", "555555")
NO_BACKUP_CODE = "xxxx-xxxx-xxxxx"


@dataclass
class Key:
    """A passkey of an account: the authenticator that has it, and what the account stores of it."""

    soft: SoftPasskey
    factor: str
    used: float  # added, or used last
    counter: int = 0

    def __deepcopy__(self, memo: object) -> Key:
        """With the same private key, which has no copy."""
        return replace(self, soft=copy.copy(self.soft))


@dataclass
class Person:
    id: str
    email: str
    role: str
    password: str = PASSWORD
    active: bool = True
    password_change_deadline: float | None = None  # a temporary password stops working then
    state: int = 0  # raised by each change that ends sessions, links and known devices
    unlocks: int = 0  # raised by what lifts all locks, which known devices' counts are bound to
    two_step: bool = False
    has_app: bool = False
    apps: list[bytes] = field(default_factory=list)  # the last one counts while the account has an app
    used_step: int = 0  # of the app's code that was accepted last
    has_phone: bool = True
    codes: list[str] = field(default_factory=list)
    spent: list[str] = field(default_factory=list)  # used ones, and those of an earlier set
    keys: list[Key] = field(default_factory=list)
    gone: list[Key] = field(default_factory=list)  # removed ones

    @property
    def unmet(self) -> str:
        """The requirement that keeps the person from everything else: `password`, `second` or ""."""
        if self.password_change_deadline is not None:
            return "password"
        return "second" if self.role == REQUIRED and not self.two_step else ""

    @property
    def next_role(self) -> str:
        return ROLES[(ROLES.index(self.role) + 1) % len(ROLES)]


@dataclass
class Session:
    who: str
    persistent: bool
    created: float
    seen: float
    confirmed: float
    second: float = 0.0  # when the second step was proved
    means: set[str] = field(default_factory=set)  # what proved it
    short: bool = False  # whether the proof of the second step is gone since


@dataclass
class Waiting:
    """A sign-in whose password was right, and whose second step is due."""

    who: str
    state: int
    at: float
    persistent: bool


@dataclass
class Count:
    wrong: list[float] = field(default_factory=list)
    locked_until: float = 0.0
    locks: int = 0  # in a row, of the second step
    locks_until: float = 0.0
    row: int = 0


@dataclass
class Browser:
    address: str
    jar: dict[str, str] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)  # by the cookie's value

    @property
    def pair(self) -> str:
        """The session cookie this browser holds."""
        value = self.jar.get("__Host-nipo_auth", "")
        return f"__Host-nipo_auth={value}" if value else ""

    @property
    def pending(self) -> str:
        return self.jar.get("__Host-nipo_second", "")


class Model:
    """Who is signed in where at `now`, and what counts against whom."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.people: dict[str, Person] = {}
        self.sessions: dict[str, Session] = {}
        self.counts: dict[Hashable, Count] = {}
        self.changes: dict[tuple[str, str], list[float]] = {}

    # Sessions

    def live(self, pair: str) -> Session | None:
        session = self.sessions.get(pair)
        if session is None:
            return None
        idle = 90 * DAY if session.persistent else 12 * HOUR
        if self.now >= session.seen + idle or self.now >= session.created + 400 * DAY:
            del self.sessions[pair]
            return None
        return session

    def fresh(self, session: Session) -> bool:
        two = self.people[session.who].two_step
        return self.now - (min(session.confirmed, session.second) if two else session.confirmed) < FRESH

    def touch(self, session: Session) -> None:
        if self.now - session.seen >= 5 * MINUTE:
            session.seen = self.now

    def opened(self, browser: Browser, before: str, who: str, persistent: bool, means: str = "") -> None:
        """`means` proved the second step; none for a session with one step."""
        self.sessions.pop(before, None)
        now, second = self.now, self.now if means else 0.0
        self.sessions[browser.pair] = Session(who, persistent, now, now, now, second, {means} - {""})
        if persistent:
            browser.known[who] = self.people[who].state

    def changed(self, who: str) -> None:
        """What ends every session, link, pending sign-in and known device of this person."""
        self.people[who].state += 1
        self.sessions = {pair: session for pair, session in self.sessions.items() if session.who != who}

    def proves(self, session: Session, *means: str) -> None:
        """The session has proved its second step by these now."""
        session.second, session.means, session.short = self.now, set(means), False

    def keeps_what_stands(self, session: Session, removed: Key | None = None) -> None:
        """A proof that is gone proves nothing. Of several passkeys the removed one may be the one that was proved."""
        one = self.people[session.who]
        stand = {"app": one.has_app, "passkey": bool(one.keys), "code": one.two_step}
        if removed is not None and removed.used >= session.created - MINUTE:
            stand["passkey"] = False
        session.means = {means for means in session.means if stand[means]}
        if not session.means:
            session.second, session.short = 0.0, True

    def renewed(self, browser: Browser, session: Session) -> None:
        """A change that this browser made: its session and its being known go on under new cookies."""
        kept = session.persistent or self.knows(browser, session.who)
        self.changed(session.who)
        session.seen = self.now
        self.sessions[browser.pair] = session
        if kept:
            browser.known[session.who] = self.people[session.who].state

    def password_is(self, who: str, new: str, password_change_deadline: float | None = None) -> None:
        self.people[who].password, self.people[who].password_change_deadline = new, password_change_deadline
        self.people[who].unlocks += 1
        self.changed(who)

    def without_second_step(self, who: str) -> None:
        one = self.people[who]
        one.two_step, one.has_app, one.used_step = False, False, 0
        one.spent, one.codes = one.spent + one.codes, []

    def may_change(self, who: str, what: str, an_hour: int) -> bool:
        """Whether the account may cause one more mail of this kind within the hour; if so, it does."""
        made = [at for at in self.changes.get((self.people[who].id, what), []) if at + HOUR > self.now]
        self.changes[self.people[who].id, what] = made
        if len(made) >= an_hour:
            return False
        made.append(self.now)
        return True

    # Counts

    def knows(self, browser: Browser, who: str) -> bool:
        return browser.known.get(who) == self.people[who].state

    def subject(self, browser: Browser, who: str, step: str) -> Hashable:
        """What wrong passwords or codes count for from here."""
        one = self.people[who]
        own = (browser.address, one.id, one.unlocks) if self.knows(browser, who) else ()
        return step, own or (one.email if step == "password" else one.id)

    def count(self, browser: Browser, who: str, step: str = "password") -> Count:
        count = self.counts.setdefault(self.subject(browser, who, step), Count())
        count.wrong = [at for at in count.wrong if at + 15 * MINUTE > self.now]
        return count

    def lifted(self, who: str, step: str = "password") -> None:
        """The count by address, or by account, begins afresh."""
        one = self.people[who]
        self.counts.pop((step, one.email if step == "password" else one.id), None)

    def unlocked(self, who: str) -> None:
        self.lifted(who)
        self.lifted(who, "second")
        self.people[who].unlocks += 1

    def checked(self, browser: Browser, who: str, right: bool, *, clears: bool = True) -> str:
        """What becomes of a password given from here: `locked`, `wrong` or `right`, counted."""
        one, count = self.people[who], self.count(browser, who)
        if self.now < count.locked_until:
            return "locked"
        if right and not (one.password_change_deadline is not None and self.now >= one.password_change_deadline):
            if clears:
                count.wrong = []
            return "right"
        count.wrong.append(self.now)
        if len(count.wrong) == 5:
            count.locked_until, count.wrong = self.now + 5 * MINUTE, []
        return "wrong"

    def proved(self, browser: Browser, who: str, text: str, right: bool) -> str:
        """What becomes of a code given from here: `locked`, `wrong` or `right`, counted and used up."""
        count = self.count(browser, who, "second")
        if self.now < count.locked_until or count.row >= 100:
            return "locked"
        if right:
            count.wrong, count.locks, count.row = [], 0, 0
            self.count(browser, who).wrong = []
            self.use_up(self.people[who], text)
            return "right"
        count.wrong.append(self.now)
        count.row += 1
        if len(count.wrong) == 5:
            before = count.locks if self.now < count.locks_until else 0
            count.locks, count.locks_until = before + 1, self.now + 3 * DAY
            count.locked_until, count.wrong = self.now + min(5 * MINUTE * 2**before, DAY), []
        return "wrong"

    # Codes

    def codes_of_app(self, one: Person, app: bytes) -> dict[str, int]:
        """The codes that the app is accepted with now, by step."""
        now = totp.step_at(self.now)
        return {totp.code_at(app, step): step for step in range(now - 1, now + 2)}

    def use_up(self, one: Person, text: str) -> None:
        if text in one.codes:
            one.codes.remove(text)
            one.spent.append(text)
        else:
            one.used_step = self.codes_of_app(one, one.apps[-1])[text]

    def code(self, one: Person, proof: str) -> tuple[str, bool]:
        """A text of this kind for the second step of the person, and whether it is right."""
        now = self.codes_of_app(one, one.apps[-1]) if one.has_app else {}
        unused = [code for code, step in now.items() if step > one.used_step]
        if proof == "app" and unused:
            return unused[0], True
        if proof == "backup" and one.codes:
            return one.codes[0], True
        used = [code for code in now if code not in unused]
        others = [other for other in self.people.values() if other is not one]
        wrong = {
            "used": used[::-1],
            "spent": one.spent[::-1],
            "earlier": [totp.code_at(app, totp.step_at(self.now)) for app in one.apps[: -1 if one.has_app else None]],
            "another's": [code for other in others for code in other.codes]
            + [code for other in others if other.has_app for code in self.codes_of_app(other, other.apps[-1])],
            "form": [NO_BACKUP_CODE],
        }
        texts = [*wrong.get(proof, ()), *WRONG_CODES]
        return next(text for text in texts if text not in unused), False

    # Passkeys

    def forgiven(self, browser: Browser, who: str) -> None:
        """A passkey cannot be guessed, so it ends the count and the lock of codes."""
        if self.people[who].two_step:
            self.counts.pop(self.subject(browser, who, "second"), None)

    def passkey(self, one: Person, proof: str) -> tuple[SoftPasskey, Key | None] | None:
        """An authenticator of this kind, and the passkey of the account that its next answer proves; None for none.

        A copy of a device-bound passkey counts no further than the account has seen. A copy of a synced one is as good
        as any device of its owner.
        """
        if proof == "own" and one.keys:
            return one.keys[-1].soft, one.keys[-1]
        if proof == "copied" and one.keys and (one.keys[-1].counter or one.keys[-1].soft.synced):
            key = one.keys[-1]
            copied = copy.copy(key.soft)
            copied.counter = max(key.counter - 1, 0)
            return copied, key if copied.synced else None
        others = [key for other in self.people.values() if other is not one for key in other.keys]
        wrong = {"removed": one.gone, "another's": others}.get(proof)
        return (wrong[-1].soft, None) if wrong else None
