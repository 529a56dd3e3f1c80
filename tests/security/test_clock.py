"""Rows CL1 and CL2: a clock that jumps, and zones of time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from nipo_auth_mw import SessionPolicy
from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.kit import PASSWORD, WRONG, middleware, person
from tests.security.tools import HTTPS, ask, login, session_pair, who

# Half an hour later the clocks of New York are set back. A number, since a datetime would bring its zone along.
START = datetime(2026, 11, 1, 5, 30, tzinfo=UTC).timestamp()
DAY = timedelta(days=1)
NEW = {"password": "midori-no-oka-to-kaze"}


class House:
    """One person with a kept session, one that ends with the browser, a link in the mailbox; a locked address."""

    def __init__(self) -> None:
        mailer = MemoryMailer()
        # A look at /page, which the tests take, prolongs nothing.
        self.auth = middleware(base_url=HTTPS, mailer=mailer, session=SessionPolicy(passive_paths=("/page",)))
        person(self.auth)
        self.persistent = session_pair(login(self.auth))
        self.not_kept = session_pair(login(self.auth, fields={"remember": "0"}))
        ask(self.auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
        self.link = link_in(mailer.outbox[-1]).removeprefix(HTTPS)
        mailer.outbox.clear()
        changed = {"email": "new@example.com", "password": PASSWORD}
        ask(self.auth, "POST", "/-/auth/account/email", form=changed, cookie=self.persistent)
        # The two mails of one change leave in any order.
        links = sorted(link_in(mail).removeprefix(HTTPS) for mail in mailer.outbox)
        self.cancellation, self.confirmation = links
        for _ in range(5):
            login(self.auth, "locked@example.com", WRONG)

    def status(self, path: str) -> int:
        return ask(self.auth, path=path).status

    def address(self) -> str:
        return str(self.auth.accounts.get("1").email)

    def locked(self) -> bool:
        return login(self.auth, "locked@example.com", WRONG).status == 429


def test_cl1_a_clock_set_back_makes_nothing_good_for_longer():
    with time_machine.travel(START, tick=False) as clock:
        house = House()
        assert [house.status(path) for path in (house.link, house.confirmation)] == [200, 200]
        clock.shift(-DAY)
        for path in (house.link, house.confirmation):
            assert house.status(path) == 410
            assert ask(house.auth, "POST", path, form=NEW).status == 410
        assert house.address() == "tanaka@example.com"
        assert who(house.auth, house.persistent) == who(house.auth, house.not_kept) == ""


def test_cl1_a_clock_set_ahead_ends_everything():
    with time_machine.travel(START, tick=False) as clock:
        house = House()
        assert who(house.auth, house.persistent) == who(house.auth, house.not_kept) == "1"
        clock.shift(401 * DAY)
        assert who(house.auth, house.persistent) == who(house.auth, house.not_kept) == ""
        for path in (house.link, house.confirmation, house.cancellation):
            assert house.status(path) == 410
            assert ask(house.auth, "POST", path, form=NEW).status == 410
        assert house.address() == "tanaka@example.com"
        assert not house.locked()


@pytest.fixture
def live_in(monkeypatch):
    """Gives this process another time zone, until the test is over."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("UTC", "Pacific/Kiritimati"),
        ("America/New_York", "America/New_York"),
        ("Pacific/Kiritimati", "America/New_York"),
    ],
)
def test_cl2_neither_another_zone_nor_summer_time_moves_a_deadline(live_in, first, then):
    with time_machine.travel(START, tick=False) as clock:
        live_in(first)
        house = House()
        live_in(then)
        deadlines = [
            (timedelta(minutes=5), house.locked),
            (timedelta(hours=1), lambda: house.status(house.link) == 200),
            (timedelta(hours=12), lambda: who(house.auth, house.not_kept) == "1"),
            (DAY, lambda: house.status(house.confirmation) == 200),
            (90 * DAY, lambda: who(house.auth, house.persistent) == "1"),
        ]
        for lasts, good in deadlines:
            clock.move_to(START + lasts.total_seconds() - 1)
            before = good()
            clock.move_to(START + lasts.total_seconds() + 1)
            assert (before, good()) == (True, False), lasts
