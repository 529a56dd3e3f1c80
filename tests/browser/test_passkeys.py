"""Passkeys in Chromium, with its virtual authenticator (WebAuthn Level 3 section 11)."""

from __future__ import annotations

import json
import time

import pytest
import time_machine

from tests._services import expect
from tests.browser.test_accessibility import FAULTS, axe  # noqa: F401 (the fixture)
from tests.browser.test_door import MEMBER, PHONE, opened, sign_in

SECURITY = "/-/auth/account/security"


class Authenticator:
    """The authenticator of one page's browser. It waits for its user until `touch`."""

    def __init__(self, page, *, synced=True, credentials=()):
        self.session = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable", {"enableUI": False})
        options = {
            "protocol": "ctap2",
            "ctap2Version": "ctap2_1",
            "transport": "internal" if synced else "usb",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": False,
            "defaultBackupEligibility": synced,
            "defaultBackupState": synced,
        }
        self.id = self.send("addVirtualAuthenticator", options=options)["authenticatorId"]
        for credential in credentials:
            self.send("addCredential", authenticatorId=self.id, credential=credential)

    def send(self, method, **parameters):
        return self.session.send(f"WebAuthn.{method}", parameters)

    def touch(self, on=True):
        """The user is there, and says yes to whatever is asked."""
        self.send("setAutomaticPresenceSimulation", authenticatorId=self.id, enabled=on)

    def credentials(self):
        return self.send("getCredentials", authenticatorId=self.id)["credentials"]


def enrolled(demo, page, **options):
    """Sign in by password, and add a passkey."""
    sign_in(page)
    page.locator("#who").wait_for()
    authenticator = Authenticator(page, **options)
    page.goto(demo.url + SECURITY)
    page.locator("a[href*='account/security/passkeys']").click()
    authenticator.touch()
    page.locator("#account-security-passkeys button").click()
    page.locator(".flash").wait_for()
    authenticator.touch(False)
    return authenticator


# With its user already there, the virtual authenticator would answer the autofill before the button is pressed.
NO_AUTOFILL = "if (window.PublicKeyCredential) PublicKeyCredential.isConditionalMediationAvailable = undefined"


def signed_out(demo, page, *, autofill=False):
    page.context.clear_cookies()
    if not autofill:
        page.add_init_script(NO_AUTOFILL)
    page.goto(demo.url)
    page.locator("#login").wait_for()


@pytest.mark.parametrize(
    ("language", "add", "button"),
    [
        ("ja-JP", "パスキーを作成する", "パスキーでログイン"),
        ("en-GB", "Create a passkey", "Sign in with a passkey"),
    ],
)
def test_a_person_adds_a_passkey_and_signs_in_by_the_button(demo, new_browser, language, add, button):
    page = opened(new_browser(language, **PHONE), demo, "/?from=mail")
    sign_in(page)
    page.locator("#who").wait_for()
    authenticator = Authenticator(page)
    page.goto(f"{demo.url}{SECURITY}/passkeys")
    expect(page.locator("#no-passkeys")).to_be_hidden()
    authenticator.touch()
    page.get_by_role("button", name=add).click()
    page.wait_for_url(demo.url + SECURITY)
    assert len(authenticator.credentials()) == 1
    authenticator.touch(False)
    signed_out(demo, page)
    page.goto(demo.url + "/?from=mail")
    authenticator.touch()
    page.get_by_role("button", name=button).click()
    expect(page.locator("#who")).to_contain_text("現場 担当")
    assert page.url == demo.url + "/?from=mail"


def test_the_list_of_the_address_field_offers_the_passkey(demo, new_browser):
    page = opened(new_browser(), demo)
    authenticator = enrolled(demo, page)
    signed_out(demo, page, autofill=True)
    assert page.locator("#email").get_attribute("autocomplete") == "username webauthn"
    # The virtual authenticator chooses at once what a person would choose from the list.
    authenticator.touch()
    page.reload()
    expect(page.locator("#who")).to_contain_text("現場 担当")


def test_the_button_takes_over_from_the_list_that_waits(demo, new_browser):
    page = opened(new_browser(), demo)
    authenticator = enrolled(demo, page)
    signed_out(demo, page, autofill=True)
    authenticator.touch()
    expect(page.locator("#login")).to_be_visible()
    page.locator("#login-passkey button").click()
    expect(page.locator("#who")).to_contain_text("現場 担当")


def test_the_password_signs_in_while_the_list_waits(demo, new_browser):
    page = opened(new_browser(), demo)
    enrolled(demo, page)
    signed_out(demo, page, autofill=True)
    sign_in(page)
    expect(page.locator("#who")).to_contain_text("現場 担当")


def test_a_synced_passkey_signs_in_on_a_second_device(demo, new_browser):
    first = enrolled(demo, opened(new_browser(), demo))
    (credential,) = first.credentials()
    page = opened(new_browser(**PHONE), demo)
    authenticator = Authenticator(page, credentials=[{**credential, "signCount": 0}])
    signed_out(demo, page)
    authenticator.touch()
    page.locator("#login-passkey button").click()
    expect(page.locator("#who")).to_contain_text("現場 担当")


def test_a_removed_passkey_is_refused_and_the_browser_is_told(demo, new_browser):
    page = opened(new_browser(), demo)
    page.add_init_script(
        "for (const name of ['signalUnknownCredential', 'signalAllAcceptedCredentials', 'signalCurrentUserDetails'])"
        "  PublicKeyCredential[name] = async (told) => {"
        "    const all = JSON.parse(sessionStorage.getItem('told') ?? '[]');"
        "    sessionStorage.setItem('told', JSON.stringify([...all, [name, told]]));"
        "  };"
    )
    authenticator = enrolled(demo, page)
    (credential,) = authenticator.credentials()
    page.goto(demo.url + SECURITY)
    told = dict(json.loads(page.evaluate("sessionStorage.getItem('told')")))
    assert len(told["signalAllAcceptedCredentials"]["allAcceptedCredentialIds"]) == 1
    assert told["signalCurrentUserDetails"]["name"] == MEMBER[0]
    page.locator("a[href*='account/security/remove']").click()
    page.locator("#account-security-remove button").click()
    page.locator(".flash").wait_for()
    told = dict(json.loads(page.evaluate("sessionStorage.getItem('told')")))
    assert told["signalAllAcceptedCredentials"]["allAcceptedCredentialIds"] == []
    signed_out(demo, page)
    if not authenticator.credentials():
        # The browser has taken the signal at its word.
        authenticator.send("addCredential", authenticatorId=authenticator.id, credential=credential)
    authenticator.touch()
    page.locator("#login-passkey button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    told = dict(json.loads(page.evaluate("sessionStorage.getItem('told')")))
    assert told["signalUnknownCredential"]["rpId"] == "localhost"


def test_a_person_who_says_no_reads_so_and_can_try_again(demo, new_browser):
    page = opened(new_browser(), demo)
    authenticator = enrolled(demo, page)
    signed_out(demo, page)
    authenticator.send("setUserVerified", authenticatorId=authenticator.id, isUserVerified=False)
    authenticator.touch()
    page.locator("#login-passkey button").click()
    expect(page.locator("#login-passkey .hint")).to_be_visible()
    authenticator.send("setUserVerified", authenticatorId=authenticator.id, isUserVerified=True)
    page.locator("#login-passkey button").click()
    expect(page.locator("#who")).to_be_visible()


def test_a_passkey_confirms_a_sensitive_action(demo, new_browser):
    page = opened(new_browser(), demo)
    authenticator = enrolled(demo, page)
    with time_machine.travel(time.time() + 20 * 60, tick=True):
        page.goto(f"{demo.url}{SECURITY}/passkeys")
        authenticator.touch()
        page.locator("#account-confirm-passkey button").click()
        page.wait_for_url(f"{demo.url}{SECURITY}/passkeys")


def test_a_passkey_is_the_second_step(demo, new_browser):
    page = opened(new_browser(), demo)
    authenticator = enrolled(demo, page)
    page.goto(f"{demo.url}{SECURITY}/two-step")
    page.locator("#account-security-two-step button").click()
    page.wait_for_url(f"{demo.url}{SECURITY}/codes")
    signed_out(demo, page)
    sign_in(page)
    page.locator("#login-second-passkey").wait_for()
    authenticator.touch()
    page.locator("#login-second-passkey button").click()
    expect(page.locator("#who")).to_be_visible()


def test_a_page_that_waited_gets_a_new_challenge_by_itself(demo, new_browser):
    context = new_browser()
    page = context.new_page()
    page.clock.install()
    page.goto(demo.url)
    before = page.locator("#login-passkey").get_attribute("data-options")
    with page.expect_navigation():
        page.clock.run_for(14 * 60_000 + 2000)
    assert page.locator("#login-passkey").get_attribute("data-options") != before
    page.locator("#email").fill("tanaka@example.com")
    page.clock.run_for(14 * 60_000 + 2000)
    expect(page.locator("#email")).to_have_value("tanaka@example.com")


def test_without_script_the_button_is_away_and_sign_in_works(demo, new_browser):
    page = opened(new_browser(java_script_enabled=False, **PHONE), demo)
    expect(page.locator("#login-passkey")).to_be_hidden()
    sign_in(page)
    expect(page.locator("#who")).to_be_visible()
    page.goto(f"{demo.url}{SECURITY}/passkeys")
    expect(page.locator("#no-passkeys")).to_be_visible()
    expect(page.locator("#account-security-passkeys")).to_be_hidden()


@pytest.mark.parametrize(("language", "width"), [("ja-JP", 320), ("en-GB", 1200)])
def test_no_page_of_passkeys_has_a_fault_that_axe_finds(demo, new_browser, axe, language, width):  # noqa: F811
    page = new_browser(language, color_scheme="light", viewport={"width": width, "height": 800}).new_page()
    page.goto(demo.url)
    enrolled(demo, page)
    faults = []
    for path in (SECURITY, f"{SECURITY}/passkeys", "/-/auth/account/confirm"):
        page.goto(demo.url + path)
        page.evaluate(axe)
        faults += [(path, *each) for each in page.evaluate(FAULTS, {})]
        for size in ("200%", ""):
            page.evaluate("size => document.documentElement.style.fontSize = size", size)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                faults.append((path, "scrolls sideways", size))
    assert faults == []
