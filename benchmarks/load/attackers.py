"""A burst of attackers: wrong passwords, forged cookies, forgotten passwords of addresses that no account has."""

from __future__ import annotations

import threading
from itertools import count

from benchmarks.load import site
from benchmarks.load.browser import SESSION, Browser
from benchmarks.load.house import House
from benchmarks.load.ledger import Ledger
from benchmarks.load.people import VICTIMS, Crowd

GUESSES = 10
"""Wrong passwords at once for one address, from as many client addresses."""
SPRAYED = 5
"""Wrong passwords at as many addresses, from one client address that comes back in each burst."""
SPRAYER = "127.29.0.1"
EVERY = 4.0
"""Seconds between bursts."""


class Attackers(threading.Thread):
    """Bursts until the crowd ends."""

    def __init__(self, house: House, ledger: Ledger, crowd: Crowd) -> None:
        super().__init__(name="attackers", daemon=True)
        self._house, self._ledger, self._crowd = house, ledger, crowd
        self._victims = [account.email for account in house.accounts[-VICTIMS:]]
        self._cookies = [person.browser.cookies for person in crowd.people]
        self._numbers = count()

    def run(self) -> None:
        """One burst after the other. Each comes back to earlier victims, whose lock must still hold."""
        for burst in count():
            if self._crowd.ends.wait(EVERY):
                return
            victims = [self._victims[burst % len(self._victims)], self._victims[burst // 2 % len(self._victims)]]
            threads = [
                threading.Thread(target=self._spray),
                *(threading.Thread(target=self._guess, args=(victim,)) for victim in victims for _ in range(GUESSES)),
                *(threading.Thread(target=self._forge, args=(dict(cookies),)) for cookies in self._cookies[:5]),
                *(threading.Thread(target=self._forget, args=(f"nobody{burst}.{n}@example.com",)) for n in range(3)),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _browser(self) -> Browser:
        """A browser whose address no other has."""
        number = next(self._numbers)
        return Browser(
            self._house.port, self._ledger, f"127.{30 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
        )

    def _guess(self, victim: str) -> None:
        """One wrong password."""
        browser = self._browser()
        password = f"{site.WRONG}{victim} {next(self._numbers)}"
        self._check(browser, browser.post("login", {"email": victim, "password": password}, "guess").status, 401, 429)

    def _spray(self) -> None:
        """One wrong password each at several addresses. After a while the client limit stops them."""
        for _ in range(SPRAYED):
            browser, victim = Browser(self._house.port, self._ledger, SPRAYER), f"{site.SPRAYED}{next(self._numbers)}"
            form = {"email": f"{victim}@example.com", "password": f"{site.WRONG}{victim}"}
            self._check(browser, browser.post("login", form, "spray").status, 401, 429)

    def _forge(self, cookies: dict[str, str]) -> None:
        """A cookie of which one character was altered."""
        value = cookies.get(SESSION, "x" * 40)
        forged = value[:10] + ("A" if value[10] != "A" else "B") + value[11:]
        browser = self._browser()
        self._check(browser, browser.get("/page", "forged", f"{SESSION}={forged}").status, 303)

    def _forget(self, address: str) -> None:
        """An address that no account has gets the answer that all get."""
        browser = self._browser()
        self._check(browser, browser.post("forgot", {"email": address}, "forgot").status, 200)

    def _check(self, browser: Browser, status: int, *allowed: int) -> None:
        """Close the browser; an answer that is neither allowed nor a failure is wrong."""
        browser.close()
        if 0 < status < 500 and status not in allowed:
            self._ledger.wrong.append(f"{status} for an attacker")
