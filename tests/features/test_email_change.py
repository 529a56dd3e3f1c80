"""The change of address, as its pages lead through it."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer
from tests.kit import PASSWORD, browser, middleware, person, sign_in

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
