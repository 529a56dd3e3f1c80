"""Passkeys as a host's suite sees them: public names, WebTest, no phone and no browser."""

import pytest
from webtest import TestApp

from nipo_auth_mw import AuthMiddleware, TwoStepPolicy, current_session, current_user, require_second
from nipo_auth_mw.testing import SoftPasskey, in_memory, mails, sign_in

SECURITY = "/-/auth/account/security"
JSON = {"Accept": "application/json"}


def app(environ, start_response):
    """A host's app: `/salaries` is for those with two steps."""
    if environ["PATH_INFO"] == "/salaries":
        require_second(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{current_user(environ).email} {'+'.join(current_session(environ).means)}".encode()]


def made(**settings):
    auth = AuthMiddleware(app, **in_memory(**settings))
    return auth, auth.accounts.create(email="yamada@example.com", role="admin")


def browser_of(auth):
    return TestApp(auth, extra_environ={"HTTP_ACCEPT": "text/html"})


def added(browser, passkey=None):
    """A passkey that the user of this browser has added."""
    passkey = passkey or SoftPasskey("http://localhost")
    options = browser.get(f"{SECURITY}/passkeys", headers=JSON).json["options"]
    browser.post(f"{SECURITY}/passkeys", {"credential": passkey.create(options)}, status=303)
    return passkey


def used(browser, passkey, route="login/passkey", **fields):
    """The answer to a passkey at this route."""
    options = browser.get(f"/-/auth/{route}", headers=JSON).json["options"]
    return browser.post(f"/-/auth/{route}", {"credential": passkey.get(options), **fields}, status="*")


def test_a_passkey_signs_in_and_proves_both_steps():
    auth, user = made()
    sign_in(auth, browser := browser_of(auth), user)
    passkey = added(browser)
    other = browser_of(auth)
    assert used(other, passkey, next="/salaries").location == "/salaries"
    assert other.get("/salaries").text == "yamada@example.com passkey"


def test_the_owner_hears_of_it():
    auth, user = made()
    sign_in(auth, browser := browser_of(auth), user)
    added(browser)
    (mail,) = mails(auth)
    assert (mail.to, mail.subject) == ("yamada@example.com", "localhost: a passkey was added")


def test_an_administrator_who_needs_two_steps_gets_in_with_a_passkey():
    auth, user = made(two_step=TwoStepPolicy(required_for=("admin",)))
    sign_in(auth, browser := browser_of(auth), user, means="password")
    assert browser.get("/salaries").location == f"{SECURITY}?next=/salaries"
    passkey = added(browser)
    browser.post(f"{SECURITY}/two-step", {"on": "1"}, status=303)
    assert browser.get("/salaries").status_int == 200
    assert used(other := browser_of(auth), passkey).status_int == 303
    assert other.get("/salaries").status_int == 200


@pytest.mark.parametrize("route", ["account/confirm", "login/second"])
def test_it_confirms_and_is_the_second_step(route):
    auth, user = made()
    auth.accounts.set_password(user.id, "umi-no-mieru-kaigi")
    sign_in(auth, browser := browser_of(auth), user)
    passkey = added(browser)
    if route == "login/second":
        browser.post(f"{SECURITY}/two-step", {"on": "1"})
        browser = browser_of(auth)
        form = browser.get("/-/auth/login").forms["login"]
        form["email"], form["password"] = "yamada@example.com", "umi-no-mieru-kaigi"
        form.submit()
    assert used(browser, passkey, route, next="/salaries").location == "/salaries"
    assert browser.get("/salaries").status_int == 200


def test_a_strange_passkey_and_a_used_answer_are_refused():
    auth, user = made()
    sign_in(auth, browser := browser_of(auth), user)
    passkey, stranger = added(browser), SoftPasskey("http://localhost")
    stranger.create(browser.get(f"{SECURITY}/passkeys", headers=JSON).json["options"])
    assert used(browser_of(auth), stranger).status_int == 401
    other = browser_of(auth)
    options = other.get("/-/auth/login/passkey", headers=JSON).json["options"]
    credential = {"credential": passkey.get(options)}
    assert other.post("/-/auth/login/passkey", credential).status_int == 303
    assert browser_of(auth).post("/-/auth/login/passkey", credential, status="*").status_int == 401


def test_a_passkey_of_another_origin_is_refused():
    auth, user = made()
    sign_in(auth, browser := browser_of(auth), user)
    elsewhere = SoftPasskey("https://reports.example.jp")
    options = browser.get(f"{SECURITY}/passkeys", headers=JSON).json["options"]
    refused = browser.post(f"{SECURITY}/passkeys", {"credential": elsewhere.create(options)}, headers=JSON, status=422)
    assert refused.json["code"] == "passkey_rejected"
