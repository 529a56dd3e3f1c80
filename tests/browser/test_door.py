"""People at the demo's door, in a real browser."""

from __future__ import annotations

import re

import pytest

from nipo_auth_mw.testing import enrol_app
from tests._services import expect
from tests.browser.conftest import ARGUMENTS, Demo

MEMBER = ("genba@example.com", "asa-ichiban-no-nippo")
DISABLED = ("kyushoku@example.com", "yasumi-no-aida-dake")
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


def fill(page, email, password, *, keep=True):
    page.locator("#login input[name=email]").fill(email)
    page.locator("#login input[name=password]").fill(password)
    page.locator("#login input[name=remember]").set_checked(keep)


def sign_in(page, email=MEMBER[0], password=MEMBER[1], *, keep=True):
    fill(page, email, password, keep=keep)
    button = page.locator("#login button[type=submit]")
    if button.get_attribute("aria-disabled") == "true":
        # As from a page that was opened before the lock began.
        with page.expect_navigation():
            page.locator("#login").evaluate("form => form.submit()")
    else:
        button.click()


def opened(context, demo, path="/"):
    page = context.new_page()
    page.goto(demo.url + path)
    return page


@pytest.mark.parametrize(("language", "button"), [("ja-JP", "ログイン"), ("en-GB", "Sign in")])
@pytest.mark.parametrize("script", [True, False])
def test_a_person_signs_in_and_reaches_the_page_they_wanted(demo, new_browser, language, button, script):
    page = opened(new_browser(language, java_script_enabled=script, **PHONE), demo, "/?from=mail")
    expect(page.locator("html")).to_have_attribute("lang", language[:2])
    fill(page, *MEMBER)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("#who")).to_contain_text("現場 担当")
    assert page.url == demo.url + "/?from=mail"


def test_closing_and_reopening_the_browser_keeps_a_person_in(demo, playwright, chromium, tmp_path):
    def launch():
        return playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=chromium, args=ARGUMENTS, locale="ja-JP"
        )

    first = launch()
    sign_in(opened(first, demo))
    expect(first.pages[-1].locator("#who")).to_be_visible()
    first.close()
    again = launch()
    expect(opened(again, demo).locator("#who")).to_contain_text("現場")
    again.close()


def test_a_session_survives_a_restart_of_the_server(new_browser, tmp_path, chromium):
    demo = Demo(tmp_path / "demo")
    context = new_browser()
    sign_in(opened(context, demo))
    port = demo.port
    demo.stop()
    restarted = Demo(tmp_path / "demo", port)
    expect(opened(context, restarted).locator("#who")).to_be_visible()
    restarted.stop()


def test_signing_out_here_leaves_the_other_device_in(demo, new_browser):
    here, there = opened(new_browser(), demo), opened(new_browser(**PHONE), demo)
    for page in (here, there):
        sign_in(page)
        expect(page.locator("#who")).to_be_visible()
    here.locator(".nipo-menu summary").click()
    here.get_by_role("button", name="ログアウト").click()
    expect(here.locator("#login")).to_be_visible()
    there.reload()
    expect(there.locator("#who")).to_be_visible()
    here.goto(demo.url)
    expect(here.locator("#login")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_the_lock_tells_when_it_ends_and_counts_down(demo, new_browser, script):
    page = opened(new_browser(java_script_enabled=script), demo)
    for _ in range(4):
        sign_in(page, MEMBER[0], "machigai-password")
    expect(page.get_by_role("alert")).to_contain_text("あと1回")
    for _ in range(2):
        sign_in(page, MEMBER[0], "machigai-password")
        expect(page.get_by_role("alert")).to_contain_text(re.compile(r"\d+:\d\dまで"))
    left, button = page.locator(".countdown"), page.locator("#login button.main")
    assert page.locator("#login input[name=email]").input_value() == MEMBER[0]
    if not script:
        expect(left).to_be_hidden()
        return
    expect(left).to_contain_text(re.compile("あと[45]分"))
    before = left.inner_text()
    expect(left).not_to_have_text(before)
    expect(button).to_have_attribute("aria-disabled", "true")
    page.locator("#password").fill("machigai-password")
    page.locator("#password").press("Enter")
    expect(left).to_be_visible()
    page.locator("#email").fill("kanri@example.com")
    expect(button).to_have_attribute("aria-disabled", "false")
    page.locator("#password").fill("umi-no-mieru-kaigi")
    page.locator("#password").press("Enter")
    expect(page.locator("#who")).to_contain_text("管理")


def test_the_lock_of_the_second_step_takes_no_code_until_it_ends(demo, new_browser):
    enrol_app(demo.auth, demo.auth.accounts.find(MEMBER[0]))
    page = new_browser().new_page()
    page.clock.install()
    page.goto(demo.url)
    sign_in(page)
    for _ in range(5):
        page.locator("#code").fill("000000")
        page.locator("#login-second button[type=submit]").click()
    expect(page.locator(".countdown")).to_contain_text(re.compile("あと[45]分"))
    code, button = page.locator("#code"), page.locator("#login-second button[type=submit]")
    expect(code).not_to_have_attribute("aria-invalid", "true")
    expect(button).to_have_attribute("aria-disabled", "true")
    code.fill("000000")
    code.press("Enter")
    expect(page.locator(".countdown")).to_be_visible()
    page.clock.fast_forward(301_000)
    expect(page.locator(".over")).to_be_visible()
    expect(button).to_have_attribute("aria-disabled", "false")
    expect(code).to_be_focused()


def test_a_strangers_guesses_keep_the_owner_out_on_no_device_of_theirs(demo, new_browser):
    owner = opened(new_browser(), demo)
    sign_in(owner)
    stranger = opened(new_browser(), demo)
    for _ in range(6):
        sign_in(stranger, MEMBER[0], "machigai-password")
    expect(stranger.get_by_role("alert")).to_contain_text("ロック")
    owner.locator(".nipo-menu summary").click()
    owner.get_by_role("button", name="ログアウト").click()
    sign_in(owner)
    expect(owner.locator("#who")).to_be_visible()


@pytest.mark.parametrize(("language", "word"), [("ja-JP", "無効"), ("en-GB", "disabled")])
def test_a_disabled_account_is_told_so_and_whom_to_ask(demo, new_browser, language, word):
    page = opened(new_browser(language), demo)
    sign_in(page, *DISABLED)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(word)
    expect(alert).to_contain_text(DISABLED[0])


def test_disabling_ends_what_a_person_is_doing_at_the_next_click(demo, new_browser):
    page = opened(new_browser(), demo)
    sign_in(page)
    expect(page.locator("#who")).to_be_visible()
    demo.auth.accounts.set_active(demo.auth.accounts.find(MEMBER[0]).id, False)
    page.reload()
    expect(page.locator("#login")).to_be_visible()
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("無効")


def test_a_report_typed_while_the_session_ended_is_not_lost(demo, new_browser):
    context = new_browser()
    page = opened(context, demo)
    sign_in(page)
    page.locator("#body").fill("午前：定例会議\n午後：現場の確認")
    elsewhere = opened(context, demo)
    elsewhere.locator(".nipo-menu summary").click()
    elsewhere.get_by_role("button", name="ログアウト").click()
    expect(elsewhere.locator("#login")).to_be_visible()
    elsewhere.close()
    page.locator("#report button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    with context.expect_page() as opening:
        page.get_by_role("link", name="別のタブでログイン画面を開く").click()
    second_tab = opening.value
    sign_in(second_tab)
    expect(second_tab.locator("#who")).to_be_visible()
    page.go_back()
    expect(page.locator("#body")).to_have_value("午前：定例会議\n午後：現場の確認")
    page.locator("#report button").click()
    expect(page.locator("article").first).to_contain_text("午後：現場の確認")


def test_the_language_switch_works_without_script(demo, new_browser):
    page = opened(new_browser("ja-JP", java_script_enabled=False), demo)
    page.locator("#language button").click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    sign_in(page)
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_unticked_the_session_ends_with_the_browser(demo, new_browser):
    context = new_browser()
    sign_in(opened(context, demo), keep=False)
    expect(context.pages[0].locator("#who")).to_be_visible()
    (cookie,) = [c for c in context.cookies() if c["name"].startswith("nipo_auth")]
    assert cookie["expires"] == -1
    assert cookie["httpOnly"]


def test_a_form_sent_from_another_origin_is_refused(demo, new_browser):
    context = new_browser()
    page = opened(context, demo)
    sign_in(page)
    expect(page.locator("#who")).to_be_visible()
    form = f'<form method="post" action="{demo.url}/-/auth/logout"></form><script>document.forms[0].submit()</script>'
    context.route("http://evil.example/", lambda route: route.fulfill(content_type="text/html", body=form))
    with page.expect_response(re.compile("/-/auth/logout")) as answered:
        page.goto("http://evil.example/")
    assert answered.value.status == 403
    page.goto(demo.url)
    expect(page.locator("#who")).to_be_visible()


def test_the_account_page_is_reached_from_the_apps_menu(demo, new_browser):
    page = opened(new_browser(**PHONE), demo)
    sign_in(page)
    page.get_by_role("link", name="アカウント").click()
    expect(page.locator("main")).to_contain_text(MEMBER[0])
    page.locator("#logout button").click()
    expect(page.locator("#login")).to_be_visible()


def test_no_page_asks_for_anything_from_elsewhere_or_breaks_its_own_policy(demo, new_browser):
    context = new_browser()
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(demo.url + "/-/auth/login")
    sign_in(page, MEMBER[0], "machigai-password")
    sign_in(page)
    expect(page.locator("#who")).to_be_visible()
    page.goto(demo.url + "/-/auth/account")
    page.goto(demo.url + "/-/auth/logout")
    assert all(url.startswith(demo.url) for url in asked)
    assert [text for text in complaints if "Content Security Policy" in text] == []
