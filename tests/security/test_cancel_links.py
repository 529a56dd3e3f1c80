"""Links that cancel a change of address: row RU18 of what must hold."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest
import time_machine

from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests.kit import browser, events, seen, sign_in
from tests.security.test_email_change import NEW, OLD, House

SUCCESSOR = "successor@example.org"


def by_host(house: House, email: str | None = None, active: bool | None = None) -> None:
    """What the host app's own SQL does: it asks nobody and raises no counter."""
    users = house.auth._services.users
    if email is not None:
        assert users.set_email(house.user.id, email, expected=house.address())
    if active is not None:
        users.update(house.user.id, active=active)


def by_administrator(house: House, email: str) -> None:
    house.auth.accounts.change_email(house.user.id, email)


def by_user(house: House, email: str) -> None:
    """The person signs in and changes the address: asked for and confirmed."""
    house.auth._services.quotas._allow = lambda *given, **named: True
    device = browser(house.auth)
    assert sign_in(device, house.address()).status_int == 303
    assert house.ask(email, who=device).status_int == 303
    assert browser(house.auth).post(house.mail(email, "confirm")).status_int == 303


def told(house: House, since: int) -> list[str]:
    return sorted(m.to for m in house.mailer.outbox[since:] if "not changed back" in m.subject)


@pytest.fixture
def house(each_store: Any) -> House:
    return House(store=each_store, hasher=fast_hasher())


@pytest.mark.parametrize("confirmed", [False, True], ids=["pending", "confirmed"])
def test_ru18_what_the_host_decided_is_not_undone_and_its_owner_is_told(house: House, confirmed: bool) -> None:
    house.ask()
    cancel = house.mail(OLD, "cancel")
    if confirmed:
        house.confirm()
    by_host(house, SUCCESSOR)
    heir = browser(house.auth)
    assert sign_in(heir, SUCCESSOR).status_int == 303
    before = len(house.mailer.outbox)
    assert house.cancel(cancel).status_int == 410
    assert house.address() == SUCCESSOR
    assert seen(heir) == house.user.id, "nothing is ended either"
    assert told(house, before) == [SUCCESSOR]
    assert OLD not in house.mailer.outbox[-1].text
    for _ in range(3):
        assert house.cancel(cancel).status_int == 410
    assert told(house, before) == [SUCCESSOR], "once"
    assert len(events(house.auth, "link_refused")) >= 1
    assert events(house.auth, "email_change_cancelled") == []


def test_ru18_in_the_language_of_the_owner(house: House) -> None:
    house.ask()
    cancel = house.mail(OLD, "cancel")
    by_host(house, SUCCESSOR)
    services = house.auth._services
    state = services.account_states.account_state(house.user.id)
    services.account_states.update_account_state(house.user.id, state.having(language="ja"), expected=state)
    house.cancel(cancel)
    assert "以前のメールアドレス" in house.mailer.outbox[-1].subject


def test_ru18_a_successors_own_change_is_no_part_of_the_leavers_chain(house: House) -> None:
    house.ask()
    cancel = house.mail(OLD, "cancel")
    house.confirm()
    by_host(house, SUCCESSOR)
    by_user(house, "successor2@example.org")
    assert house.cancel(cancel).status_int == 410
    assert house.address() == "successor2@example.org"


def test_ru18_a_whole_chain_of_own_changes_is_undone_and_its_later_links_die(house: House) -> None:
    cancels = []
    for email in (NEW, "third@example.net", "fourth@example.net"):
        before = house.address()
        by_user(house, email)
        cancels.append(house.mail(before, "cancel"))
    assert house.cancel(cancels[1]).status_int == 303
    assert house.address() == NEW
    assert house.cancel(cancels[2]).status_int == 410
    assert house.cancel(cancels[0]).status_int == 303, "the first mailbox still has the last word"
    assert house.address() == OLD


@pytest.mark.parametrize("skew", [-300, 300])
def test_ru18_what_is_later_is_told_by_addresses_and_not_by_clocks(house: House, skew: int) -> None:
    """A taker's change, asked for on a machine whose clock differs."""
    house.ask()
    cancel = house.mail(OLD, "cancel")
    house.confirm()
    thief = browser(house.auth)
    sign_in(thief, NEW)
    house.auth._services.quotas._allow = lambda *given, **named: True
    with time_machine.travel(time.time() + skew, tick=True):
        thief2 = browser(house.auth)
        sign_in(thief2, NEW)
        house.ask("third@example.net", who=thief2)
    later = house.mail(NEW, "cancel")
    assert house.cancel(cancel).status_int == 303
    assert house.cancel(later).status_int == 410
    assert house.address() == OLD


def test_ru18_a_disabled_account_is_not_taken_back(house: House) -> None:
    house.ask()
    cancel = house.mail(OLD, "cancel")
    house.confirm()
    by_host(house, active=False)
    assert house.cancel(cancel).status_int == 410
    by_host(house, active=True)
    assert house.cancel(cancel).status_int == 410, "the link is void for good"
    assert house.address() == NEW


@pytest.mark.parametrize("steps", [steps for n in (1, 2, 3) for steps in itertools.product("uh", repeat=n)])
def test_ru18_of_every_sequence_the_first_link_undoes_own_changes_alone(steps: tuple[str, ...]) -> None:
    house = House()
    house.ask()
    cancel = house.mail(OLD, "cancel")
    house.confirm()
    for number, step in enumerate(steps):
        {"u": by_user, "h": by_host}[step](house, f"step{number}@example.net")
    present = house.address()
    if "h" in steps:
        assert house.cancel(cancel).status_int == 410
        assert house.address() == present
    else:
        assert house.cancel(cancel).status_int == 303
        assert house.address() == OLD


# While the password is being checked


class Held:
    """A hasher that lets something happen between a check and what it allows."""

    def __init__(self) -> None:
        self._inner = fast_hasher()
        self.meanwhile: Any = None

    def hash(self, password: Any, *, salt: Any = None) -> str:
        return self._inner.hash(password, salt=salt)

    def verify(self, hash: Any, password: Any) -> Any:
        found = self._inner.verify(hash, password)
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            # Another request, on a thread of its own.
            other = threading.Thread(target=act)
            other.start()
            other.join()
        return found

    def check_needs_rehash(self, hash: Any) -> bool:
        return bool(self._inner.check_needs_rehash(hash))


MEANWHILE = {
    "administrator changes the address": lambda house: by_administrator(house, SUCCESSOR),
    "administrator sets a password": lambda house: house.auth.accounts.set_password(house.user.id, "midori-no-kaze-no"),
    "administrator disables": lambda house: house.auth.accounts.set_active(house.user.id, False),
    "administrator disables and enables": lambda house: [
        house.auth.accounts.set_active(house.user.id, active) for active in (False, True)
    ],
    "administrator deletes": lambda house: house.auth.accounts.delete(house.user.id),
    "host changes the address": lambda house: by_host(house, SUCCESSOR),
    "host disables": lambda house: by_host(house, active=False),
    "host sets a password": lambda house: house.auth._services.users.set_password_hash(
        house.user.id, "x", expected=house.auth._services.users.get(house.user.id).password_hash
    ),
}


@pytest.mark.parametrize("act", MEANWHILE.values(), ids=MEANWHILE)
def test_ru18_a_request_is_not_written_if_the_account_changed_during_its_check(each_store: Any, act: Any) -> None:
    hasher = Held()
    house = House(store=each_store, hasher=hasher)
    changes = each_store
    hasher.meanwhile = lambda: act(house)
    before = len(house.mailer.outbox)
    answer = house.ask()
    assert hasher.meanwhile is None
    assert answer.status_int in {303, 401}
    assert "/login" in answer.headers.get("Location", "/login")
    assert list(changes.email_changes_of(house.user.id)) == []
    assert not [m for m in house.mailer.outbox[before:] if "/email/" in m.text]
    assert events(house.auth, "email_change_requested") == []


def test_ru18_an_administrator_who_comes_right_after_the_look_waits_and_voids(store: SQLStore) -> None:
    """The last moment: the account was looked at again, and its row is about to be written."""
    house = House(store=store, hasher=fast_hasher())
    add, started, threads = store.add_email_change, threading.Event(), []

    def late(change: Any) -> None:
        def act() -> None:
            started.set()
            by_administrator(house, SUCCESSOR)

        threads.append(threading.Thread(target=act))
        threads[0].start()
        started.wait(5)
        add(change)

    store.add_email_change = late  # type: ignore[method-assign]
    assert house.ask().status_int == 303
    threads[0].join()
    assert house.address() == SUCCESSOR
    assert list(store.email_changes_of(house.user.id)) == []


def test_ru18_another_change_of_the_profile_during_the_check_is_no_obstacle(each_store: Any) -> None:
    hasher = Held()
    house = House(store=each_store, hasher=hasher)
    hasher.meanwhile = lambda: house.browser.post("/-/auth/account/profile", {"language": "ja"})
    assert house.ask().status_int == 303
    assert len(each_store.email_changes_of(house.user.id)) == 1
