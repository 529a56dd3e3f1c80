"""Row AK9: an id is short for one address of `login_domain`, in each door, and no mail goes there."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from nipo_auth_mw import account_menu
from nipo_auth_mw.cli import main
from nipo_auth_mw.errors import ConfigError, EmailRejected, EmailTaken
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher
from tests.kit import PASSWORD, WRONG, administrator, browser, events, middleware, person, seen, sign_in

DOMAIN, WHOLE = "staff.example", "yamada@staff.example"
SPELLINGS = [
    "yamada",
    WHOLE,
    "YAMADA",
    " yamada ",
    "ｙａｍａｄａ",
    "ＹＡＭＡＤＡ　",
    "yamada＠staff.example",
    "yamada@STAFF.Example",
]


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer, login_domain="Staff.Example")


@pytest.fixture
def boss(auth: Any) -> TestApp:
    return administrator(auth)


@pytest.mark.parametrize("typed", SPELLINGS)
def test_ak9_every_spelling_is_one_account(auth: Any, typed: str) -> None:
    user = person(auth, "yamada")
    assert user.email == WHOLE
    assert auth.accounts.find(typed) == user
    device = browser(auth)
    assert sign_in(device, typed).status_int == 303
    assert seen(device) == user.id
    with pytest.raises(EmailTaken):
        person(auth, typed)


def test_ak9_every_spelling_has_one_counter(auth: Any) -> None:
    person(auth, "yamada")
    for number, typed in enumerate(SPELLINGS[:5]):
        assert sign_in(browser(auth, f"192.0.2.{number}"), typed, WRONG).status_int == 401
    for typed in SPELLINGS:
        assert sign_in(browser(auth, "198.51.100.1"), typed).status_int == 429
    auth.accounts.unlock(auth.accounts.find("yamada").id)
    assert sign_in(browser(auth), "yamada").status_int == 303


@pytest.mark.parametrize("typed", ["", " ", "やまだ", "yama da", "@", "@staff.example", "yamada@", "a" * 65, "y" * 300])
def test_ak9_what_is_no_id_is_none(auth: Any, typed: str) -> None:
    with pytest.raises(EmailRejected):
        person(auth, typed)
    assert auth.accounts.find(typed) is None
    assert sign_in(browser(auth), typed).status_int == 401


def test_ak9_without_the_setting_an_id_is_no_address() -> None:
    auth = middleware()
    with pytest.raises(EmailRejected):
        person(auth, "yamada")


@pytest.mark.parametrize("typed", ["suzuki", "suzuki@staff.example", "ｓｕｚｕｋｉ＠ｓｔａｆｆ．ｅｘａｍｐｌｅ"])
def test_ak9_no_user_takes_an_id(auth: Any, mailer: MemoryMailer, typed: str) -> None:
    person(auth)
    device = browser(auth)
    sign_in(device)
    answer = device.post("/-/auth/account/email", {"email": typed, "password": PASSWORD}, status=422)
    assert (
        "email_rejected"
        in device.post_json("/-/auth/account/email", {"email": typed, "password": PASSWORD}, status=422).json["code"]
    )
    assert ("Enter an address" in answer.text) is (typed != "suzuki")
    device.post("/-/auth/account/profile", {"notify_email": typed, "language": "en"}, status=422)
    with pytest.raises(EmailRejected):
        person(auth, "another@example.com", notify_email=typed)
    assert mailer.outbox == []
    assert events(auth, "email_change_requested", "profile_changed") == []


def test_ak9_an_administrator_gives_an_id_once(auth: Any, boss: TestApp) -> None:
    person(auth, "yamada")
    user = person(auth)
    taken = boss.post(f"/-/auth/staff/{user.id}/email", {"email": "ＹＡＭＡＤＡ"}, status=422)
    assert "already" in taken.text
    boss.post(f"/-/auth/staff/{user.id}/email", {"email": "tanaka"}, status=303)
    assert auth.accounts.get(user.id).email == "tanaka@staff.example"
    lines = boss.post("/-/auth/staff/bulk", {"emails": "ID\t名前\nyamada\t山田\nmori\t森", "confirm": "1"}).html
    assert "mori" in lines.select_one(".slip").text
    assert len(lines.select(".slip")) == 1


def test_ak9_an_id_is_shown_short_where_its_account_is_gone_or_disabled(auth: Any, boss: TestApp) -> None:
    user = person(auth, "yamada")
    gone = boss.post(f"/-/auth/staff/{user.id}/delete", status=303).follow()
    assert "The account of yamada was deleted." in gone.text
    assert "yamada@" not in gone.text + boss.get("/-/auth/audit").text
    report = boss.post("/-/auth/staff/bulk", {"emails": "ID,状態\nmori,無効", "confirm": "1"})
    assert "mori" in report.html.select_one('[aria-labelledby="disabled"]').text
    assert "mori@" not in report.text


def test_ak9_no_mail_goes_to_an_id(auth: Any, boss: TestApp, mailer: MemoryMailer) -> None:
    user = person(auth, "yamada")
    for typed in SPELLINGS:
        page = browser(auth).post("/-/auth/forgot", {"email": typed}, status=422)
        assert "cannot receive email" in page.text
    boss.post(f"/-/auth/staff/{user.id}/password", {"password": WRONG, "must_change": "0"})
    page = boss.post("/-/auth/staff/create", {"email": "mori", "invite": "1"}, status=200)
    assert page.html.select_one(".slip .link"), "the link is handed over"
    boss.post(f"/-/auth/staff/{user.id}/email", {"email": "yamada@example.net"})
    assert [mail.to for mail in mailer.outbox] == ["yamada@example.net"]
    assert "staff.example" not in mailer.outbox[0].text + (mailer.outbox[0].html or "")


@pytest.mark.parametrize("language", ["ja", "en"])
def test_ak9_pages_show_the_id(auth: Any, boss: TestApp, language: str) -> None:
    user = person(auth, "yamada")
    mine = browser(auth)
    sign_in(mine, "yamada")
    sign_in(browser(auth), "yamada", WRONG)
    boss.post(f"/-/auth/staff/{user.id}/email", {"email": "yamada2"})
    boss.post(f"/-/auth/staff/{user.id}/email", {"email": "yamada"})
    sign_in(mine, "yamada")
    slip = boss.post(f"/-/auth/staff/{user.id}/password", {"password": ""}).html.select_one(".slip")
    assert "yamada" in slip.text
    sign_in(mine, "yamada", slip.select_one(".big").text)
    below = ("", "/password", "/email", "/delete", "/profile", "/role", "/active")
    theirs = ["staff", "audit", "audit/usage", *(f"staff/{user.id}{one}" for one in below)]
    for device, paths in ((mine, ["account", "account/password", "account/confirm", "logout"]), (boss, theirs)):
        device.set_cookie("nipo_lang", language)
        for path in paths:
            page = device.get(f"/-/auth/{path}").text
            assert "yamada" in page, path
            assert DOMAIN not in page, path
    label = (
        browser(auth).get("/-/auth/login", headers={"Accept-Language": language}).html.select_one("label[for=email]")
    )
    assert "ID" in label.text


def test_ak9_the_menu_for_the_host_app_shows_the_id(auth: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [str(account_menu(environ)).encode()]

    auth = middleware(app, login_domain=DOMAIN)
    person(auth, "yamada")
    device = browser(auth)
    sign_in(device, "yamada")
    page = device.get("/page").text
    assert "yamada" in page
    assert DOMAIN not in page
    assert auth.config.login_id(WHOLE) == "yamada"


def test_ak9_the_command_line_reads_ids(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'auth.db'}"
    for name, value in (("SECRET_KEY", "the-servers-key-" * 3), ("LOGIN_DOMAIN", DOMAIN)):
        monkeypatch.setenv(f"NIPO_AUTH_{name}", value)
    store = SQLStore(url)
    store.create_schema()
    for arguments in (["user", "add", "yamada", "--invite"], ["user", "email", "yamada", "mori"]):
        with pytest.raises(SystemExit) as done:
            main(["--store", url, *arguments])
        assert not done.value.code
    auth = middleware(store=store, hasher=fast_hasher(), login_domain=DOMAIN)
    user = auth.accounts.find("mori")
    assert user.email == "mori@staff.example"
    person(auth, user.id)
    with pytest.raises(SystemExit) as done:
        main(["--store", url, "user", "disable", user.id])
    assert done.value.code == 1, "the id of one account, and what another types"
    store.close()


@pytest.mark.parametrize(
    "domain", ["@staff.example", "staff", "staff_.example", "a b.example", "x.123", "日本.example", None, 7]
)
def test_ak9_a_domain_that_is_none_is_found_at_the_start(domain: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        middleware(login_domain=domain)
    assert caught.value.field == "login_domain"
