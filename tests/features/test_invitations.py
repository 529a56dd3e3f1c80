"""Invitations: an owner sets the first password by a link, which works once and is shown or mailed once."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, link_in
from tests.kit import PASSWORD, administrator, browser, events, middleware, person, seen, sign_in, without_challenge

NEW = "midori-no-oka-to-kaze"
MAILBOX, NO_MAILBOX = "sato@example.net", "sato@nippo.invalid"


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer)


@pytest.fixture
def boss(auth: Any) -> TestApp:
    return administrator(auth)


def invited(boss: TestApp, email: str = NO_MAILBOX, **fields: str) -> Any:
    return boss.post("/-/auth/staff/create", {"email": email, "name": "佐藤", "invite": "1", **fields})


def shown_link(page: Any) -> str:
    return page.html.select_one(".slip .link").text.removeprefix("http://localhost")


def accept(auth: Any, link: str, device: TestApp | None = None, **fields: str) -> Any:
    return (device or browser(auth)).post(link, {"password": NEW, **fields}, expect_errors=True)


def test_a_mailbox_gets_the_link_and_its_owner_signs_in(auth: Any, boss: TestApp, mailer: MemoryMailer) -> None:
    page = invited(boss, MAILBOX, role="admin")
    assert "An invitation was sent" in page.text
    [mail] = mailer.outbox
    link = link_in(mail)
    assert mail.to == MAILBOX
    assert re.search(r"works once, until \w{3} \d+ \w{3} \d{4}, \d\d:\d\d \(UTC\)\.", mail.text)
    assert link not in page.text
    owner = browser(auth)
    form = owner.get(link.removeprefix("http://localhost")).forms["invite"]
    assert (form["name"].value, form["password"].value) == ("佐藤", "")
    form["name"], form["password"] = " 佐藤  花子", NEW
    done = form.submit(status=303)
    assert "Your password is set" in done.follow().text
    assert sign_in(owner, MAILBOX, NEW).status_int == 303
    assert seen(owner)
    assert (auth.accounts.find(MAILBOX).name, auth.accounts.find(MAILBOX).role) == ("佐藤 花子", "admin")
    assert [row.event for row in events(auth, "invited", "invitation_accepted")] == ["invited", "invitation_accepted"]
    assert [mail.subject for mail in mailer.outbox if "was set" in mail.subject]


def test_without_a_mailbox_the_administrator_sees_link_and_qr_code(boss: TestApp, mailer: MemoryMailer) -> None:
    slip = invited(boss).html.select_one(".slip")
    assert re.fullmatch(r"http://localhost/-/auth/invite/[\w.-]+", slip.select_one(".link").text)
    assert slip.select_one("svg.qr path.qrline")
    assert not slip.find_all(style=True)
    assert mailer.outbox == []


def test_without_a_mailer_too(auth: Any) -> None:
    auth = middleware(mailer=None)
    link = shown_link(invited(administrator(auth), MAILBOX))
    assert accept(auth, link).status_int == 303


def test_the_page_of_the_account_shows_until_when_and_invites_again_or_withdraws(auth: Any, boss: TestApp) -> None:
    first = shown_link(invited(boss))
    user = auth.accounts.find(NO_MAILBOX)
    page = boss.get(f"/-/auth/staff/{user.id}")
    facts = " ".join(page.html.select_one(".facts").text.split())
    assert re.search(r"Invited until \w{3} \d", facts), "a time alone could be that of the invitation"
    assert first not in page.text
    page = page.click("Issue")
    assert page.html.h1.text == "Issue a password"
    assert first not in page.text
    second = shown_link(page.forms["staff-invite"].submit(status=200))
    assert second != first
    assert (
        boss.get(f"/-/auth/staff/{user.id}/password").forms["staff-revoke"].submit(status=303).follow().status_int
        == 200
    )
    assert accept(auth, second).status_int == 410
    data = boss.get(f"/-/auth/staff/{user.id}", headers={"Accept": "application/json"}).json["user"]
    assert data["invited_until"] is None
    assert [row.actor for row in events(auth, "invitation_revoked")] == ["1"]


def test_as_json_the_link_is_in_the_one_answer(auth: Any, boss: TestApp) -> None:
    made = boss.post_json("/-/auth/staff/create", {"email": NO_MAILBOX, "invite": True}).json
    assert (made["mailed"], made["password"]) == (False, None)
    link = made["link"].removeprefix("http://localhost")
    program = browser(auth, HTTP_ACCEPT="application/json")
    assert program.get(link).json == {"email": NO_MAILBOX, "name": ""}
    again = boss.post_json(f"/-/auth/staff/{made['user']['id']}/invite", {}).json
    assert browser(auth).post_json(link, {"password": NEW}, status=410).json["code"] == "link_expired"
    link = again["link"].removeprefix("http://localhost")
    assert browser(auth).post_json(link, {"password": "kurz"}, status=422).json["code"] == "password_rejected"
    assert browser(auth).post_json(link, {"password": NEW}).json["invitation_accepted"] is True
    refused = boss.post_json(f"/-/auth/staff/{made['user']['id']}/invite", {}, status=409)
    assert refused.json["code"] == "cannot_invite"
    mailed = boss.post_json("/-/auth/staff/create", {"email": MAILBOX, "invite": True}).json
    assert (mailed["mailed"], mailed["link"]) == (True, None)


def test_a_refused_password_loses_nothing_and_keeps_the_link(auth: Any, boss: TestApp) -> None:
    link = shown_link(invited(boss))
    page = accept(auth, link, password="kurz", name="鈴木")
    assert page.status_int == 422
    assert page.forms["invite"]["name"].value == "鈴木"
    assert accept(auth, link).status_int == 303


def test_iv1_every_change_ends_the_link(auth: Any, boss: TestApp) -> None:
    """Resend, revoke, change of address, disabling, deletion, a set password."""
    changes = {
        "resend": lambda user: boss.post(f"/-/auth/staff/{user.id}/invite", {}),
        "revoke": lambda user: boss.post(f"/-/auth/staff/{user.id}/invite", {"revoke": "1"}),
        "address": lambda user: auth.accounts.change_email(user.id, f"new-{user.email}"),
        "disabling": lambda user: (auth.accounts.set_active(user.id, False), auth.accounts.set_active(user.id, True)),
        "deletion": lambda user: auth.accounts.delete(user.id),
        "password": lambda user: auth.accounts.set_password(user.id, PASSWORD),
    }
    for name, change in changes.items():
        link = shown_link(invited(boss, f"{name}@nippo.invalid"))
        assert browser(auth).get(link).status_int == 200
        change(auth.accounts.find(f"{name}@nippo.invalid"))
        assert browser(auth).get(link, expect_errors=True).status_int == 410, name
        assert accept(auth, link).status_int == 410, name
    assert sign_in(browser(auth), "password@nippo.invalid", PASSWORD).status_int == 303


def test_iv1_looking_spends_nothing_and_the_password_spends_it(auth: Any, boss: TestApp) -> None:
    link = shown_link(invited(boss))
    for _ in range(3):
        assert browser(auth).get(link).status_int == browser(auth).head(link).status_int == 200
    assert accept(auth, link).status_int == 303
    assert accept(auth, link, password=PASSWORD).status_int == 410
    assert sign_in(browser(auth), NO_MAILBOX, NEW).status_int == 303


@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_iv1_of_thirty_requests_at_once_one_succeeds(kind: str, tmp_path: Any, empty_database: Any) -> None:
    path = tmp_path / "auth.db"
    path.write_bytes(empty_database.read_bytes())
    store = MemoryStore() if kind == "memory" else SQLStore(f"sqlite:///{path}")
    auth = middleware(store=store, hasher=fast_hasher())
    link = shown_link(invited(administrator(auth)))
    start, found = threading.Barrier(30), []

    def spend(number: int) -> None:
        start.wait()
        found.append((accept(auth, link, password=f"{NEW}-{number}").status_int, number))

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [number for status, number in found if status == 303]
    assert len(won) == 1
    assert {status for status, _ in found} <= {303, 410, 422, 503}
    assert sign_in(browser(auth), NO_MAILBOX, f"{NEW}-{won[0]}").status_int == 303
    assert len(events(auth, "invitation_accepted")) == 1
    if isinstance(store, SQLStore):
        store.close()


def test_iv1_a_delayed_mail_of_an_earlier_invitation_makes_no_link(auth: Any, boss: TestApp) -> None:
    invited(boss, MAILBOX)
    services, user = auth._services, auth.accounts.find(MAILBOX)
    account = services.users.get(user.id)
    facts = {
        "stamp": services.invitation_links.stamp(account, services.account_states.account_state(user.id), "invitation")
    }
    mail = services.notifications._mail("waiting", "invitation", user.id, MAILBOX, facts)
    compose = services.outbox._delivery._compose
    assert compose(mail) is not None
    boss.post(f"/-/auth/staff/{user.id}/invite", {})
    assert compose(mail) is None


def test_iv2_it_lasts_seven_days(boss: TestApp, auth: Any) -> None:
    link = shown_link(invited(boss))
    with time_machine.travel(time.time() + 6.9 * 86400, tick=True):
        assert browser(auth).get(link).status_int == 200
    with time_machine.travel(time.time() + 7.1 * 86400, tick=True):
        assert accept(auth, link).status_int == 410
        user = auth.accounts.find(NO_MAILBOX)
        page = sign_in(boss, "kanri@example.com") and boss.get(f"/-/auth/staff/{user.id}")
        assert "Invitation expired" in page.html.select_one(".facts").text


def test_iv2_an_invited_account_signs_in_by_nothing_and_looks_like_any_other(auth: Any, boss: TestApp) -> None:
    invited(boss)
    for password in ("", "None", NEW):
        mine, none = (sign_in(browser(auth), email, password) for email in (NO_MAILBOX, "ghos@nippo.invalid"))
        assert mine.status_int == none.status_int == 401
        assert without_challenge(mine).replace(NO_MAILBOX, "") == without_challenge(none).replace(
            "ghos@nippo.invalid", ""
        )
    mine, none = (browser(auth).post("/-/auth/forgot", {"email": email}) for email in (MAILBOX, "ghos@example.net"))
    assert mine.text.replace(MAILBOX, "") == none.text.replace("ghos@example.net", "")


def test_iv5_a_withdrawn_invitation_opens_the_account_by_no_mail(
    auth: Any, boss: TestApp, mailer: MemoryMailer
) -> None:
    invited(boss, MAILBOX)
    user = auth.accounts.find(MAILBOX)
    (before,) = asked(auth, mailer)
    boss.get(f"/-/auth/staff/{user.id}/password").forms["staff-revoke"].submit(status=303)
    assert accept(auth, before).status_int == 410
    assert asked(auth, mailer) == []
    for active in (False, True):
        auth.accounts.set_active(user.id, active)
    assert asked(auth, mailer) == []
    boss.post(f"/-/auth/staff/{user.id}/email", {"email": "sato@example.org"}, status=303)
    assert asked(auth, mailer, "sato@example.org"), "another mailbox is another decision"


def test_iv5_a_mail_that_the_withdrawal_overtakes_makes_no_link(auth: Any, boss: TestApp) -> None:
    invited(boss, MAILBOX)
    services, user = auth._services, auth.accounts.find(MAILBOX)
    mail = services.notifications._mail("waiting", "reset", user.id, MAILBOX, {})
    compose = services.outbox._delivery._compose
    assert compose(mail) is not None
    boss.post(f"/-/auth/staff/{user.id}/invite", {"revoke": "1"})
    assert compose(mail) is None
    auth.accounts.set_password(user.id, PASSWORD)
    assert compose(mail) is not None


def asked(auth: Any, mailer: MemoryMailer, email: str = MAILBOX) -> list[str]:
    """The links that "forgotten password" mails now."""
    mailer.outbox.clear()
    browser(auth).post("/-/auth/forgot", {"email": email})
    return [link_in(mail).removeprefix("http://localhost") for mail in mailer.outbox if "/reset/" in mail.text]


def test_iv3_the_link_decides_account_and_role(auth: Any, boss: TestApp) -> None:
    link = shown_link(invited(boss))
    other = person(auth, "other@example.com")
    device = browser(auth)
    sign_in(device, "other@example.com")
    done = accept(auth, link, device, role="admin", email="other@example.com", id=other.id, active="0")
    assert "/-/auth/logout" in done.location
    assert auth.accounts.find(NO_MAILBOX).role == "staff"
    assert auth.accounts.get(other.id) == other
    assert sign_in(browser(auth), "other@example.com").status_int == 303
    assert sign_in(browser(auth), NO_MAILBOX, NEW).status_int == 303


def test_ak10_what_is_handed_over_is_shown_to_its_maker_for_a_minute(auth: Any, boss: TestApp, caplog: Any) -> None:
    link = shown_link(invited(boss)).rpartition("/")[2]
    form = boss.get("/-/auth/staff/create").forms["staff-create"]
    form["email"] = "suzuki@nippo.invalid"
    page = form.submit(status=200)
    password = page.html.select_one(".slip .big").text
    assert page.headers["Cache-Control"] == "no-store"
    assert not any(secret in str(page.headerlist) for secret in (link, password)), "no cookie, no URL"
    with time_machine.travel(time.time() + 61, tick=False):
        again = form.submit(status=422)
    second = administrator(auth, "kanri2@example.com")
    ids = [auth.accounts.find(email).id for email in (NO_MAILBOX, "suzuki@nippo.invalid")]
    paths = [
        "staff",
        "audit",
        "audit.csv",
        "account",
        "staff/create",
        *(f"staff/{one}{form}" for one in ids for form in ("", "/password")),
    ]
    texts = [device.get(f"/-/auth/{path}").text for device in (boss, second) for path in paths]
    as_json = {"Accept": "application/json"}
    texts += [boss.get(f"/-/auth/{path}", headers=as_json).text for path in ("staff", *paths[5:])]
    kept = [repr(vars(auth._services.users)), repr(events(auth)), caplog.text, again.text]
    assert not any(secret in text for text in [*texts, *kept] for secret in (link, password))


@pytest.mark.parametrize("what", ["password", "invite"])
def test_ak10_a_form_that_is_sent_again_does_its_work_once(auth: Any, boss: TestApp, what: str) -> None:
    user = person(auth, NO_MAILBOX, password=None)
    form = boss.get(f"/-/auth/staff/{user.id}/password").forms[f"staff-{what}"]
    first = form.submit(status=200)
    assert form.submit(status=200).html.select(".slip"), "a second press"
    with time_machine.travel(time.time() + 61, tick=False):
        again = form.submit(status=409)
    assert "have changed since this page was opened" in again.text
    assert not again.html.select(".slip")
    if what == "password":
        assert sign_in(browser(auth), NO_MAILBOX, first.html.select_one(".slip .big").text).status_int == 303
    else:
        assert accept(auth, shown_link(first)).status_int == 303


def test_no_address_is_flooded_with_invitations(auth: Any, boss: TestApp, mailer: MemoryMailer) -> None:
    for _ in range(5):
        invited(boss, MAILBOX)
        auth.accounts.delete(auth.accounts.find(MAILBOX).id)
    answer = boss.post_json("/-/auth/staff/create", {"email": MAILBOX, "invite": True}, status=429)
    assert answer.json["code"] == "too_many_mails"
    assert len(mailer.outbox) == 5
    assert auth.accounts.find(MAILBOX) is None


def test_one_who_loses_the_right_invites_no_more(auth: Any, boss: TestApp) -> None:
    invited(boss)
    user = auth.accounts.find(NO_MAILBOX)
    auth._services.directory.update("1", role="staff")
    assert boss.post(f"/-/auth/staff/{user.id}/invite", {}, expect_errors=True).status_int == 403
    assert len(events(auth, "invited")) == 1


def test_what_an_invitation_ends_names_the_invitation(auth: Any, boss: TestApp) -> None:
    link = shown_link(invited(boss))
    user = auth.accounts.find(NO_MAILBOX)
    account, state = auth._services.users.get(user.id), auth._services.account_states.account_state(user.id)
    auth._services.sessions.open(account, state, Client(), persistent=True)
    assert accept(auth, link).status_int == 303
    assert [row.details["why"] for row in events(auth, "session_ended")] == ["invitation_accepted"]
