"""Users arrive where they wanted to go, in a real browser."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest
from werkzeug.serving import make_server

from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.testing import in_memory
from tests._services import expect
from tests.browser.conftest import Quiet
from tests.kit import PASSWORD, WRONG, person


@contextmanager
def served(app, host="localhost"):
    """The URL of an app on a port of its own: an origin of its own."""
    server = make_server(host, 0, app, True, False, Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://{host}:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def page_of(environ, start_response):
    """A page that says where it is."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [b"<!doctype html><title>there</title><p id=there>there</p>"]


class Site:
    """A wrapped app whose paths below /away redirect to another origin, in one step or two."""

    def __init__(self, away):
        self.away = away
        self.app = None

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)

    def inner(self, environ, start_response):
        targets = {"/": f"{self.away}/landed", "/away": f"{self.away}/landed", "/steps": "/away"}
        if target := targets.get(environ["PATH_INFO"]):
            start_response("302 Found", [("Location", target)])
            return [b""]
        return page_of(environ, start_response)

    def build(self, base_url, languages=("en",)):
        config = AuthConfig(secret_key="for the tests of a browser alone, x", base_url=base_url, languages=languages)
        self.auth = AuthMiddleware(lambda *given: self.inner(*given), **{**in_memory(), "config": config})
        self.app = self.auth
        person(self.auth)


@pytest.fixture
def site(chromium):
    with served(page_of) as away:
        site = Site(away)
        with served(site) as url:
            site.url = url
            site.build(url)
            yield site


def fill(page, password=PASSWORD):
    page.locator("input[name=email]").fill("tanaka@example.com")
    page.locator("input[name=password]").fill(password)
    page.locator("#login button[type=submit]").click()


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("path", ["/", "/away", "/steps", "/-/auth/login"])
def test_ru12_after_sign_in_the_browser_gets_where_the_app_sends_it(site, new_browser, path, script):
    page = new_browser("en", java_script_enabled=script).new_page()
    page.goto(site.url + path)
    fill(page)
    page.wait_for_url(f"{site.away}/landed")
    expect(page.locator("#there")).to_be_visible()


def test_ru12_the_way_back_is_no_form_to_send_again(site, new_browser):
    page = new_browser("en").new_page()
    page.goto(f"{site.url}/here")
    fill(page)
    page.wait_for_url(f"{site.url}/here")
    page.goto(f"{site.url}/there")
    page.go_back()
    page.wait_for_url(f"{site.url}/here")
    expect(page.locator("#there")).to_be_visible()


def test_ru12_sign_out_and_the_passwords_pages_lead_to_another_origin_too(site, new_browser):
    page = new_browser("en").new_page()
    page.goto(f"{site.url}/here")
    fill(page)
    page.wait_for_url(f"{site.url}/here")
    page.goto(f"{site.url}/-/auth/account/confirm?next=/steps")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("#account-confirm button[type=submit]").click()
    page.wait_for_url(f"{site.away}/landed")
    page.goto(f"{site.url}/-/auth/login?next=/steps")
    page.wait_for_url(f"{site.away}/landed")


def test_ru12_a_form_to_another_origin_stays_impossible(site, new_browser):
    page = new_browser("en").new_page()
    page.goto(f"{site.url}/-/auth/login")
    stopped = []
    page.on("console", lambda message: stopped.append(message.text) if "form-action" in message.text else None)
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.evaluate("away => { document.forms.login.action = away; document.forms.login.submit(); }", site.away)
    assert page.url.startswith(site.url)
    assert stopped


@pytest.mark.parametrize("fragment", ["#/orders/42", "#a=1&b='\"<i>", "#日報", "#\\x"])
def test_ru13_the_fragment_of_a_deep_link_is_kept_over_sign_in(site, new_browser, fragment):
    page = new_browser("en").new_page()
    page.goto(f"{site.url}/app?x=1{fragment}")
    typed = page.evaluate("location.hash").replace("\\", "%5C")
    fill(page, WRONG)
    expect(page.get_by_role("alert")).to_be_visible()
    fill(page)
    expect(page.locator("#there")).to_be_visible()
    assert page.url == f"{site.url}/app?x=1{typed}"


def test_ru13_the_fragment_is_kept_over_a_change_of_language(site, new_browser):
    site.build(site.url, languages=("en", "ja"))
    page = new_browser("en").new_page()
    page.goto(f"{site.url}/app#/orders/42")
    page.locator("#language button").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    fill(page)
    page.wait_for_url(f"{site.url}/app#/orders/42")


def test_ru13_the_fragment_is_kept_over_re_authentication(site, new_browser):
    page = new_browser("en").new_page()
    page.goto(f"{site.url}/here")
    fill(page)
    page.wait_for_url(f"{site.url}/here")
    page.goto(f"{site.url}/-/auth/account/confirm?next=/app#/orders/42")
    for password in (WRONG, PASSWORD):
        page.locator("input[name=password]").fill(password)
        page.locator("#account-confirm button[type=submit]").click()
    page.wait_for_url(f"{site.url}/app#/orders/42")


@pytest.mark.parametrize("script", [True, False])
def test_ru13_a_next_of_6000_characters_is_kept_over_sign_in(site, new_browser, script):
    page = new_browser("en", java_script_enabled=script).new_page()
    page.goto(f"{site.url}/report?f=" + "%E6" * 2000)
    fill(page, WRONG)
    fill(page)
    expect(page.locator("#there")).to_be_visible()
    assert page.url == f"{site.url}/report?f=" + "%E6" * 2000


def test_ru15_a_browser_that_blocks_cookies_is_told_so(site, new_browser):
    def without_cookies(environ, start_response):
        def start(status, headers, *more):
            return start_response(status, [pair for pair in headers if pair[0] != "Set-Cookie"], *more)

        return site.auth(environ, start)

    site.app = without_cookies
    page = new_browser("en").new_page()
    page.goto(f"{site.url}/here")
    fill(page)
    expect(page.get_by_role("alert")).to_contain_text("settings prevent signing in")


def test_ru15_a_browser_that_came_by_http_is_told_the_https_address(chromium, new_browser):
    address = own_address()
    site = Site("")
    with served(site, address) as url:
        site.build("https://reports.example.jp")
        page = new_browser("en").new_page()
        page.goto(f"{url}/here")
        fill(page)
        expect(page.get_by_role("alert")).to_contain_text("https://reports.example.jp")


def own_address():
    """An address of this machine that is not loopback, so that the browser takes http there for insecure."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return probe.getsockname()[0]


def test_ru15_a_page_of_ours_in_a_frame_opens_a_window_of_its_own(site, new_browser):
    page = new_browser("en").new_page()
    page.goto(f"{site.away}/portal")
    page.set_content(f'<iframe src="{site.url}/here" width="600" height="400"></iframe>')
    link = page.frame_locator("iframe").get_by_role("link", name="Open in a new window")
    with page.context.expect_page() as opened:
        link.click()
    fill(opened.value)
    opened.value.wait_for_url(f"{site.url}/here")
