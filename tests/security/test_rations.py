"""Who causes mails, and who still may: row RU24 of what must hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from nipo_auth_mw.testing import MemoryMailer, fast_hasher
from tests.kit import PASSWORD, browser, events, middleware, person, sign_in
from tests.security.tools import ask, signed_in

BOSS, STAFF = "boss@example.com", "tanaka@example.com"
NEW = "midori-no-oka-to-kaze"


@pytest.fixture
def auth(each_store: Any) -> Any:
    auth = middleware(store=each_store, hasher=fast_hasher(), mailer=MemoryMailer())
    auth.boss = person(auth, BOSS, role="admin")
    auth.other_boss = person(auth, "boss2@example.com", role="admin")
    auth.tanaka = person(auth, STAFF)
    auth.outbox = auth._services.outbox._mailer.outbox
    return auth


def as_boss(auth: Any) -> Callable[[str, dict[str, str]], Any]:
    cookie = signed_in(auth, BOSS)
    return lambda route, form: ask(auth, "POST", f"/-/auth/{route}", form=form, cookie=cookie)


def distinct(number: int) -> str:
    """One of two strangers' mailboxes, in turn."""
    return f"victim{number % 2}@example.org"


def test_ru24_sixty_changes_of_a_notification_address_are_ten_mails_wherever_they_go(auth: Any) -> None:
    others = [person(auth, f"p{number}@example.com") for number in range(20)]
    post, statuses = as_boss(auth), []
    before = len(auth.outbox)
    for number in range(20):
        for user in (auth.boss, auth.tanaka, others[number]):
            answer = post(f"staff/{user.id}/profile", {"notify_email": distinct(number)})
            statuses.append(answer.status)
    assert set(statuses) == {303, 429}
    assert 1 <= len(auth.outbox) - before <= 10
    assert 3 <= len(events(auth, "profile_changed")) <= 10, "what was refused was not done"
    told = {mail.to for mail in auth.outbox[before:]}
    assert {auth.boss.email, auth.tanaka.email} <= told


def test_ru24_a_refusal_says_when_and_the_next_hour_is_another(auth: Any) -> None:
    post = as_boss(auth)
    for number in range(9):
        refused = post(f"staff/{auth.tanaka.id}/profile", {"notify_email": f"victim{number}@example.org"})
    assert refused.status == 429
    assert int(refused.get("Retry-After")) <= 3600
    assert "within an hour" in refused.text
    assert post(f"staff/{auth.tanaka.id}/profile", {"memo": "no mail, no limit"}).status == 303
    with time_machine.travel(time.time() + 3601, tick=True):
        sign_in(browser(auth), BOSS)
        assert as_boss(auth)(f"staff/{auth.tanaka.id}/profile", {"notify_email": distinct(7)}).status == 303


def test_ru24_one_account_has_a_password_set_few_times_and_each_is_told(auth: Any) -> None:
    post, statuses = as_boss(auth), []
    before = len(auth.outbox)
    for number in range(60):
        statuses.append(post(f"staff/{auth.tanaka.id}/password", {"password": f"{NEW}-{number}"}).status)
    assert set(statuses) == {200, 429}
    mails = len(auth.outbox) - before
    assert 5 <= statuses.count(200) == mails == len(events(auth, "password_changed")) <= 10


def test_ru24_many_accounts_are_a_days_work(auth: Any) -> None:
    post = as_boss(auth)
    for number in range(25):
        user = person(auth, f"p{number}@example.com")
        assert post(f"staff/{user.id}/password", {"password": f"{NEW}-{number}"}).status == 200
    assert len([mail for mail in auth.outbox if re.match(r"p\d+@", mail.to)]) == 25


def test_ru24_sixty_changes_of_an_address(auth: Any) -> None:
    post, statuses = as_boss(auth), []
    before = len(auth.outbox)
    for number in range(60):
        statuses.append(post(f"staff/{auth.tanaka.id}/email", {"email": f"v{number}@example.org"}).status)
    assert set(statuses) == {303, 429}
    assert 1 <= len(auth.outbox) - before <= 10
    assert len(events(auth, "email_changed")) == statuses.count(303)
    before = len(auth.outbox)
    for number in range(60):
        user = person(auth, f"q{number}@example.com")
        post(f"staff/{user.id}/email", {"email": f"w{number}@example.org"})
    assert len(auth.outbox) - before <= 30


def test_ru24_of_a_users_own_changes_all_are_told_and_few(auth: Any) -> None:
    device = browser(auth)
    sign_in(device, STAFF)
    before, present, statuses = len(auth.outbox), PASSWORD, []
    for number in range(12):
        new = f"{NEW}-{number}"
        fields = {"current_password": present, "password": new}
        answer = device.post("/-/auth/account/password", fields, expect_errors=True)
        statuses.append(answer.status_int)
        present = new if answer.status_int == 303 else present
    assert statuses == [303] * 4 + [429] * 8
    assert len(auth.outbox) - before == 4
    assert sign_in(browser(auth), STAFF, present).status_int == 303


def test_ru24_who_knows_the_password_changes_it_less_often_than_its_owner_gets_a_link(auth: Any) -> None:
    """A change every 20 seconds, and an owner who asks for a link every minute and uses it after 30 seconds."""
    start, present, worked = time.time(), PASSWORD, 0
    thief = browser(auth, "198.51.100.7")
    sign_in(thief, STAFF)
    path = ""
    for second in range(0, 600, 10):
        with time_machine.travel(start + second, tick=True):
            if second % 20 == 0:
                new = f"{NEW}-{second}"
                fields = {"current_password": present, "password": new}
                if thief.post("/-/auth/account/password", fields, expect_errors=True).status_int == 303:
                    present = new
            if second % 60 == 30 and path:
                worked += browser(auth).get(path, expect_errors=True).status_int == 200
            if second % 60 == 0:
                before = len(auth.outbox)
                browser(auth).post("/-/auth/forgot", {"email": STAFF})
                links = [re.search(r"/-/auth/reset/\S+", mail.text) for mail in auth.outbox[before:]]
                path = next((found[0] for found in links if found), "")
    assert worked >= 1


def test_ru24_scripts_are_not_limited(auth: Any) -> None:
    for number in range(15):
        auth.accounts.set_password(auth.tanaka.id, f"{NEW}-{number}")
        auth.accounts.change_email(auth.tanaka.id, f"v{number}@example.org")
    assert auth.accounts.get(auth.tanaka.id).email == "v14@example.org"


def test_ru24_without_a_mailer_nothing_is_limited() -> None:
    auth = middleware(mailer=None)
    auth.boss, user = person(auth, BOSS, role="admin"), person(auth, STAFF)
    post = as_boss(auth)
    assert {post(f"staff/{user.id}/password", {"password": f"{NEW}-{n}"}).status for n in range(12)} == {200}


# Who still may

LOSSES: dict[str, Callable[[Any], Any]] = {
    "disabled": lambda auth: auth.accounts.set_active(auth.boss.id, False),
    "demoted": lambda auth: auth.accounts.set_role(auth.boss.id, "staff"),
    "deleted": lambda auth: auth.accounts.delete(auth.boss.id),
    "password set": lambda auth: auth.accounts.set_password(auth.boss.id, NEW),
    "disabled by the host's own SQL": lambda auth: auth._services.users.update(auth.boss.id, active=False),
    "demoted by the host's own SQL": lambda auth: auth._services.users.update(auth.boss.id, role="staff"),
    "session ended": lambda auth: [
        auth._services.session_store.end_session(one.key)
        for one in auth._services.session_store.sessions_of(auth.boss.id)
    ],
}


def after(auth: Any, hashes: int, act: Callable[[], Any]) -> None:
    """Do this once so many more passwords were hashed."""
    hashing, left = auth._services.hashing, [hashes]
    real = hashing.hash

    def hash(password: str) -> str:
        hashed = real(password)
        left[0] -= 1
        if left[0] == 0:
            act()
        return str(hashed)

    hashing.hash = hash


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_ru24_a_list_stops_at_the_line_before_which_its_sender_lost_the_right(auth: Any, lose: Any) -> None:
    cookie = signed_in(auth, BOSS)
    # The third account's hash is still being made.
    after(auth, 3, lambda: lose(auth))
    form = {"emails": "\n".join(f"n{number}@example.com" for number in range(1, 7)), "role": "staff"}
    answer = ask(auth, "POST", "/-/auth/staff/bulk", data=form, cookie=cookie, HTTP_ACCEPT="application/json")
    made = [auth.accounts.find(f"n{number}@example.com") is not None for number in range(1, 7)]
    assert made == [True, True, False, False, False, False]
    if answer.status == 200:
        assert answer.text.count("not_allowed") == 4


ACTS: dict[str, Callable[[str], tuple[str, dict[str, str]]]] = {
    "create": lambda _: ("staff/create", {"email": "n@example.com", "password": NEW}),
    "password": lambda who: (f"staff/{who}/password", {"password": NEW}),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_ru24_nothing_is_done_for_who_lost_the_right_while_a_hash_was_made(auth: Any, act: str, lose: Any) -> None:
    cookie = signed_in(auth, BOSS)
    after(auth, 1, lambda: lose(auth))
    route, form = ACTS[act](auth.tanaka.id)
    before = auth._services.users.get(auth.tanaka.id)
    answer = ask(auth, "POST", f"/-/auth/{route}", form=form, cookie=cookie, HTTP_ACCEPT="application/json")
    assert answer.status in {401, 403}, answer.text
    assert auth._services.users.get(auth.tanaka.id) == before
    assert auth.accounts.find("n@example.com") is None
