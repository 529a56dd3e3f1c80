"""Walks through every page in every state that people meet: for axe-core, and for pictures to look at."""

from __future__ import annotations

import re
import time

import time_machine

from nipo_auth_mw.testing import code_of, enrol_app
from tests.browser.test_door import DISABLED, MEMBER, sign_in
from tests.browser.test_forgotten import ask, mailed_link
from tests.kit import store_passkey

ADMIN = ("kanri@example.com", "umi-no-mieru-kaigi")
NEW = "yama-no-ue-no-asagohan"
FRESH = 16 * 60


def at_the_door(demo, page):
    """Without a session, yielding the name of each state."""
    page.goto(demo.url)
    yield "login"
    sign_in(page, MEMBER[0], "MACHIGAI")
    yield "wrong, with a hint"
    sign_in(page, *DISABLED)
    yield "disabled"
    for _ in range(5):
        sign_in(page, "nobody@example.com", "machigai-password")
    yield "lock begun"
    sign_in(page, "nobody@example.com", "machigai-password")
    yield "locked"
    page.set_extra_http_headers({"Referer": f"{demo.url}/-/auth/login"})
    page.context.clear_cookies()
    page.goto(f"{demo.url}/-/auth/login")
    yield "no cookie"
    page.set_extra_http_headers({})
    page.goto(f"{demo.url}/-/auth/help")
    yield "help"
    for summary in page.locator("summary").all():
        summary.click()
    yield "help, opened"
    page.goto(f"{demo.url}/-/auth/forgot")
    yield "forgot"
    ask(page)
    yield "sent"
    page.goto(mailed_link(demo))
    yield "reset"
    yield from _new_password(page, "reset")
    page.goto(f"{demo.url}/-/auth/reset/x")
    yield "expired link"
    page.goto(f"{demo.url}/-/auth/nothing")
    yield "not found"
    page.goto(demo.url)
    sign_in(page, MEMBER[0], NEW)
    page.locator("#who").wait_for()
    page.goto(f"{demo.url}/-/auth/account")
    yield "account"
    page.goto(f"{demo.url}/-/auth/logout")
    yield "logout"
    page.goto(demo.url)
    page.locator("#body").fill("x")
    page.context.clear_cookies()
    page.locator("#report button").click()
    yield "ended session"


def at_the_first_time(demo, page):
    """What is handed over, and what a person meets who comes with it."""
    page.goto(demo.url)
    sign_in(page, *ADMIN)
    page.locator("#who").wait_for()
    page.goto(f"{demo.url}/-/auth/staff/create")
    page.locator("#name").fill("山田 花子")
    page.locator("#email").fill("yamada@dummy.invalid")
    page.locator("#staff-create button[type=submit]").click()
    password = page.locator(".slip .big").text_content()
    yield "card, password"
    page.goto(f"{demo.url}/-/auth/staff/create")
    page.locator("#email").fill("suzuki@dummy.invalid")
    page.locator("#invite").check()
    page.locator("#staff-create button[type=submit]").click()
    link = page.locator(".slip .link").text_content()
    yield "card, link"
    page.goto(f"{demo.url}/-/auth/staff/{demo.auth.accounts.find('suzuki@dummy.invalid').id}/password")
    yield "staff, invited"
    page.goto(f"{demo.url}/-/auth/staff/create")
    page.locator("#email").fill("honda@example.net")
    page.locator("#invite").check()
    page.locator("#staff-create button[type=submit]").click()
    yield "card, mailed"
    page.goto(f"{demo.url}/-/auth/audit/usage")
    yield "usage"
    page.goto(f"{demo.url}/-/auth/help")
    yield "help, of an administrator"
    page.context.clear_cookies()
    page.goto(link)
    yield "invitation"
    yield from _new_password(page, "invitation")
    page.goto(link)
    yield "invitation, spent"
    page.goto(f"{demo.url}/-/auth/login")
    for _ in range(4):
        sign_in(page, MEMBER[0], "machigai-password")
    yield "last try"
    sign_in(page, "yamada@dummy.invalid", password)
    yield "temporary password"
    page.locator("#password").fill("aaaaaaaaaaaa")
    page.locator("#account-password button.main").click()
    yield "temporary password, refused"


def at_the_account(demo, page):
    """What a person does with their own account."""
    page.goto(demo.url)
    sign_in(page)
    page.locator("#who").wait_for()
    page.goto(f"{demo.url}/-/auth/account")
    yield "own account"
    page.locator("#notify_email").fill("no address")
    page.locator("#account-profile button").click()
    yield "own account, refused"
    with time_machine.travel(time.time() + FRESH, tick=True):
        page.locator("#notify_email").fill("home@example.net")
        page.locator("#account-profile button").click()
        yield "stale"
        page.goto(f"{demo.url}/-/auth/account/confirm?next=/-/auth/account")
        yield "confirm"
        page.locator("#password").fill("machigai-password")
        page.locator("#account-confirm button[type=submit]").click()
        yield "confirm, refused"
    page.goto(f"{demo.url}/-/auth/account/email")
    yield "change of address"
    page.locator("#email").fill(MEMBER[0])
    page.locator("#password").fill(MEMBER[1])
    page.locator("#account-email button[type=submit]").click()
    yield "change of address, refused"
    page.locator("#email").fill("genba@example.net")
    page.locator("#password").fill(MEMBER[1])
    page.locator("#account-email button[type=submit]").click()
    page.locator(".flash").wait_for()
    yield "change of address, asked"
    demo.auth.flush_mail(10)
    links = {kind: _link(demo, kind) for kind in ("confirm", "cancel")}
    page.goto(f"{demo.url}/-/auth/account/password")
    yield "change of password"
    page.locator("#current_password").fill("machigai-password")
    page.locator("#password").fill(NEW)
    page.locator("#account-password button[type=submit]").last.click()
    yield "change of password, refused"
    page.goto(links["confirm"])
    yield "new address, to confirm"
    page.goto(links["cancel"])
    yield "new address, to cancel"
    page.locator("#email-cancel button").click()
    yield "new address, cancelled"
    page.goto(links["cancel"])
    yield "cancel link, spent"


def at_two_steps(demo, page):
    """An authenticator app, its backup codes, and the next sign-in."""
    page.goto(demo.url)
    sign_in(page)
    page.locator("#who").wait_for()
    page.goto(f"{demo.url}/-/auth/account/security")
    yield "security"
    page.goto(f"{demo.url}/-/auth/account/security/app")
    yield "app"
    page.locator("#code").fill("000000")
    page.locator("#account-security-app button[type=submit]").click()
    yield "app, refused"
    key = page.locator(".copy").text_content()
    page.locator("#code").fill(code_of(key))
    page.locator("#account-security-app button[type=submit]").click()
    yield "backup codes, asked"
    page.locator("#account-security-codes button[type=submit]").first.click()
    yield "backup codes"
    page.goto(f"{demo.url}/-/auth/account/security")
    yield "security, on"
    page.goto(f"{demo.url}/-/auth/account/security/app?replace=1")
    yield "app, of another phone"
    page.goto(f"{demo.url}/-/auth/account/security/codes")
    yield "backup codes, anew"
    page.goto(f"{demo.url}/-/auth/account/security/passkeys")
    yield "passkey, to create"
    store_passkey(demo.auth, demo.auth.accounts.find(MEMBER[0]).id, "f1", "iCloud キーチェーン")
    page.goto(f"{demo.url}/-/auth/account/security")
    yield "security, with a passkey"
    page.locator("a[href*='security/rename']").click()
    yield "passkey, to rename"
    page.goto(f"{demo.url}/-/auth/account/security/remove?factor=f1")
    yield "passkey, to remove"
    with time_machine.travel(time.time() + FRESH, tick=True):
        page.goto(f"{demo.url}/-/auth/account/security/app?replace=1")
        yield "confirm, with a code"
    page.goto(f"{demo.url}/-/auth/account/security/two-step")
    yield "security, to switch off"
    page.goto(f"{demo.url}/-/auth/logout")
    page.locator("form#logout button[type=submit]").click()
    page.goto(f"{demo.url}/-/auth/login")
    sign_in(page)
    yield "second step"
    page.locator("#code").fill("000000")
    page.locator("#login-second button[type=submit]").click()
    yield "second step, refused"
    page.locator("summary").first.click()
    yield "second step, with a backup code"
    page.locator("#backup-code").fill("aaaa-bbbb-ccccc")
    page.locator("#login-second-code button[type=submit]").click()
    yield "second step, backup code refused"
    for _ in range(3):
        page.locator("#code").fill("000000")
        page.locator("#login-second button[type=submit]").click()
    yield "second step, locked"
    page.context.clear_cookies()
    page.goto(f"{demo.url}/-/auth/login/second")
    yield "second step, too late"


def at_the_staff(demo, page):
    """What an administrator does."""
    demo.auth.accounts.create(email="yamada@dummy.invalid", name="山田 花子", password=NEW, must_change=True)
    for number in range(60):
        demo.auth.accounts.create(email=f"p{number:02}@example.net", name=f"社員 {number:02}")
    page.goto(demo.url)
    sign_in(page, *ADMIN)
    page.locator("#who").wait_for()
    yield "the demo"
    page.goto(f"{demo.url}/-/auth/staff")
    yield "staff"
    page.locator("#q").fill("山田")
    page.locator("#staff-search button").click()
    yield "staff, searched"
    page.locator("button.switch").click()
    yield "staff, disabled"
    page.locator("#q").fill("nobody at all")
    page.locator("#staff-search button").click()
    yield "staff, nobody"
    page.goto(f"{demo.url}/-/auth/staff/create")
    yield "staff, create"
    page.locator("#email").fill(MEMBER[0])
    page.locator("#staff-create button[type=submit]").click()
    yield "staff, create, refused"
    page.goto(f"{demo.url}/-/auth/staff/bulk")
    yield "staff, bulk"
    page.locator("#emails").fill("a@example.org\n" * 201)
    page.locator("#staff-bulk button[type=submit]").click()
    yield "staff, bulk, refused"
    listed = f"氏名,ふりがな,メール\n佐藤 花子,さとう はなこ,a@example.org\n,,{MEMBER[0]}\n,,no address\n"
    page.locator("#emails").fill("")
    page.locator("#upload").set_input_files(
        {"name": "一覧.csv", "mimeType": "text/csv", "buffer": listed.encode("cp932")}
    )
    page.locator("#staff-bulk button[type=submit]").click()
    page.locator("#staff-preview").wait_for()
    yield "staff, bulk, preview"
    page.locator("#staff-preview [name=confirm]").click()
    page.locator(".slips").wait_for()
    yield "staff, report"
    who = demo.auth.accounts.find("yamada@dummy.invalid").id
    page.goto(f"{demo.url}/-/auth/staff/{who}")
    yield "staff, person"
    page.goto(f"{demo.url}/-/auth/staff/{who}/profile")
    yield "staff, profile"
    page.goto(f"{demo.url}/-/auth/staff/{who}/password")
    yield "staff, password"
    page.locator("#staff-password #password").fill("aaaaaaaaaaaa")
    page.locator("#staff-password button[type=submit]").click()
    yield "staff, password, refused"
    page.goto(f"{demo.url}/-/auth/staff/{who}/email")
    page.locator("#staff-email [name=email]").fill(MEMBER[0])
    page.locator("#staff-email button[type=submit]").click()
    yield "staff, address, refused"
    page.goto(f"{demo.url}/-/auth/staff/{who}/role")
    page.locator("#role").select_option("admin")
    page.locator("#staff-role-choice button").click()
    yield "staff, role, asked"
    page.locator("#staff-role button").click()
    yield "staff, role, changed"
    page.locator("#staff-role-undo button").click()
    enrol_app(demo.auth, demo.auth.accounts.find("yamada@dummy.invalid"))
    page.goto(f"{demo.url}/-/auth/staff/{who}/security")
    yield "staff, two steps to reset"
    page.goto(f"{demo.url}/-/auth/staff/{demo.auth.accounts.find(MEMBER[0]).id}/active")
    yield "staff, to be disabled"
    page.goto(f"{demo.url}/-/auth/staff/{who}/delete")
    yield "staff, delete"
    page.goto(f"{demo.url}/-/auth/staff/nobody")
    yield "staff, not found"
    page.goto(f"{demo.url}/-/auth/audit")
    yield "history"
    page.goto(f"{demo.url}/-/auth/audit?event=limited")
    yield "history, empty"
    demo.auth.accounts.create(email="mate@example.com", role="admin")
    page.goto(f"{demo.url}/-/auth/staff/1")
    yield "staff, oneself"


def _new_password(page, what):
    """A weak password, and a good one."""
    page.locator("#password").fill("aaaaaaaaaaaa")
    page.locator("main form button.main").click()
    yield f"{what}, refused"
    page.locator("#password").fill(NEW)
    page.locator("main form button.main").click()
    yield f"login, after the {what}"


def _link(demo, kind):
    for mail in demo.mailer.kept:
        if found := re.search(rf"http://\S+/email/{kind}/\S+", mail.text):
            return found.group()
    raise LookupError(kind)
