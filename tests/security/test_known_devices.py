"""Known devices: row RU20 of what must hold."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.kit import PASSWORD, WRONG, browser, middleware, person, seen, sign_in

NEW = "midori-no-oka-to-kaze"


@pytest.fixture
def auth(each_store: Any) -> Any:
    auth = middleware(store=each_store, mailer=MemoryMailer())
    person(auth)
    person(auth, "suzuki@example.com")
    return auth


def reset_on(device: Any, auth: Any, email: str = "tanaka@example.com") -> Any:
    """Reset the password of this account in this browser."""
    device.post("/-/auth/forgot", {"email": email})
    path = re.sub(r"^https?://[^/]+", "", link_in(auth._services.outbox._mailer.outbox[-1]))
    return device.post(path, {"password": NEW}, status=303)


def strangers_lock(auth: Any, email: str = "tanaka@example.com") -> None:
    """Five wrong passwords from outside, and what they cause."""
    for _ in range(5):
        sign_in(browser(auth, "198.51.100.66"), email, WRONG)
    assert sign_in(browser(auth), email, NEW).status_int == 429


@pytest.mark.parametrize("known_before", [True, False])
def test_ru20_a_reset_makes_its_browser_known_and_opens_nothing(auth: Any, known_before: bool) -> None:
    device = browser(auth)
    if known_before:
        sign_in(device)
    answer = reset_on(device, auth)
    assert "nipo_device" in str(answer.headers.getall("Set-Cookie"))
    assert seen(device) == ""
    for _ in range(3):
        strangers_lock(auth)
        assert sign_in(device, password=NEW).status_int == 303
        device.post("/-/auth/logout")


def test_ru20_the_browser_stays_known_to_its_other_accounts(auth: Any) -> None:
    device = browser(auth)
    sign_in(device, "suzuki@example.com")
    reset_on(device, auth)
    for _ in range(5):
        sign_in(browser(auth, "198.51.100.66"), "suzuki@example.com", WRONG)
    assert sign_in(device, "suzuki@example.com").status_int == 303


def test_ru20_a_link_that_is_refused_makes_nothing_known(auth: Any) -> None:
    device = browser(auth)
    device.post("/-/auth/forgot", {"email": "tanaka@example.com"})
    path = re.sub(r"^https?://[^/]+", "", link_in(auth._services.outbox._mailer.outbox[-1]))
    for answer in (
        device.post(path, {"password": "short"}, status=422),
        device.post(path + "x", {"password": NEW}, status=410),
        device.get(path),
    ):
        assert "nipo_device" not in str(answer.headers.getall("Set-Cookie"))


def test_ru20_a_change_of_password_leaves_a_known_device_known_in_a_session_of_any_kind(auth: Any) -> None:
    device = browser(auth)
    sign_in(device)
    sign_in(device, remember="")
    fields = {"current_password": PASSWORD, "password": NEW}
    assert device.post("/-/auth/account/password", fields).status_int == 303
    strangers_lock(auth)
    assert sign_in(device, password=NEW).status_int == 303


def test_en2_a_full_device_cookie_costs_the_same_for_every_address(auth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    devices, compared = auth._services.known_devices, []
    real = devices._stamps._keyed.key_of
    monkeypatch.setattr(devices._stamps._keyed, "key_of", lambda *given: compared.append(given) or real(*given))
    cookie, state = None, auth._services.account_states.account_state("")
    accounts = [person(auth, f"p{number}@example.com") for number in range(20)]
    for user in accounts:
        account = auth._services.users.get(user.id)
        cookie = devices.remember(cookie, account, auth._services.account_states.account_state(user.id))
    counts = []
    for account in (auth._services.users.find_by_email("tanaka@example.com"), None, None):
        compared.clear()
        assert devices.known(cookie, account, state) is None
        counts.append(len(compared))
    assert counts == [20, 20, 20]
