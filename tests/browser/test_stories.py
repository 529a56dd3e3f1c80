"""People and their administrator, each in a browser of their own, from the app's menu on."""

from __future__ import annotations

import re

import pytest

from tests._services import expect
from tests.browser.test_door import MEMBER, PHONE, opened, sign_in
from tests.browser.walks import ADMIN, NEW

WORDS = {
    "ja-JP": {
        "staff": "スタッフ管理",
        "history": "ログ",
        "account": "アカウント",
        "active": "有効",
        "disabled": "無効",
        "undo": "元に戻す",
        "add": "スタッフを追加",
        "csv": "CSVをダウンロード",
        "change": "メールアドレスを変更",
        "confirm": "変更する",
        "end": "この端末からログアウトさせる",
        "password": "パスワードを変更する",
        "signed in": "ログイン",
    },
    "en-GB": {
        "staff": "Staff",
        "history": "History",
        "account": "Account",
        "active": "Active",
        "disabled": "Disabled",
        "undo": "Undo",
        "add": "Add staff",
        "csv": "Download CSV",
        "change": "Change email",
        "confirm": "Change email",
        "end": "Sign it out",
        "password": "Change password",
        "signed in": "Sign-in",
    },
}
both = pytest.mark.parametrize("language", ["ja-JP", "en-GB"])


def signed_in(context, demo, who):
    page = opened(context, demo)
    sign_in(page, *who)
    expect(page.locator("#who")).to_be_visible()
    return page


def to_the_staff(page, words):
    page.get_by_role("navigation").get_by_role("link", name=words["staff"]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(words["staff"])


@both
@pytest.mark.parametrize("script", [True, False])
def test_disabled_by_the_administrators_click_and_let_in_again_by_the_next(demo, new_browser, language, script):
    words = WORDS[language]
    boss = signed_in(new_browser(language, java_script_enabled=script, **PHONE), demo, ADMIN)
    member = signed_in(new_browser(language, **PHONE), demo, MEMBER)
    member.locator("#body").fill("長い日報\n" * 40)
    to_the_staff(boss, words)
    switch = boss.get_by_role("switch", name="現場 担当")
    expect(switch).to_be_checked()
    switch.click()
    # The member is signed in, so the administrator is asked first.
    boss.locator("#staff-active button").click()
    expect(boss.get_by_role("status").first).to_contain_text("現場 担当")
    expect(boss.get_by_role("status").first).to_be_in_viewport()
    expect(switch).not_to_be_checked()
    # The form that was being filled in is not lost, and sign-in says why.
    member.locator("#report button").click()
    expect(member.get_by_role("alert")).to_be_visible()
    other = opened(member.context, demo)
    expect(other.locator("#login")).to_be_visible()
    sign_in(other, *MEMBER)
    expect(other.get_by_role("alert")).to_contain_text(words["disabled"] if language == "ja-JP" else "disabled")
    boss.get_by_role("button", name=words["undo"]).click()
    expect(switch).to_be_checked()
    sign_in(other, *MEMBER)
    expect(other.locator("#who")).to_be_visible()
    member.go_back()
    expect(member.locator("#body")).to_have_value("長い日報\n" * 40)
    member.locator("#report button").click()
    expect(member.locator("article").first).to_contain_text("長い日報")


@both
def test_a_person_without_an_address_is_added_and_chooses_a_password(demo, new_browser, language):
    words = WORDS[language]
    boss = signed_in(new_browser(language, **PHONE), demo, ADMIN)
    to_the_staff(boss, words)
    boss.get_by_role("link", name=words["add"]).click()
    boss.locator("#email").fill("yamada@dummy.invalid")
    boss.locator("#name").fill("山田 花子")
    boss.locator("#staff-create button[type=submit]").click()
    first = boss.locator(".slip .big").inner_text()
    yamada = opened(new_browser(language, **PHONE), demo)
    sign_in(yamada, "yamada@dummy.invalid", first)
    yamada.locator("#password").fill(NEW)
    yamada.get_by_role("button", name=words["password"]).click()
    expect(yamada.locator("#who")).to_be_visible()
    boss.goto(f"{demo.url}/-/auth/audit?email=yamada%40dummy.invalid")
    expect(boss.locator("table.log .event").filter(has_text=words["signed in"]).first).to_be_visible()
    with boss.expect_download() as downloading:
        boss.get_by_role("link", name=words["csv"]).click()
    assert downloading.value.suggested_filename.endswith(".csv")


@both
def test_cs5_an_address_is_changed_and_the_change_undone_from_the_old_mailbox(demo, new_browser, language):
    words = WORDS[language]
    page = signed_in(new_browser(language, **PHONE), demo, MEMBER)
    page.get_by_role("link", name=words["account"]).click()
    page.get_by_role("link", name=words["change"], exact=True).click()
    page.locator("#email").fill("genba@example.net")
    page.locator("#password").fill(MEMBER[1])
    page.locator("#account-email button.main").click()
    expect(page.get_by_role("status").first).to_be_visible()
    demo.auth.flush_mail(10)
    mails = opened(new_browser(language, **PHONE), demo, "/mails")
    mails.locator("a[href*='/-/auth/email/confirm/']").click()
    mails.get_by_role("button", name=words["confirm"], exact=True).click()
    expect(mails.locator("#login")).to_be_visible()
    page.reload()
    expect(page.locator("#login")).to_be_visible()
    sign_in(mails, "genba@example.net", MEMBER[1])
    expect(mails.locator("#who")).to_be_visible()
    owner = opened(new_browser(language, **PHONE), demo, "/mails")
    owner.locator("a[href*='/-/auth/email/cancel/']").first.click()
    owner.locator("#email-cancel button").click()
    expect(owner.locator("#forgot")).to_be_visible()
    mails.reload()
    expect(mails.locator("#login")).to_be_visible()
    sign_in(mails, *MEMBER)
    expect(mails.locator("#who")).to_be_visible()


@both
def test_a_lost_phone_is_signed_out_from_the_desk(demo, new_browser, language):
    words = WORDS[language]
    phone = signed_in(new_browser(language, **PHONE), demo, MEMBER)
    desk = signed_in(new_browser(language), demo, MEMBER)
    desk.get_by_role("link", name=words["account"]).click()
    desk.locator("[id^='account-sessions-end-'] button").first.click()
    expect(desk.get_by_role("status").first).to_be_visible()
    phone.reload()
    expect(phone.locator("#login")).to_be_visible()
    desk.reload()
    expect(desk.get_by_role("heading", level=1)).to_have_text(words["account"])


def tab_to(page, what):
    """Press Tab until the element has the focus, as a user without a mouse does."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("what => document.activeElement.matches(what)", what):
            return
    pytest.fail(f"the keyboard never reaches {what}")


def test_the_staff_pages_need_no_mouse(demo, new_browser):
    page = signed_in(new_browser(), demo, ADMIN)
    tab_to(page, "nav a[href$='/staff']")
    page.keyboard.press("Enter")
    expect(page.locator("#staff-search")).to_be_visible()
    tab_to(page, "#q")
    page.keyboard.type("genba")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=genba"))
    tab_to(page, "button.switch")
    page.keyboard.press("Space")
    expect(page.locator("button.switch")).not_to_be_checked()
    tab_to(page, "#staff-undo button")
    page.keyboard.press("Enter")
    expect(page.locator("button.switch")).to_be_checked()
    tab_to(page, "tbody th a")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/staff/\d+$"))
    tab_to(page, "a[href$='/profile']")
    page.keyboard.press("Enter")
    expect(page.locator("#staff-profile")).to_be_visible()
    tab_to(page, "#staff-profile #name")
    page.keyboard.press("End")
    page.keyboard.type("さん")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("現場 担当さん")
    tab_to(page, "a.danger")
    page.keyboard.press("Enter")
    expect(page.locator("#staff-delete")).to_be_visible()
    tab_to(page, "#staff-delete button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("削除")
    assert demo.auth.accounts.find(MEMBER[0]) is None


def test_the_account_page_needs_no_mouse(demo, new_browser):
    page = signed_in(new_browser(), demo, MEMBER)
    page.goto(f"{demo.url}/-/auth/account/password")
    # The browser moves the focus when it draws, which may be after the page has loaded.
    expect(page.locator("#current_password")).to_be_focused()
    page.keyboard.type(MEMBER[1])
    tab_to(page, "#password")
    page.keyboard.type(NEW)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("変更")
    tab_to(page, "#logout button")
    page.keyboard.press("Enter")
    expect(page.locator("#login")).to_be_visible()


def test_a_delicate_page_is_asked_for_again_and_reached_after_the_password(demo, new_browser):
    page = signed_in(new_browser(), demo, ADMIN)
    session = demo.auth._services.session_store
    for stored in session.sessions_of(demo.auth.accounts.find(ADMIN[0]).id):
        session.confirm_session(stored.key, 1.0)
    page.goto(f"{demo.url}/-/auth/staff/create")
    expect(page.locator("#account-confirm")).to_be_visible()
    page.locator("#password").fill(ADMIN[1])
    page.locator("#account-confirm button.main").click()
    expect(page.locator("#staff-create")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "form", "typed"),
    [
        ("staff/create", "#staff-create", {"#name": "新人 太郎", "#email": "taro@example.net", "#memo": "本社"}),
        ("staff/bulk", "#staff-bulk", {"#emails": "taro@example.net\njiro@example.net"}),
        ("staff/{}/email", "#staff-email", {"#email": "jiro@example.net"}),
        ("account", "#account-profile", {"#notify_email": "home@example.net"}),
    ],
)
def test_what_was_typed_is_there_again_after_the_password_was_asked_for(demo, new_browser, path, form, typed):
    """The page says so. Browsers restore no field with `autocomplete="off"`, nor one of a form that has it."""
    context = new_browser()
    page = signed_in(context, demo, ADMIN)
    page.goto(f"{demo.url}/-/auth/{path.format(demo.auth.accounts.find(MEMBER[0]).id)}")
    for field, text in typed.items():
        page.locator(field).fill(text)
    session = demo.auth._services.session_store
    for stored in session.sessions_of(demo.auth.accounts.find(ADMIN[0]).id):
        session.confirm_session(stored.key, 1.0)
    page.locator(f"{form} button[type=submit]").click()
    with context.expect_page() as opening:
        page.get_by_role("link", name="別のタブで開く").click()
    second_tab = opening.value
    second_tab.locator("#password").fill(ADMIN[1])
    second_tab.locator("#account-confirm button.main").click()
    expect(second_tab.get_by_role("status")).to_contain_text("元のタブに戻り")
    page.go_back()
    for field, text in typed.items():
        expect(page.locator(field)).to_have_value(text)
