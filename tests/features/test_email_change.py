"""The change of address, as its pages lead through it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.kit import PASSWORD, browser, events, middleware, person, sign_in

NEXT = "midori-no-kaze-no-oto"
JSON = {"Accept": "application/json"}


def test_the_page_leads_through_the_change_of_address(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    form = tanaka.get("/-/auth/account").click(href="account/email").forms["account-email"]
    form["email"], form["password"] = "hanako@example.jp", PASSWORD
    assert 'role="status"' in form.submit(status=303).follow().text
    assert [m.to for m in mailer.outbox] == ["tanaka@example.com", "hanako@example.jp"]


def test_without_a_mailer_there_is_no_such_page() -> None:
    auth = middleware(mailer=None)
    person(auth)
    mine = browser(auth)
    sign_in(mine)
    assert "account/email" not in mine.get("/-/auth/account").text
    mine.get("/-/auth/account/email", status=404)
    mine.post("/-/auth/account/email", {"email": "a@example.net", "password": PASSWORD}, status=404)
    mine.get("/-/auth/email/cancel/abc", status=404)


@pytest.mark.parametrize("typed", ["", "no address", "tanaka@example.com", "TANAKA@EXAMPLE.COM"])
def test_a_bad_or_present_address_is_refused_in_words(tanaka: TestApp, typed: str) -> None:
    answer = tanaka.post("/-/auth/account/email", {"email": typed, "password": PASSWORD}, expect_errors=True)
    assert answer.status_int == 422
    assert answer.forms["account-email"]["email"].value == typed
    assert 'role="alert"' in answer.text


def requested(device: TestApp) -> Any:
    device.post("/-/auth/account/email", {"email": "hanako@example.jp", "password": PASSWORD}, status=303)
    return device.get("/-/auth/account")


def confirm_link(mailer: MemoryMailer) -> str:
    return next(link_in(mail) for mail in mailer.outbox if mail.to == "hanako@example.jp")


def test_a_change_that_waits_can_be_withdrawn(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    page = requested(tanaka)
    assert "hanako@example.jp" in page.text
    page = page.forms["account-email-cancel"].submit(status=303).follow()
    assert "cancelled" in page.html.select_one(".flash").text
    assert "hanako@example.jp" not in page.text
    assert browser(auth).get(confirm_link(mailer), expect_errors=True).status_int == 410
    assert [row.user_id for row in events(auth, "email_change_cancelled")] == ["1"]
    assert tanaka.post("/-/auth/account/email/cancel", headers=JSON).json["withdrawn"] is False


def test_the_mail_of_a_change_is_sent_again_from_the_filled_form(tanaka: TestApp, mailer: MemoryMailer) -> None:
    page = requested(tanaka)
    form = page.click("Send again").forms["account-email"]
    assert form["email"].value == "hanako@example.jp"
    form["password"] = PASSWORD
    with time_machine.travel(time.time() + 61, tick=False):
        form.submit(status=303)
    assert [mail.to for mail in mailer.outbox].count("hanako@example.jp") == 2


def test_a_change_that_is_confirmed_meanwhile_can_still_be_undone(
    auth: Any, tanaka: TestApp, mailer: MemoryMailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = requested(tanaka).forms["account-email-cancel"]
    store = auth._services.email_changes
    cancel = store.cancel_email_change

    def overtaken(key: str) -> Any:
        store.confirm_email_change(key, confirmed_at=time.time(), expires_at=time.time() + 600)
        return cancel(key)

    monkeypatch.setattr(store, "cancel_email_change", overtaken)
    form.submit(status=303)
    assert events(auth, "email_change_cancelled") == []
    undo = next(link_in(mail) for mail in mailer.outbox if "/email/cancel/" in mail.text)
    assert browser(auth).get(undo).status_int == 200
