"""Links in mails: how long they are good, and whose they are, whatever the ids of accounts look like."""

from __future__ import annotations

import re

import pytest
import time_machine

from nipo_auth_mw.models import Account
from nipo_auth_mw.testing import fast_hasher, link_in
from tests.downstream.suite.reports_users import DictUsers
from tests.kit import PASSWORD, browser, middleware, person, sign_in

NEW = "midori-no-oka-to-kaze"
NOW = 1795470000.0
DAY = 86400


@pytest.fixture
def auth(mailer):
    auth = middleware(mailer=mailer)
    person(auth)
    return auth


def reset_link(auth, mailer):
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    return link_in(mailer.outbox[-1]).removeprefix("http://localhost")


def confirm_link(auth, mailer):
    page = browser(auth)
    sign_in(page)
    page.post("/-/auth/account/email", {"email": "hanako@example.jp", "password": PASSWORD})
    (mail,) = [mail for mail in mailer.outbox if mail.to == "hanako@example.jp"]
    return link_in(mail).removeprefix("http://localhost")


def status(auth, path):
    return browser(auth).get(path, expect_errors=True).status_int


@pytest.mark.parametrize(("link", "lasts"), [(reset_link, 3600), (confirm_link, DAY)])
def test_cl1_a_link_lasts_its_time_on_a_clock_that_is_up_to_five_minutes_behind(auth, mailer, link, lasts):
    with time_machine.travel(NOW, tick=False) as clock:
        path = link(auth, mailer)
        for after, good in ((-301, False), (-300, True), (0, True), (lasts - 1, True), (lasts, False)):
            clock.move_to(NOW + after)
            assert status(auth, path) == (200 if good else 410), after


@pytest.mark.parametrize(
    "id", ["1", "12", "123", "12W", "1234567", "a.b", "?>~", "é", "4f0c5a2e-6f5e-4c39-8a7c-0d2b6d9f3f10"]
)
def test_a_link_finds_its_account_by_any_id(mailer, id):
    users = DictUsers()
    auth = middleware(mailer=mailer, users=users)
    for of, email in ((id, "tanaka@example.com"), ("other", "suzuki@example.com")):
        users.rows[of] = Account(of, email, fast_hasher().hash(PASSWORD))
    path = reset_link(auth, mailer)
    assert re.fullmatch(r"/-/auth/reset/[A-Za-z0-9._-]+", path), "no mail reader breaks it"
    assert browser(auth).post(path, {"password": NEW}).status_int == 303
    assert sign_in(browser(auth), password=NEW).status_int == 303
    assert sign_in(browser(auth), "suzuki@example.com").status_int == 303


@pytest.mark.parametrize(("asked", "begins"), [("ja", "パスワード"), ("en", "")])
def test_a_mail_to_an_account_without_a_language_speaks_the_pages(auth, mailer, asked, begins):
    browser(auth, HTTP_ACCEPT_LANGUAGE=asked).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    (mail,) = mailer.outbox
    assert begins in mail.subject
    assert mail.subject.isascii() is (asked == "en")
