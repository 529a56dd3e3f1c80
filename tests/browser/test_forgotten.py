"""From "I forgot it" back into the demo, in a real browser."""

from __future__ import annotations

import json
import re
import threading

import pytest

from tests._services import expect
from tests.browser.conftest import ARGUMENTS
from tests.browser.test_door import MEMBER, PHONE, fill, opened, sign_in

NEW = "yama-no-ue-no-asagohan"
WORDS = {
    "ja-JP": ("パスワードをお忘れの方", "パスワードを変更しました"),
    "en-GB": ("Forgot", "Your password was changed"),
}


def ask(page, email=MEMBER[0]):
    page.locator("#forgot input[name=email]").fill(email)
    page.locator("#forgot button[type=submit]").click()
    expect(page.locator(".sender")).to_have_text("noreply@localhost")


def mailed_link(demo):
    assert demo.auth.flush_mail(10)
    return re.search(r"http://\S+/reset/\S+", demo.mailer.kept[0].text).group()


@pytest.mark.parametrize("language", ["ja-JP", "en-GB"])
@pytest.mark.parametrize("script", [True, False])
def test_cs5_a_person_walks_from_the_mailed_link_to_a_new_password(demo, new_browser, language, script):
    button, done = WORDS[language]
    page = opened(new_browser(language, java_script_enabled=script, **PHONE), demo)
    page.get_by_role("link", name=re.compile(button)).click()
    ask(page)
    demo.auth.flush_mail(10)
    mails = opened(page.context, demo, "/mails")
    mails.locator("a[href*='/-/auth/reset/']").first.click()
    expect(mails.locator("#reset .whose")).to_have_text(MEMBER[0])
    mails.locator("#reset [name=password]").fill("aaaaaaaaaaaa")
    mails.locator("#reset button[type=submit]").click()
    expect(mails.locator("#reset")).to_be_visible()
    expect(mails.get_by_role("alert")).to_be_visible()
    if script:
        expect(mails.locator("#password")).to_be_focused()
    mails.locator("#reset [name=password]").fill(NEW)
    mails.locator("#reset button[type=submit]").click()
    expect(mails.get_by_role("status").first).to_contain_text(done)
    sign_in(mails, MEMBER[0], NEW)
    expect(mails.locator("#who")).to_be_visible()


def test_two_presses_on_a_slow_line_send_a_form_once(demo, new_browser):
    """The second answer is the one that people see: of a link that the first has used."""
    page = opened(new_browser(), demo, "/-/auth/forgot")
    ask(page)
    page.goto(mailed_link(demo))
    posts, go_on, app = [], threading.Event(), demo.app

    def slow(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            posts.append(environ["PATH_INFO"])
            go_on.wait(10)
        return app(environ, start_response)

    demo.app = slow
    page.locator("#reset [name=password]").fill(NEW)
    place = page.locator("#reset button[type=submit]").bounding_box()
    for _ in range(3):
        page.mouse.click(place["x"] + 20, place["y"] + 20)
    go_on.set()
    expect(page.locator("#login")).to_be_visible()
    assert len(posts) == 1
    demo.app = app
    sign_in(page, MEMBER[0], NEW)
    expect(page.locator("#who")).to_be_visible()


def test_cs5_the_mailed_page_cannot_be_sent_from_another_origin(demo, new_browser):
    page = opened(new_browser(), demo, "/-/auth/forgot")
    ask(page)
    link = mailed_link(demo)
    form = (
        f'<form method="post" action="{link}"><input name="password" value="{NEW}"></form>'
        "<script>document.forms[0].submit()</script>"
    )
    page.context.route("http://evil.example/", lambda route: route.fulfill(content_type="text/html", body=form))
    with page.expect_response(re.compile("/-/auth/reset/")) as answered:
        page.goto("http://evil.example/")
    assert answered.value.status == 403
    page.goto(demo.url)
    sign_in(page)
    expect(page.locator("#who")).to_be_visible()


def test_the_language_switch_keeps_the_link(demo, new_browser):
    page = opened(new_browser(), demo, "/-/auth/forgot")
    ask(page)
    page.goto(mailed_link(demo))
    page.locator("#language button").click()
    expect(page.get_by_role("heading")).to_have_text("Set a new password")


def test_caps_lock_and_full_width_characters_are_hinted_at_while_typing(demo, new_browser):
    page = opened(new_browser(), demo)
    password, hint = page.locator("#password"), page.locator("#password-hint")
    expect(hint).to_be_hidden()
    password.fill("ａｓａ")
    expect(hint).to_contain_text("全角")
    password.fill("asa")
    expect(hint).to_be_hidden()
    password.evaluate(
        "e => e.dispatchEvent(new KeyboardEvent('keydown', {key: 'A', modifierCapsLock: true, bubbles: true}))"
    )
    expect(hint).to_contain_text("Caps Lock")


def test_a_browser_that_blocks_cookies_is_told_why_it_is_asked_again(demo, playwright, chromium, tmp_path):
    settings = tmp_path / "profile" / "Default" / "Preferences"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"profile": {"default_content_setting_values": {"cookies": 2}}}))
    context = playwright.chromium.launch_persistent_context(
        tmp_path / "profile", executable_path=chromium, args=ARGUMENTS, locale="ja-JP"
    )
    page = opened(context, demo)
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("Cookie")
    fill(page, *MEMBER)
    context.close()


def test_help_is_one_click_away_and_opens_without_script(demo, new_browser):
    page = opened(new_browser(java_script_enabled=False, **PHONE), demo)
    page.get_by_role("link", name="ログインできないときは").click()
    page.get_by_text("再設定のメールが届かない").click()
    expect(page.get_by_text("noreply@localhost")).to_be_visible()
