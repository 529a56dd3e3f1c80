"""Back after sign-out, with the back/forward cache on: no page of the user comes back."""

from __future__ import annotations

import pytest

from tests.browser.conftest import ARGUMENTS
from tests.browser.test_door import MEMBER, sign_in

KEPT = "addEventListener('pageshow', event => { document.documentElement.dataset.kept = event.persisted })"


@pytest.fixture(scope="module")
def keeping(playwright, chromium):
    """A browser with the back/forward cache, which Playwright switches off otherwise."""
    without = ["--disable-back-forward-cache"]
    browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS, ignore_default_args=without)
    yield browser
    browser.close()


@pytest.fixture
def page(demo, keeping):
    """A page of a user who is signed in to the demo."""
    context = keeping.new_context(locale="ja-JP")
    context.set_default_timeout(10_000)
    context.add_init_script(KEPT)
    page = context.new_page()
    page.goto(demo.url)
    sign_in(page, *MEMBER)
    page.locator("#who").wait_for()
    yield page
    context.close()


def test_this_browser_does_keep_pages(demo, page):
    """Otherwise the tests below would show nothing."""
    page.goto(f"{demo.url}/-/auth/help")
    page.evaluate("window.history.back()")
    page.locator("#who").wait_for()
    assert page.locator("html").get_attribute("data-kept") == "true"


@pytest.mark.parametrize("place", ["", "/-/auth/account"])
def test_back_after_sign_out_asks_to_sign_in(demo, page, place):
    page.goto(demo.url + place)
    with page.expect_response("**/logout/forget") as forgotten:
        page.locator("summary").first.click()
        page.locator("#sign-out button").click()
    assert forgotten.value.all_headers().get("clear-site-data") == '"cache"'
    page.wait_for_load_state()
    page.evaluate("window.history.back()")
    page.locator("#login").wait_for()
    page.wait_for_function("location.search.includes('next=')")
    assert MEMBER[0] not in page.content()
