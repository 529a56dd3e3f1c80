"""Rows EF5 and RC4: every new proof is told at once, to both addresses; backup codes are shown once."""

from __future__ import annotations

import pytest
import time_machine
from webtest import AppError

from nipo_auth_mw.errors import MailerError, StoreUnavailable
from nipo_auth_mw.testing import MemoryMailer, code_of, enrol_app
from tests.features.test_passkeys import add as add_passkey
from tests.kit import PASSWORD, browser, elapsing, enrol_passkey, events, middleware, person
from tests.kit import sign_in as typed

NOW = 1_900_000_000.0
SECURITY = "/-/auth/account/security"
BOTH = ["tanaka@example.com", "tanaka@example.jp"]


class Failing(MemoryMailer):
    """A mailer that can be out of reach. A subclass is sent to in the background, as a real one is."""

    away = False

    def send(self, message):
        if self.away:
            raise MailerError("away")
        super().send(message)


@pytest.fixture
def mailer():
    return Failing()


@pytest.fixture
def auth(mailer):
    auth = middleware(mailer=mailer)
    person(auth, notify_email="tanaka@example.jp")
    return auth


def signed_in(auth, code=""):
    """A browser whose user has typed the password, and a code where one is due."""
    device = browser(auth)
    typed(device)
    if code:
        device.post("/-/auth/login/second", {"code": code}, status=303)
    return device


def set_up(device, path=f"{SECURITY}/app"):
    """Set an app up as a user does. Returns its key."""
    page = device.get(path)
    key = page.html.find("span", class_="copy").text
    page.forms["account-security-app"]["code"] = code_of(key)
    assert page.forms["account-security-app"].submit().status_int == 303
    return key


def codes_on(page):
    return [item.text.strip() for item in page.html.select(".codes li")]


def first_app(auth):
    set_up(signed_in(auth))


def another_app(auth):
    secret = enrol_app(auth, auth.accounts.find("tanaka@example.com"))
    set_up(signed_in(auth, code_of(secret)), f"{SECURITY}/app?replace=1")


def codes(auth):
    secret = enrol_app(auth, auth.accounts.find("tanaka@example.com"))
    assert len(codes_on(signed_in(auth, code_of(secret)).post(f"{SECURITY}/codes", {}))) == 10


def first_passkey(auth):
    add_passkey(signed_in(auth))


def another_passkey(auth):
    enrol_passkey(auth, auth.accounts.find("tanaka@example.com"))
    add_passkey(signed_in(auth))


BINDINGS = {
    first_app: ("two_step_on", "two-step sign-in is on"),
    another_app: ("factor_added", "your authenticator app was replaced"),
    codes: ("codes_made", "new backup codes"),
    first_passkey: ("factor_added", "a passkey was added"),
    another_passkey: ("factor_added", "a passkey was added"),
}


@pytest.mark.parametrize("bind", BINDINGS)
def test_ef5_every_binding_is_told_at_once_to_both_addresses(auth, mailer, bind):
    event, subject = BINDINGS[bind]
    bind(auth)
    assert auth.flush_mail(timeout=10)
    assert [(mail.to, mail.subject) for mail in mailer.outbox] == [(to, f"localhost: {subject}") for to in BOTH]
    assert len(events(auth, event)) == 1
    for mail in mailer.outbox:
        assert "127.0.0.1" in mail.text or "192.0.2.1" in mail.text, "the device that did it"
        assert "If it wasn’t you" in mail.text


@pytest.mark.parametrize("bind", BINDINGS)
def test_ef5_a_binding_stands_while_the_mailer_is_down_and_is_told_afterwards(auth, mailer, bind):
    mailer.away = True
    outbox, user = auth._services.outbox, auth.accounts.find("tanaka@example.com")
    with elapsing(NOW) as clock:
        bind(auth)
        outbox.deliver()
        assert mailer.outbox == []
        assert auth._services.factors.of(user.id)
        mailer.away = False
        for _ in range(60):
            clock.shift(10)
            outbox.deliver()
    assert sorted(mail.to for mail in mailer.outbox) == BOTH


@pytest.mark.parametrize("bind", BINDINGS)
def test_ef5_what_cannot_be_told_is_not_bound(auth, bind, monkeypatch):
    """A store that is full keeps neither the mail nor the proof: an attacker cannot bind one unseen."""
    user, factors = auth.accounts.find("tanaka@example.com"), auth._services.factors
    kept = {first_app: [], first_passkey: [], another_passkey: [0.0]}.get(bind, [NOW])
    before = []

    def full(*mails):
        before.extend(mail.kind for mail in mails)
        raise StoreUnavailable("full")

    monkeypatch.setattr(auth._services.outbox, "put", full)
    with time_machine.travel(NOW, tick=False), pytest.raises((AppError, AssertionError)):
        bind(auth)
    assert len(set(before)) == 1
    assert events(auth, BINDINGS[bind][0]) == []
    assert [factor.used_at for factor in factors.of(user.id)] == kept
    assert factors.codes_left(user.id) == 0


def test_rc4_codes_are_shown_once_and_no_mail_holds_one(auth, mailer):
    key = enrol_app(auth, auth.accounts.find("tanaka@example.com"))
    device = signed_in(auth, code_of(key))
    shown = codes_on(device.post(f"{SECURITY}/codes", {}))
    assert auth.flush_mail(timeout=10)
    told = "".join(mail.text + mail.html + mail.subject for mail in mailer.outbox)
    later = "".join(device.get(path).text for path in (SECURITY, f"{SECURITY}/codes", "/-/auth/account"))
    for code in shown:
        assert code not in told + later
        assert code.replace("-", "") not in told + later
    assert code_of(key) not in told


def test_rc4_a_new_set_ends_the_old_one(auth):
    key = enrol_app(auth, auth.accounts.find("tanaka@example.com"))
    device = signed_in(auth, code_of(key))
    old, new = (codes_on(device.post(f"{SECURITY}/codes", {})) for _ in range(2))
    other = browser(auth)
    typed(other)
    other.post("/-/auth/login/second", {"code": old[0]}, status=401)
    other.post("/-/auth/login/second", {"code": new[0]}, status=303)


def test_rc4_a_new_set_needs_a_fresh_session(auth, mailer):
    with time_machine.travel(NOW, tick=False) as clock:
        key = enrol_app(auth, auth.accounts.find("tanaka@example.com"))
        device = signed_in(auth, code_of(key))
        clock.shift(16 * 60)
        for answer in (device.get(f"{SECURITY}/codes"), device.post(f"{SECURITY}/codes", {}, expect_errors=True)):
            assert codes_on(answer) == []
            assert "account/confirm" in (answer.location or answer.text)
        program = device.post_json(f"{SECURITY}/codes", {}, status=403)
        assert program.json["code"] == "fresh_sign_in_required"
        assert events(auth, "codes_made") == []
        device.post("/-/auth/account/confirm", {"password": PASSWORD, "code": code_of(key)}, status=303)
        assert len(codes_on(device.post(f"{SECURITY}/codes", {}))) == 10
