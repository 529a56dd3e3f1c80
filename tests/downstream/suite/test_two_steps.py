"""Two steps as a host's suite sees them: public names, WebTest, no phone and no browser."""

import time_machine
from webtest import TestApp
from werkzeug.exceptions import Forbidden

from nipo_auth_mw import AuthMiddleware, TwoStepPolicy, current_session, current_user
from nipo_auth_mw.testing import code_of, enrol_app, in_memory, mails, sign_in

PASSWORD = "umi-no-mieru-kaigi"
SECURITY = "/-/auth/account/security"


def app(environ, start_response):
    """A host's app: one page for everybody who is signed in, and one for those with two steps."""
    session = current_session(environ)
    if environ["PATH_INFO"] == "/salaries" and not session.second_at:
        raise Forbidden
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{current_user(environ).email} {'+'.join(session.means)} {bool(session.second_at)}".encode()]


def made(**settings):
    auth = AuthMiddleware(app, **in_memory(**settings))
    return auth, auth.accounts.create(email="yamada@example.com", password=PASSWORD, notify_email="taro@example.jp")


def browser_of(auth):
    return TestApp(auth, extra_environ={"HTTP_ACCEPT": "text/html"})


def typed_password(browser):
    """The answer to the right password in the form."""
    form = browser.get("/-/auth/login?next=/salaries").forms["login"]
    form["email"], form["password"] = "yamada@example.com", PASSWORD
    return form.submit()


def test_a_user_sets_an_app_up_and_signs_in_with_it():
    auth, user = made()
    browser, phone = browser_of(auth), browser_of(auth)
    sign_in(auth, browser, user)
    sign_in(auth, phone, user)
    page = browser.get(SECURITY).click(href="account/security/app")
    form, key = page.forms["account-security-app"], page.html.select_one(".copy").text
    form["code"] = code_of(key)
    codes = form.submit().follow().forms["account-security-codes"].submit()
    assert len({item.text for item in codes.html.select(".codes li")}) == 10
    assert browser.get("/salaries").text == "yamada@example.com password+app True"
    assert phone.get("/").status_int == 303, "the other sessions are over"

    second = typed_password(phone).follow().forms["login-second"]
    second["code"] = code_of(key, 1)
    assert second.submit().follow().text == "yamada@example.com password+app True"


def test_the_owner_hears_of_it_at_both_addresses():
    auth, user = made()
    browser = browser_of(auth)
    sign_in(auth, browser, user)
    page = browser.get(f"{SECURITY}/app")
    page.forms["account-security-app"]["code"] = code_of(page.html.select_one(".copy").text)
    page.forms["account-security-app"].submit()
    browser.post(f"{SECURITY}/codes", {})
    told = [(mail.to, mail.subject) for mail in mails(auth)]
    assert [to for to, _ in told] == ["yamada@example.com", "taro@example.jp"] * 2
    assert [subject for _, subject in told[::2]] == [
        "localhost: two-step sign-in is on",
        "localhost: new backup codes",
    ]


def test_a_backup_code_works_once_and_the_owner_hears_how_many_are_left():
    auth, user = made()
    enrol_app(auth, user)
    browser = browser_of(auth)
    sign_in(auth, browser, user)
    codes = [item.text.strip() for item in browser.post(f"{SECURITY}/codes", {}).html.select(".codes li")]
    for status in (303, 401):
        other = browser_of(auth)
        form = typed_password(other).follow().forms["login-second-code"]
        form["code"] = codes[0].upper()
        assert form.submit(status=status)
    assert "Codes left: 9" in mails(auth)[-2].text


def test_a_code_works_once_and_time_moves_with_time_machine():
    auth, user = made()
    secret = enrol_app(auth, user)
    with time_machine.travel(1_900_000_000, tick=False) as clock:
        for passed, status in ((0, 303), (0, 401), (30, 303), (-30, 401)):
            clock.shift(passed)
            form = typed_password(browser := browser_of(auth)).follow().forms["login-second"]
            form["code"] = code_of(secret)
            form.submit(status=status)
            assert browser.get("/").status_int == (200 if status == 303 else 303)


def test_wrong_codes_lock_and_say_that_the_password_is_known():
    auth, user = made()
    secret = enrol_app(auth, user)
    browser = browser_of(auth)
    for _ in range(5):
        form = typed_password(browser).follow().forms["login-second"]
        form["code"] = "000000" if code_of(secret) != "000000" else "000001"
        assert form.submit(status=401)
    form = typed_password(browser).follow().forms["login-second"]
    form["code"] = code_of(secret)
    assert "Retry-After" in form.submit(status=429).headers
    assert {mail.subject for mail in mails(auth)} == {"localhost: another person may know your password"}


def test_a_role_that_needs_two_steps_is_led_to_them():
    auth, user = made(two_step=TwoStepPolicy(required_for=("admin",)))
    browser = browser_of(auth)
    sign_in(auth, browser, user)
    assert browser.get("/").text == "yamada@example.com password False", "the role needs one step"
    auth.accounts.set_role(user.id, "admin")
    assert browser.get("/").location.partition("?")[0] == SECURITY
    program = browser.get("/", headers={"Accept": "application/json"}, status=403)
    assert program.json["code"] == "second_step_required"


def test_the_kit_proves_what_the_account_needs():
    auth, user = made(two_step=TwoStepPolicy(required_for=("admin",)))
    browser = browser_of(auth)
    sign_in(auth, browser, user)
    assert browser.get("/").text.endswith("password False")
    browser.get("/salaries", status=403)
    enrol_app(auth, user)
    assert browser.get("/").status_int == 303
    sign_in(auth, browser, user)
    assert browser.get("/salaries").text.endswith("password+app True")
    sign_in(auth, browser, user, means="password")
    browser.get("/salaries", status=403)

    admin = auth.accounts.create(email="kanri@example.com", role="admin")
    sign_in(auth, browser, admin)
    assert browser.get("/salaries").text == "kanri@example.com password+app True"
    sign_in(auth, other := browser_of(auth), admin)
    assert other.get("/salaries").status_int == browser.get("/salaries").status_int == 200
