"""The user's own language and notification address."""

from __future__ import annotations

import time
from typing import Any

import time_machine
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer
from tests.kit import events

NEXT = "midori-no-kaze-no-oto"
JSON = {"Accept": "application/json"}


def test_a_new_address_for_notices_is_told_to_all_who_knew(auth: Any, tanaka: TestApp, mailer: MemoryMailer) -> None:
    tanaka.post("/-/auth/account/profile", {"notify_email": "home@example.net"}, status=303)
    assert (
        "Retry-After" in tanaka.post("/-/auth/account/profile", {"notify_email": "a@example.net"}, status=429).headers
    )
    with time_machine.travel(time.time() + 61, tick=True):
        tanaka.post("/-/auth/account/profile", {"notify_email": "phone@example.net"}, status=303)
    assert sorted(m.to for m in mailer.outbox[2:]) == ["home@example.net", "phone@example.net", "tanaka@example.com"]
    assert [e.details["what"] for e in events(auth, "profile_changed")] == ["notify_email"] * 2


def test_it_asks_for_a_fresh_sign_in_and_the_language_does_not(auth: Any, tanaka: TestApp) -> None:
    with time_machine.travel(time.time() + 901, tick=True):
        tanaka.post("/-/auth/account/profile", {"notify_email": "evil@example.net"}, status=403)
        tanaka.post("/-/auth/account/profile", {"language": "ja"}, status=303)
    user = auth.accounts.find("tanaka@example.com")
    assert (user.notify_email, user.language) == (None, "ja")
    assert 'lang="ja"' in tanaka.get("/-/auth/account").text


def test_bad_details_are_refused_and_what_was_typed_stays(auth: Any, tanaka: TestApp) -> None:
    answer = tanaka.post("/-/auth/account/profile", {"notify_email": "no address"}, status=422)
    assert answer.forms["account-profile"]["notify_email"].value == "no address"
    assert (
        tanaka.post_json("/-/auth/account/profile", {"language": "xx"}, status=422).json["code"] == "unknown_language"
    )
