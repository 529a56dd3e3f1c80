"""The forgotten password: the link in the mail sets a new password once, and for no other account."""

from __future__ import annotations

import threading

import pytest
import time_machine

from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import link_in
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, events, middleware, person, seen, sign_in

NEW = "midori-no-oka-to-kaze"
NOW = 1795470000.0


@pytest.fixture
def auth(mailer):
    auth = middleware(mailer=mailer, public_paths=["/*"])
    auth.tanaka = person(auth)
    return auth


def ask(auth, email="tanaka@example.com", address="192.0.2.1"):
    return browser(auth, address).post("/-/auth/forgot", {"email": email}, expect_errors=True)


def mailed_path(mailer):
    return link_in(mailer.outbox[-1]).removeprefix("http://localhost")


def set_new(auth, path, password=NEW, **environ):
    return browser(auth, **environ).post(path, {"password": password}, expect_errors=True)


@pytest.mark.parametrize("typed", ["ｇｅｎｂａ", "げんば@example.com", "tanaka", "tanaka@", "a@b@example.com"])
def test_a_text_that_cannot_be_an_address_is_said_to_be_none(auth, mailer, typed):
    """Nothing is told of an account: the text alone decides. Else the user waits for a mail that never comes."""
    page = ask(auth, typed)
    assert page.status_int == 422
    field = page.html.find(id="email")
    assert (field["value"], field["aria-invalid"], field["aria-describedby"]) == (typed, "true", "problem")
    assert page.html.find(id="problem", role="alert")
    program = browser(auth).post_json("/-/auth/forgot", {"email": typed}, status=422)
    assert program.json["code"] == "email_rejected"
    assert mailer.outbox == []


def test_an_address_in_full_width_characters_gets_its_mail(auth, mailer):
    assert ask(auth, "ｔａｎａｋａ＠ｅｘａｍｐｌｅ．ｃｏｍ").status_int == 200
    assert [mail.to for mail in mailer.outbox] == ["tanaka@example.com"]


def test_a_person_who_forgot_everything_but_their_mailbox_gets_back_in(auth, mailer):
    page = browser(auth)
    page.get("/-/auth/login").click(href="forgot")
    form = page.get("/-/auth/forgot").forms["forgot"]
    form["email"] = " Tanaka@Example.COM "
    assert form.submit().status_int == 200
    (mail,) = mailer.outbox
    assert mail.to == "tanaka@example.com"
    form = page.get(mailed_path(mailer)).forms["reset"]
    form["password"] = NEW
    answer = form.submit()
    assert (answer.status_int, answer.location) == (303, "/-/auth/login")
    assert seen(page) == ""
    assert "password was changed" in page.get("/-/auth/login").text
    assert "password was changed" not in page.get("/-/auth/login").text
    assert sign_in(page, password=NEW).status_int == 303
    assert seen(page) == auth.tanaka.id
    assert sign_in(browser(auth)).status_int == 401
    assert [event.event for event in events(auth)][1:4] == ["password_reset_requested", "password_reset", "signed_in"]


def test_rs10_setting_the_password_ends_every_session_lifts_the_lock_and_tells_the_owner(auth, mailer):
    devices = [browser(auth), browser(auth)]
    for device in devices:
        sign_in(device)
    for _ in range(5):
        sign_in(browser(auth, "198.51.100.7"), password=WRONG)
    ask(auth)
    set_new(auth, mailed_path(mailer))
    assert [seen(device) for device in devices] == ["", ""]
    assert sign_in(browser(auth, "198.51.100.9"), password=NEW).status_int == 303
    (notice,) = [mail for mail in mailer.outbox if "was reset" in mail.text]
    assert notice.to == "tanaka@example.com"
    for secret in (NEW, PASSWORD, "/reset/"):
        assert secret not in notice.text + (notice.html or "")
    (unlocked,) = events(auth, "unlocked")
    assert unlocked.user_id == auth.tanaka.id
    assert [event.details["why"] for event in events(auth, "session_ended")] == ["password_reset"] * 2


def test_a_notice_goes_to_the_address_for_notifications_too(mailer):
    auth = middleware(mailer=mailer)
    person(auth, notify_email="tanaka.home@example.org", language="ja")
    ask(auth)
    assert [mail.to for mail in mailer.outbox] == ["tanaka@example.com"]
    set_new(auth, mailed_path(mailer))
    assert [mail.to for mail in mailer.outbox[1:]] == ["tanaka@example.com", "tanaka.home@example.org"]
    assert "パスワード" in mailer.outbox[0].subject


def test_rs13_asking_changes_nothing(auth, mailer):
    here = browser(auth)
    sign_in(here)
    store = auth._services.session_store
    before = store.get(auth.tanaka.id), store.account_state(auth.tanaka.id)
    for number in range(3):
        ask(auth, address=f"198.51.100.{number}")
    assert (store.get(auth.tanaka.id), store.account_state(auth.tanaka.id)) == before
    assert seen(here) == auth.tanaka.id
    assert sign_in(browser(auth)).status_int == 303
    assert len(mailer.outbox) == 1
    assert set_new(auth, mailed_path(mailer)).status_int == 303


def changed_password(auth):
    auth.accounts.set_password(auth.tanaka.id, "shiroi-kumo-to-aoi-umi")


def changed_and_changed_back(auth):
    auth.accounts.set_password(auth.tanaka.id, "shiroi-kumo-to-aoi-umi")
    auth.accounts.set_password(auth.tanaka.id, PASSWORD)


def moved_and_moved_back(auth):
    auth.accounts.change_email(auth.tanaka.id, "tanaka.2@example.com")
    auth.accounts.change_email(auth.tanaka.id, "tanaka@example.com")


def given_another_password(auth):
    auth.accounts.set_password(auth.tanaka.id, "shiroi-kumo-to-aoi-umi", must_change=True)


def moved(auth):
    auth.accounts.change_email(auth.tanaka.id, "tanaka.2@example.com")


def changed_by_themselves(auth):
    own = browser(auth)
    sign_in(own)
    fields = {"current_password": PASSWORD, "password": "shiroi-kumo-to-aoi-umi"}
    assert own.post("/-/auth/account/password", fields).status_int == 303


def disabled(auth):
    auth.accounts.set_active(auth.tanaka.id, False)


def disabled_and_enabled(auth):
    auth.accounts.set_active(auth.tanaka.id, False)
    auth.accounts.set_active(auth.tanaka.id, True)


def deleted(auth):
    auth.accounts.delete(auth.tanaka.id)


@pytest.mark.parametrize(
    "change",
    [
        *(changed_password, changed_and_changed_back, given_another_password, changed_by_themselves),
        *(moved, moved_and_moved_back, disabled, disabled_and_enabled, deleted),
    ],
)
def test_rs3_a_link_dies_with_any_change_of_its_account(auth, mailer, change):
    ask(auth)
    path = mailed_path(mailer)
    change(auth)
    assert browser(auth).get(path, expect_errors=True).status_int == 410
    assert set_new(auth, path).status_int == 410
    assert sign_in(browser(auth), password=NEW).status_int == 401


def test_rs2_a_link_works_for_an_hour_and_no_longer(auth, mailer):
    with time_machine.travel(NOW, tick=False) as clock:
        ask(auth)
        path = mailed_path(mailer)
        clock.move_to(NOW + 3599)
        page = browser(auth).get(path)
        clock.move_to(NOW + 3600)
        assert page.forms["reset"].submit(expect_errors=True).status_int == 410
        clock.move_to(NOW - 86400)
        assert set_new(auth, path).status_int == 410
        clock.move_to(NOW + 3599)
        assert set_new(auth, path).status_int == 303


@pytest.mark.parametrize("first", ["older", "newer"])
def test_rs3_all_links_of_an_account_die_when_one_is_used(auth, mailer, first):
    with time_machine.travel(NOW, tick=False) as clock:
        ask(auth)
        links = [mailed_path(mailer)]
        clock.shift(61)
        ask(auth)
        links.insert(0 if first == "newer" else 1, mailed_path(mailer))
        assert links[0] != links[1]
        assert set_new(auth, links[0]).status_int == 303
        assert set_new(auth, links[1]).status_int == 410
        assert set_new(auth, links[0]).status_int == 410
        assert sign_in(browser(auth), password=NEW).status_int == 303


@pytest.mark.parametrize("on_disk", [False, True])
def test_rs1_of_many_at_once_with_one_link_one_succeeds(mailer, tmp_path, on_disk):
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}") if on_disk else MemoryStore()
    if on_disk:
        store.create_schema()
    auth = middleware(mailer=mailer, store=store)
    person(auth)
    ask(auth)
    path, outcomes, passwords = mailed_path(mailer), [], auth._services.hashing
    found_good = threading.Barrier(6)

    def when_all_have_opened_it(password, hash=passwords.hash):
        found_good.wait(10)
        return hash(password)

    def spend(number):
        outcomes.append((set_new(auth, path, f"{NEW}-{number}").status_int, number))

    passwords.hash = when_all_have_opened_it
    threads = [threading.Thread(target=spend, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del passwords.hash
    assert sorted(status for status, _ in outcomes) == [303] + [410] * 5
    (winner,) = [number for status, number in outcomes if status == 303]
    assert sign_in(browser(auth), password=f"{NEW}-{winner}").status_int == 303
    for number in set(range(6)) - {winner}:
        assert sign_in(browser(auth), password=f"{NEW}-{number}").status_int == 401
    assert set_new(auth, path).status_int == 410
    if on_disk:
        store.close()


def test_a_disabling_that_comes_between_the_look_and_the_use_wins(auth, mailer):
    ask(auth)
    path, hasher = mailed_path(mailer), auth._services.hashing

    def meanwhile(password, hash=hasher.hash):
        auth.accounts.set_active(auth.tanaka.id, False)
        return hash(password)

    hasher.hash = meanwhile
    assert set_new(auth, path).status_int == 410
    del hasher.hash
    auth.accounts.set_active(auth.tanaka.id, True)
    assert sign_in(browser(auth)).status_int == 303


def test_a_weak_password_is_refused_with_advice_and_the_link_stays_good(auth, mailer):
    ask(auth)
    path = mailed_path(mailer)
    for weak, words in [("kurz", "at least 8"), ("aaaaaaaaaaaa", "Repeats"), ("tanaka@example.com", "easy to guess")]:
        answer = set_new(auth, path, weak)
        assert answer.status_int == 422
        assert words in answer.text
        told = answer.text.replace('value="tanaka@example.com"', "").replace('"whose">tanaka@example.com<', "")
        assert weak not in told
    again = set_new(auth, path, "aaaaaaaaaaaa")
    assert again.forms["reset"].action == path
    assert again.forms["language"]["next"].value == path
    japanese = set_new(auth, path, "aaaaaaaaaaaa", HTTP_ACCEPT_LANGUAGE="ja")
    assert "繰り返し" in japanese.text
    assert set_new(auth, path).status_int == 303


def test_ma5_an_account_gets_a_mail_a_minute_and_five_an_hour(auth, mailer):
    sent, answers = [], set()
    with time_machine.travel(NOW, tick=False) as clock:
        for second in range(0, 7200, 20):
            clock.move_to(NOW + second)
            answers.add(ask(auth, address=f"198.51.100.{second // 20 % 250}").text)
            if len(mailer.outbox) > len(sent):
                sent.append(second)
    assert len(answers) == 1
    assert sent == [0, 60, 120, 180, 240, 3600, 3660, 3720, 3780, 3840]


def test_ma5_requests_count_against_the_client_address(auth, mailer):
    for number in range(50):
        assert ask(auth, f"nobody{number}@example.com", "203.0.113.9").status_int == 200
    limited = ask(auth, "tanaka@example.com", "203.0.113.9")
    assert limited.status_int == 429
    assert int(limited.headers["Retry-After"]) > 0
    assert mailer.outbox == []
    assert ask(auth).status_int == 200
    assert sign_in(browser(auth, "203.0.113.9")).status_int == 429


def test_nothing_is_hashed_for_a_request(mailer):
    from nipo_auth_mw.testing import fast_hasher

    hasher = SpyHasher(fast_hasher())
    auth = middleware(mailer=mailer, hasher=hasher)
    person(auth)
    before = hasher.hashed
    for email in ("tanaka@example.com", "nobody@example.com", "", "x" * 5000):
        ask(auth, email)
    assert (hasher.verified, hasher.hashed) == ([], before)


def test_json_says_the_same(auth, mailer):
    page = browser(auth)
    answer = page.post_json("/-/auth/forgot", {"email": "tanaka@example.com"})
    assert answer.json == {"requested": True, "sender": "noreply@example.com", "lasts": 3600}
    path = mailed_path(mailer)
    assert page.get(path, headers={"Accept": "application/json"}).json == {"email": "tanaka@example.com"}
    weak = page.post_json(path, {"password": "aaaaaaaaaaaa"}, status=422)
    assert (weak.json["code"], weak.json["reason"]) == ("password_rejected", "guessable")
    assert page.post_json(path, {"password": NEW}).json == {"next": "/-/auth/login", "password_reset": True}
    assert page.post_json(path, {"password": NEW}, status=410).json["code"] == "link_expired"


def test_without_a_mailer_the_page_says_whom_to_ask():
    auth = middleware(mailer=None)
    assert "administrator" in browser(auth).get("/-/auth/forgot").text
    assert "forgot" not in browser(auth).get("/-/auth/forgot").forms
    assert ask(auth).status_int == 404


def test_an_invited_person_sets_a_first_password(auth, mailer):
    invited = auth.accounts.create(email="suzuki@example.com")
    ask(auth, "suzuki@example.com")
    assert set_new(auth, mailed_path(mailer)).status_int == 303
    page = browser(auth)
    assert sign_in(page, "suzuki@example.com", NEW).status_int == 303
    assert seen(page) == invited.id


def test_lk16_a_lock_is_written_once_and_told_to_its_owner_once_an_hour(auth, mailer):
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(4):
            for _ in range(6):
                sign_in(browser(auth), password=WRONG)
                sign_in(browser(auth, "192.0.2.77"), "nobody@example.com", WRONG)
            clock.shift(16 * 60)
    assert [mail.to for mail in mailer.outbox] == ["tanaka@example.com"]
    assert "locked for 5 minutes" in mailer.outbox[0].text
    assert [row.user_id for row in events(auth, "locked")] == [auth.tanaka.id, None] * 4


def test_an_address_for_users_without_a_mailbox_is_told_that_no_mail_will_come(auth):
    known = person(auth, "shain@dummy.invalid")
    for email in (known.email, "nobody@dummy.INVALID"):
        answer = browser(auth).post("/-/auth/forgot", {"email": email}, status=422)
        assert "cannot receive email" in answer.html.find(id="problem").get_text()
        assert answer.forms["forgot"]["email"].value == email
    answer = browser(auth).post("/-/auth/forgot", {"email": "tanka@example.com"})
    assert "tanka@example.com" in answer.html.find("main").get_text(), "so that a typing error shows"
