"""People: 95 % signed-in pages, 4 % pages as a visitor, 1 % sign-outs, sign-ins and forgotten passwords."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Mapping
from itertools import count

from benchmarks.load import site
from benchmarks.load.browser import PREFIX, SESSION, Answer, Browser
from benchmarks.load.house import Account, House
from benchmarks.load.ledger import Ledger

RESET, CHANGED = "Load: reset your password", "Load: your password was reset"
"""The subjects of mails that an answer promises."""
NEW_PASSWORD = "kiiro-no-hana-to-midori-no-kusa"
VICTIMS = 40
"""The last accounts are those that attackers guess at."""
SHARES = {"page": 95, "visit": 4, "sign_out_and_in": 0.5, "forget": 0.5}
AT_FAULTS = {"page": 90, "visit": 4, "sign_out_and_in": 3, "forget": 3}
"""More of what can be lost, so that each fault meets some of it."""
_LINK = re.compile(rf"{PREFIX}/reset/\S+")
_MAIL_WITHIN = 5
"""Seconds that a person looks at the mailbox; the audit waits for later mails."""


class Crowd:
    """The people of a run, each with a thread and an account; together they act `rate` times a second."""

    def __init__(self, house: House, ledger: Ledger, people: int, rate: float, shares: Mapping[str, float]) -> None:
        self.ends = threading.Event()
        self.pause, self.shares = people / rate, shares
        self.people = [Person(self, house, ledger, number) for number in range(people)]
        # Each further account forgets its password once, so no ration of mails is met. The last are for attackers.
        self._forgetful, self._taken = house.accounts[people:-VICTIMS], count()

    def start(self, *others: threading.Thread) -> None:
        """Let all act, these others too, and wait until all people have signed in."""
        self._threads = [*self.people, *others]
        for thread in self._threads:
            thread.start()
        while not all(SESSION in person.browser.cookies for person in self.people):
            time.sleep(0.1)

    def join(self) -> None:
        """Let all stop after what they do, and wait for them."""
        self.ends.set()
        for thread in self._threads:
            thread.join()

    def next_forgetful(self) -> tuple[Account, str] | None:
        """An account that has its password yet, and an address for its browser. None when there are no more."""
        number = next(self._taken)
        if number >= len(self._forgetful):
            return None
        return self._forgetful[number], f"127.20.{number // 250}.{number % 250 + 1}"


class Person(threading.Thread):
    """One person. Every answer is checked, and one that must not be goes to the ledger."""

    def __init__(self, crowd: Crowd, house: House, ledger: Ledger, number: int) -> None:
        self.account = house.accounts[number]
        super().__init__(name=self.account.email, daemon=True)
        self._crowd, self._house, self._ledger = crowd, house, ledger
        self.browser = Browser(house.port, ledger, f"127.10.{number // 250}.{number % 250 + 1}")
        self._random = random.Random(number)  # the same choices in each run

    def run(self) -> None:
        """Sign in, and act until the end."""
        self._crowd.ends.wait(self._random.random() * self._crowd.pause)
        while not self._crowd.ends.is_set():
            begun = time.monotonic()
            if SESSION in self.browser.cookies:
                (what,) = self._random.choices([*self._crowd.shares], [*self._crowd.shares.values()])
                getattr(self, what)()
            else:
                self.sign_in(self.browser, self.account, site.PASSWORD)
            pause = self._crowd.pause * self._random.uniform(0.5, 1.5)
            self._crowd.ends.wait(max(0.0, begun + pause - time.monotonic()))

    def sign_in_first(self) -> None:
        """Sign in before the thread starts."""
        if not self.sign_in(self.browser, self.account, site.PASSWORD):
            raise AssertionError(f"{self.name} could not sign in")

    def page(self) -> None:
        """Ask for a page that needs the session."""
        self.look(self.browser, self.account)

    def visit(self) -> None:
        """Ask for a page without a session."""
        path, status = self._random.choice([("/public", 200), ("/page", 303), (f"{PREFIX}/login", 200)])
        answer = self.browser.get(path, "visit", "nipo_lang=en")
        named = path == "/public" and answer.identity != "-"
        self._right(answer, answer.status == status and not named, f"{answer.status} at {path} for a visitor")

    def sign_out_and_in(self) -> None:
        """Sign out, and in again."""
        self.sign_out(self.browser)
        self.sign_in(self.browser, self.account, site.PASSWORD)

    def forget(self) -> None:
        """The whole story of a forgotten password, on another account and browser."""
        found = self._crowd.next_forgetful()
        if found is None:
            return
        account, address = found
        browser = Browser(self._house.port, self._ledger, address)
        reset = self._ask_for_link(browser, account) and self._use_link(browser, account)
        if reset and self.sign_in(browser, account, NEW_PASSWORD):
            self.look(browser, account)
            self.sign_out(browser)
        browser.close()

    def look(self, browser: Browser, account: Account) -> None:
        """Ask for a page that needs the session, which must be alive and this account's."""
        answer = browser.get("/page", "page")
        if answer.status == 200:
            self._right(answer, answer.identity == account.id, f"the page of {answer.identity} for {account.id}")
        elif not answer.failed:
            self._ledger.lose("session", f"{account.email}, {answer.mark}, {answer.status}")
            browser.cookies.pop(SESSION, None)

    def sign_in(self, browser: Browser, account: Account, password: str) -> bool:
        """Sign in; whether it succeeded."""
        answer = browser.post("login", {"email": account.email, "password": password, "remember": "1"})
        if answer.status == 303:
            self._ledger.promise("signed_in", answer.mark)
        return self._right(answer, answer.status == 303, f"{answer.status} at the sign-in of {account.email}")

    def sign_out(self, browser: Browser) -> None:
        """Sign out. The old cookie must open nothing afterwards."""
        old = f"{SESSION}={browser.cookies[SESSION]}"
        answer = browser.post("logout", {})
        # After a failure the session may live or not: it is used no more.
        browser.cookies.pop(SESSION, None)
        if self._right(answer, answer.status == 303, f"{answer.status} at sign-out"):
            self._ledger.promise("signed_out", answer.mark)
            if browser.get("/page", "page", old).status == 200:
                self._ledger.lose("sign-out", answer.mark)

    def _ask_for_link(self, browser: Browser, account: Account) -> bool:
        """Ask for the mail; whether it was promised."""
        answer = browser.post("forgot", {"email": account.email})
        if answer.status == 200:
            self._ledger.promise_mail(RESET, account.email)
        return self._right(answer, answer.status == 200, f"{answer.status} at a forgotten password")

    def _use_link(self, browser: Browser, account: Account) -> bool:
        """Wait for the mail and set a new password; whether it was set."""
        path = self._link(account)
        if not path:
            return False
        answer = browser.get(path, "reset")
        if self._right(answer, answer.status == 200, f"{answer.status} at the link of {account.email}"):
            answer = browser.post(path.removeprefix(f"{PREFIX}/"), {"password": NEW_PASSWORD}, "reset")
            if answer.status == 303:
                self._ledger.promise("password_reset", answer.mark)
                self._ledger.promise_mail(CHANGED, account.email)
            return self._right(answer, answer.status == 303, f"{answer.status} at the reset of {account.email}")
        return False

    def _link(self, account: Account) -> str:
        """The path of the mailed link, "" if it does not come."""
        deadline = time.monotonic() + _MAIL_WITHIN
        while time.monotonic() < deadline:
            for mail in self._house.mail.mails():
                if mail["to"] == account.email and (link := _LINK.search(mail["text"])):
                    return link[0]
            time.sleep(0.1)
        return ""

    def _right(self, answer: Answer, right: bool, otherwise: str) -> bool:
        """Whether an answer is right. A failure of the server is not, and is counted by its status."""
        if not right and not answer.failed:
            self._ledger.wrong.append(f"{otherwise} ({answer.mark})")
        return right
