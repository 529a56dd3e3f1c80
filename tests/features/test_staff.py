"""What an administrator does with the staff pages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._web.interface import interface_of
from nipo_auth_mw._web.route import Route
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import MemoryMailer
from tests.features.staff_kit import Directory, Users
from tests.kit import PASSWORD, WRONG, browser, events, middleware, person, seen, sign_in

NEXT = "midori-no-kaze-no-oto"


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer, roles=["admin", "manager", "staff"])


def shown(page: Any) -> list[str]:
    return [link.text for link in page.html.select(".people tbody th a")]


# Finding people


def test_the_list_goes_on_page_by_page_and_back(auth: Any, boss: TestApp) -> None:
    for number in range(120):
        person(auth, f"p{number:03}@example.net", name=f"社員{number:03}", password=None)
    first = boss.get("/-/auth/staff")
    assert len(shown(first)) == 50
    second = first.click("Next 50")
    assert second.html.select_one(".counted").text == "51–100 of 121"
    third = second.click("Next 50")
    everybody = shown(first) + shown(second) + shown(third)
    assert len(everybody) == len(set(everybody)) == 121
    assert not third.html.select('a[rel="next"]')
    assert shown(third.click("Previous 50")) == shown(second)
    assert shown(second.click("Previous 50")) == shown(first)
    assert shown(boss.get("/-/auth/staff?after=9999")) == shown(third)


def test_a_search_is_as_patient_as_a_colleague(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="髙﨑 花子")
    boss.post(f"/-/auth/staff/{user.id}/profile", {"reading": "たかさき　はなこ"})
    for text in ("高崎花子", "髙崎　花子", "タカサキ", "ﾀｶｻｷ", "ＴＡＮＡＫＡ", "花子 高崎"):
        assert shown(boss.get("/-/auth/staff", {"q": text})) == ["髙﨑 花子"], text
    for odd in ("%", "_", "'", "\\", "x" * 5000, "\x00", "\ud83d"):
        assert boss.get("/-/auth/staff", {"q": odd.encode("utf-8", "replace")}).status_int == 200


def test_an_empty_result_says_what_was_searched_and_how_to_go_on(boss: TestApp) -> None:
    page = boss.get("/-/auth/staff", {"q": "<b>たなか"})
    assert "No staff match “<b>たなか”." in page.html.select_one(".empty").text
    assert shown(page.click("Clear search")) == ["管理 担当"]
    page.click("Add staff", index=1)
    assert shown(boss.get("/-/auth/staff?show=disabled").click("Show all")) == ["管理 担当"]


def test_columns_sort_and_filters_stay(auth: Any, boss: TestApp) -> None:
    for number, (name, reading, role) in enumerate([("b", "", "staff"), ("a", "", "manager"), ("漢", "えい", "staff")]):
        auth.accounts.create(email=f"{9 - number}@example.net", name=name, password=None, role=role)
        boss.post(f"/-/auth/staff/{number + 2}/profile", {"reading": reading})
    auth.accounts.set_active("3", False)
    first = boss.get("/-/auth/staff")
    assert shown(first) == ["a", "b", "漢", "管理 担当"]
    by_email = first.click(href=r"sort=email", index=0)
    assert shown(by_email) == ["漢", "a", "b", "管理 担当"]
    assert by_email.html.select_one('th[aria-sort="ascending"]').text.startswith("Email")
    assert shown(by_email.click(href=r"sort=-email", index=0)) == ["管理 担当", "b", "a", "漢"]
    assert shown(first.click(href=r"sort=-last_used", index=0))[0] == "管理 担当"
    disabled = by_email.click("^Disabled$")
    assert shown(disabled) == ["a"]
    assert disabled.html.select_one('th[aria-sort="ascending"]').text.startswith("Email")
    form = disabled.forms["staff-search"]
    form["q"] = "9@"
    assert "No staff match" in form.submit().text, "a search stays within the filter"
    assert shown(boss.get("/-/auth/staff?show=admin")) == ["管理 担当"]
    assert shown(boss.get("/-/auth/staff?show=nonsense&sort=nonsense")) == shown(first)


def test_rows_tell_what_an_administrator_has_to_know(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    person(auth, "suzuki@example.com", name="鈴木")
    boss.post(f"/-/auth/staff/{user.id}/password", {"password": NEXT, "must_change": "1"})
    for _ in range(5):
        sign_in(browser(auth, "198.51.100.9"), password=WRONG)
    row = boss.get("/-/auth/staff").html.select_one(f"#u-{user.id}")
    assert [mark.text for mark in row.select(".badge")] == ["Locked", "Temporary password"]
    assert "Never" in row.text
    assert shown(boss.get("/-/auth/staff?show=locked")) == shown(boss.get("/-/auth/staff?show=temporary")) == ["田中"]
    assert shown(boss.get("/-/auth/staff?show=unused")) == ["田中", "鈴木"]
    sign_in(browser(auth), "suzuki@example.com")
    assert shown(boss.get("/-/auth/staff?show=unused")) == ["田中"]
    assert "signed in" in boss.get("/-/auth/staff?q=suzuki").html.select_one("tbody tr").text
    auth.accounts.unlock(user.id)
    assert shown(boss.get("/-/auth/staff?show=locked")) == []


def test_a_list_without_rows_is_no_outage(empty_database: Path, tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{shutil.copy(empty_database, tmp_path / 'auth.db')}")
    auth = middleware(store=store)
    person(auth, role="admin")
    mine = browser(auth)
    sign_in(mine)
    assert "No staff match" in mine.get("/-/auth/staff?q=nobody").text
    assert "No staff match" in mine.get("/-/auth/staff?show=locked").text
    store.close()


def test_a_list_on_one_page_is_counted_without_a_range(boss: TestApp) -> None:
    for language, words in (("ja", "1人"), ("en", "Total: 1")):
        page = boss.get("/-/auth/staff", headers={"Accept-Language": language})
        assert page.html.select_one(".counted").text == words


def test_the_list_as_data(auth: Any, boss: TestApp) -> None:
    user = person(auth, active=False, name="田中")
    boss.post_json(f"/-/auth/staff/{user.id}/profile", {"reading": "たなか"})
    data = boss.get("/-/auth/staff?q=tanaka", headers={"Accept": "application/json"}).json
    assert (data["after"], data["count"]) == (None, 1)
    (found,) = data["users"]
    assert (found["email"], found["active"], found["role"]) == ("tanaka@example.com", False, "staff")
    assert (found["reading"], found["last_used"], found["devices"]) == ("たなか", None, 0)
    assert (found["must_change"], found["locked"]) == (False, False)
    assert not any("hash" in key or "password" in key for key in found)
    own = boss.get("/-/auth/staff?show=admin", headers={"Accept": "application/json"}).json["users"][0]
    assert own["last_used"]
    assert own["devices"] == 1


def test_a_directory_that_can_only_search_has_a_list_without_order_and_numbers() -> None:
    store = MemoryStore()
    auth = middleware(store=store, users=Directory(store))
    person(auth, "kanri@example.com", role="admin", name="管理")
    for number in range(60):
        person(auth, f"p{number:03}@example.net", name=f"社員{number:03}", password=None)
    mine = browser(auth)
    sign_in(mine, "kanri@example.com")
    first = mine.get("/-/auth/staff?show=admin&sort=-email")
    assert shown(first)[:2] == ["管理", "社員000"]
    assert not first.html.select(".chips, .counted, thead a, .sorts")
    second = first.click("Next 50")
    assert len(shown(second)) == 11
    assert shown(second.click("First page")) == shown(first)
    mine.post("/-/auth/staff/3/profile", {"reading": "しゃいん"}, status=303)
    assert mine.get("/-/auth/staff/3").html.select_one(".reading").text == "しゃいん"
    data = mine.get("/-/auth/staff?q=p001", headers={"Accept": "application/json"}).json
    assert (data["users"][0]["reading"], data["count"]) == ("しゃいん", None)
    done = mine.get("/-/auth/staff?q=p001").forms["staff-active-3"].submit(status=303).follow()
    assert "社員001 is disabled" in done.text


# On and off


def test_the_switch_says_what_it_did_in_its_row_and_can_be_undone(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    for number in range(60):
        person(auth, f"p{number:03}@example.net", name=f"社員{number:03}", password=None)
    page = boss.get("/-/auth/staff?after=50&sort=-name")
    switch = page.html.select_one(f"#staff-active-{user.id} button")
    assert (switch["role"], switch["aria-checked"], switch.text.strip()) == ("switch", "true", "Active (田中)")
    answer = page.forms[f"staff-active-{user.id}"].submit(status=303)
    assert answer.location.endswith(f"after=50#u-{user.id}")
    done = answer.follow()
    row = done.html.select_one(f"#u-{user.id}")
    notice = row.find_next_sibling("tr").select_one(".flash")
    assert row["class"] == ["changed"]
    assert "warn" in notice["class"]
    assert "田中 is disabled" in notice.text
    assert shown(done) == shown(page)
    assert row.select_one("button")["aria-checked"] == "false"
    assert "disabled" in sign_in(browser(auth)).text
    undone = done.forms["staff-undo"].submit(status=303).follow()
    assert "田中 is active" in undone.html.select_one(".flash").text
    assert "warn" not in undone.html.select_one(".flash")["class"]
    assert shown(undone) == shown(page)
    assert sign_in(browser(auth)).status_int == 303


def test_an_account_that_left_the_filter_is_told_above_the_list(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    done = boss.get("/-/auth/staff?show=active").forms[f"staff-active-{user.id}"].submit(status=303).follow()
    assert shown(done) == ["管理 担当"]
    assert "田中 is disabled" in done.html.select_one("main > .flash").text
    assert shown(done.forms["staff-undo"].submit().follow()) == ["田中", "管理 担当"]


def test_somebody_who_is_signed_in_is_not_disabled_by_a_slip(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    tanaka, phone = browser(auth), browser(auth)
    sign_in(tanaka)
    sign_in(phone)
    question = boss.get("/-/auth/staff?q=tanaka").forms[f"staff-active-{user.id}"].submit(status=200)
    assert "Devices: 2" in question.text
    assert shown(question.click("Cancel")) == ["田中"]
    assert seen(tanaka)
    done = question.forms["staff-active"].submit(status=303).follow()
    assert "田中 is disabled" in done.text
    assert shown(done) == ["田中"]
    assert seen(tanaka) == seen(phone) == ""
    page = boss.get(f"/-/auth/staff/{user.id}").forms["staff-active"].submit(status=303).follow()
    assert "田中 is active" in page.html.select_one(".flash").text
    sign_in(tanaka)
    question = boss.get(f"/-/auth/staff/{user.id}").forms["staff-active"].submit(status=200)
    assert question.click("Cancel").html.h1.text == "田中"
    page = question.forms["staff-active"].submit(status=303).follow()
    assert page.html.h1.text == "田中"
    assert "warn" in page.html.select_one(".flash")["class"]


def test_the_notice_tells_the_truth_whatever_the_address_says(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    assert "田中 is active" in boss.get(f"/-/auth/staff?changed={user.id}").text
    for forged in ("changed=nobody", "deleted=nobody", f"deleted={user.id}", "deleted=%00"):
        assert 'class="flash' not in boss.get(f"/-/auth/staff?{forged}").text


def test_the_only_administrator_is_advised_to_find_another(auth: Any, boss: TestApp) -> None:
    advised = boss.get("/-/auth/staff")
    assert "You are the only administrator" in advised.text
    assert "nipo-auth user password kanri@example.com" in advised.text
    person(auth, role="admin")
    assert "You are the only administrator" not in boss.get("/-/auth/staff").text


@pytest.mark.parametrize("active", ["", "2", "yes", "true"])
def test_anything_but_on_and_off_is_refused(auth: Any, boss: TestApp, active: str) -> None:
    user = person(auth)
    boss.post(f"/-/auth/staff/{user.id}/active", {"active": active}, status=400)
    boss.post(f"/-/auth/staff/{user.id}/active", {}, status=400)
    assert auth.accounts.get(user.id).active


def test_on_and_off_from_the_persons_page_and_as_data(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    page = boss.get(f"/-/auth/staff/{user.id}").forms["staff-active"].submit(status=303)
    assert page.location.endswith(f"/-/auth/staff/{user.id}?changed=active")
    assert "is disabled" in page.follow().text
    boss.post_json(f"/-/auth/staff/{user.id}/active", {"active": True}, status=200)
    assert auth.accounts.get(user.id).active


def test_a_disabled_account_is_not_asked_about_again(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    asks = f"/-/auth/staff/{user.id}/active"
    assert boss.get(asks).forms["staff-active"]
    auth.accounts.set_active(user.id, active=False)
    assert boss.get(asks, status=303).location.endswith(f"/-/auth/staff/{user.id}")


# Creating


def test_a_person_is_added_and_finds_their_way_in(auth: Any, boss: TestApp) -> None:
    form = boss.get("/-/auth/staff").click("Add staff").forms["staff-create"]
    assert form["password"].value == "", "a page shows no password before it is set"
    assert form["must_change"].checked
    form["email"], form["name"], form["role"] = "yamada@dummy.invalid", " 山田  花子 ", "manager"
    form["notify_email"], form["memo"] = "yamada@example.net", "パート"
    handed = form.submit(status=200)
    assert "was added" in handed.text
    password = handed.html.select_one(".slip .big").text
    page = handed.click("Close")
    assert password not in page.text
    user = auth.accounts.find("yamada@dummy.invalid")
    assert (user.name, user.role, user.notify_email) == ("山田 花子", "manager", "yamada@example.net")
    assert page.click("Change profile").forms["staff-profile"]["memo"].value == "パート"
    yamada = browser(auth)
    assert "account/password" in sign_in(yamada, "yamada@dummy.invalid", password).location


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "kanri@example.com"}, "email_taken"),
        ({"email": "KANRI@example.com"}, "email_taken"),
        ({"email": "no address"}, "email_rejected"),
        ({"notify_email": "no address"}, "email_rejected"),
        ({"role": "emperor"}, "unknown_role"),
        ({"password": "kurz"}, "password_rejected"),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_nothing_typed_is_lost(
    auth: Any, boss: TestApp, change: dict[str, str], code: str
) -> None:
    fields = {"email": "new@example.net", "name": "新人", "role": "staff", "password": NEXT, "memo": "朝番"} | change
    page = boss.post("/-/auth/staff/create", fields, status=422)
    form = page.forms["staff-create"]
    assert [form[name].value for name in ("email", "name", "memo")] == [fields["email"], "新人", "朝番"]
    assert page.html.select_one('[role="alert"]')
    assert boss.post_json("/-/auth/staff/create", fields, status=422).json["code"] == code
    assert len(auth.accounts.search()) == 1


# One person


def test_details_are_changed_and_kept(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    form = boss.get(f"/-/auth/staff/{user.id}").click("Change profile").forms["staff-profile"]
    form["name"], form["memo"], form["notify_email"] = "田中 一郎", "夜番", "home@example.net"
    form["reading"] = " たなか　いちろう "
    page = form.submit(status=303).follow()
    assert page.html.h1.text == "田中 一郎"
    assert page.html.select_one(".reading").text == "たなか いちろう"
    fields = page.click("Change profile").forms["staff-profile"]
    assert (fields["memo"].value, fields["reading"].value) == ("夜番", "たなか いちろう")
    assert [row.details["what"] for row in events(auth, "profile_changed")] == ["name memo notify_email reading"]
    boss.post(f"/-/auth/staff/{user.id}/profile", {"name": "田中 一郎"}, status=303)
    assert len(events(auth, "profile_changed")) == 1, "what is absent stays"
    form["notify_email"] = "no address"
    refused = form.submit(status=422)
    assert refused.forms["staff-profile"]["notify_email"].value == "no address"
    form["notify_email"] = ""
    form.submit(status=303)
    assert auth.accounts.get(user.id).notify_email is None


def test_a_new_address_ends_every_session_and_both_are_told(auth: Any, boss: TestApp, mailer: MemoryMailer) -> None:
    user = person(auth)
    tanaka = browser(auth)
    sign_in(tanaka)
    form = boss.get(f"/-/auth/staff/{user.id}/email").forms["staff-email"]
    form["email"] = "kanri@example.com"
    assert form.submit(status=422).forms["staff-email"]["email"].value == "kanri@example.com"
    form["email"] = "tanaka.new@example.net"
    form.submit(status=303)
    assert seen(tanaka) == ""
    assert sign_in(tanaka, "tanaka.new@example.net").status_int == 303
    assert [m.to for m in mailer.outbox] == ["tanaka@example.com", "tanaka.new@example.net"]


def test_a_role_counts_from_the_next_request_on(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    tanaka = browser(auth)
    sign_in(tanaka)
    tanaka.get("/-/auth/staff", status=403)
    form = boss.get(f"/-/auth/staff/{user.id}/role").forms["staff-role-choice"]
    form["role"] = "admin"
    question = form.submit(status=200)
    assert "from Staff to Administrator?" in question.text
    assert "issue passwords" in question.text
    tanaka.get("/-/auth/staff", status=403)
    page = question.forms["staff-role"].submit(status=303).follow()
    tanaka.get("/-/auth/staff", status=200)
    assert "from Staff to Administrator." in page.html.select_one(".flash").text
    second = browser(auth)
    person(auth, "second@example.com", role="admin")
    sign_in(second, "second@example.com")
    assert "staff-role-undo" not in second.get(f"/-/auth/staff/{user.id}").forms, "only for its author"
    assert "Administrator to Staff" in page.forms["staff-role-undo"].submit(status=303).follow().text
    tanaka.get("/-/auth/staff", status=403)
    assert boss.post(f"/-/auth/staff/{user.id}/role", {"role": "emperor"}, status=422)


def test_devices_are_shown_and_signed_out(auth: Any, boss: TestApp) -> None:
    user, other = person(auth), person(auth, "suzuki@example.com")
    tanaka, phone, suzuki = browser(auth), browser(auth), browser(auth)
    sign_in(tanaka)
    sign_in(phone)
    sign_in(suzuki, "suzuki@example.com")
    page = boss.get(f"/-/auth/staff/{user.id}")
    forms = [name for name in page.forms if str(name).startswith("staff-sessions-")]
    assert len(forms) == 2
    page = page.forms[forms[0]].submit(status=303).follow()
    assert sorted([bool(seen(tanaka)), bool(seen(phone))]) == [False, True]
    assert "Signed out." in page.html.select_one(".flash").text
    assert [row.actor for row in events(auth, "session_ended")] == [auth.accounts.find("kanri@example.com").id]
    theirs = auth._services.session_store.sessions_of(other.id)[0].key[:12]
    for forged in (theirs, "", "x", "\x00"):
        boss.post(f"/-/auth/staff/{user.id}/sessions", {"session": forged}, status=404)
    assert seen(suzuki)
    boss.post_json(f"/-/auth/staff/{user.id}/sessions", {"all": True}, status=200)
    assert seen(tanaka) == seen(phone) == ""
    assert "No device is signed in" in boss.get(f"/-/auth/staff/{user.id}").text
    own = auth.accounts.find("kanri@example.com").id
    boss.post(f"/-/auth/staff/{own}/sessions", {"all": "1"}, status=403)
    tanaka.post(f"/-/auth/staff/{other.id}/sessions", {"all": "1"}, status=401)
    data = boss.get(f"/-/auth/staff/{other.id}", headers={"Accept": "application/json"}).json
    assert [one["id"] for one in data["sessions"]] == [theirs]
    assert data["user"]["last_used"]


def test_a_lock_is_shown_and_lifted(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    assert "staff-unlock" not in boss.get(f"/-/auth/staff/{user.id}").forms
    for _ in range(5):
        sign_in(browser(auth, "198.51.100.9"), password=WRONG)
    assert sign_in(browser(auth)).status_int == 429
    boss.get(f"/-/auth/staff/{user.id}").forms["staff-unlock"].submit(status=303)
    assert sign_in(browser(auth)).status_int == 303


def test_deleting_asks_once_frees_the_address_and_keeps_the_history(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    tanaka = browser(auth)
    sign_in(tanaka)
    page = boss.get(f"/-/auth/staff/{user.id}").click("Delete account")
    assert auth.accounts.get(user.id)
    assert "Devices: 1" in page.text
    gone = page.forms["staff-delete"].submit(status=303).follow()
    assert "The account of tanaka@example.com was deleted." in gone.html.select_one(".flash").text
    assert seen(tanaka) == ""
    boss.get(f"/-/auth/staff/{user.id}", status=404)
    assert person(auth).id != user.id
    assert "Sign-in" in boss.get("/-/auth/audit?event=signed_in").text
    assert any(row.user_id == user.id for row in events(auth, "signed_in"))


def test_ones_own_page_offers_nothing_that_is_refused(auth: Any, boss: TestApp) -> None:
    own = auth.accounts.find("kanri@example.com").id
    page = boss.get(f"/-/auth/staff/{own}")
    offered = {link["href"].rpartition("/")[2] for link in page.html.select(f'main a[href^="/-/auth/staff/{own}/"]')}
    assert offered == {"profile"}
    assert not page.html.select("main form")
    form = page.click("Change profile").forms["staff-profile"]
    form["name"] = "管理者"
    form.submit(status=303)
    assert auth.accounts.get(own).name == "管理者"


@pytest.mark.parametrize("user_id", ["0", "99", "x", "%00", "-1", "1%20", "1.0", "%EF%BC%99"])
def test_nobody_is_a_404_in_words(boss: TestApp, user_id: str) -> None:
    assert boss.get(f"/-/auth/staff/{user_id}", status=404).html.select_one('[role="alert"]')
    assert boss.post(f"/-/auth/staff/{user_id}/email", {"email": "a@example.net"}, status=404)
    assert boss.post(f"/-/auth/staff/{user_id}/active", {"active": "0"}, status=404)


def test_a_host_whose_table_is_no_directory_has_no_staff_pages(boss: TestApp) -> None:
    auth = middleware(users=Users())
    mine = browser(auth)
    sign_in(mine, "kanri@example.com")
    page = mine.get("/-/auth/account")
    assert "/-/auth/staff" not in page.text
    assert "/-/auth/audit" in page.text
    mine.get("/-/auth/staff", status=404)
    mine.post("/-/auth/staff/create", {"email": "a@example.net", "password": PASSWORD}, status=404)
    mine.get("/-/auth/audit", status=200)


def test_the_pages_lead_to_one_another(auth: Any, boss: TestApp) -> None:
    person(auth)
    page = boss.get("/-/auth/account")
    assert [a.text for a in page.html.select("nav.site a")] == ["Home", "Account", "Staff", "History"]
    tanaka = browser(auth)
    sign_in(tanaka)
    assert [a.text for a in tanaka.get("/-/auth/account").html.select("nav.site a")] == ["Home", "Account"]
    assert tanaka.get("/-/auth/login", expect_errors=True).status_int == 303


def test_the_page_of_an_account_says_until_when_it_is_locked(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    with time_machine.travel("2026-11-26T04:58:10Z", tick=False):
        sign_in(boss, "kanri@example.com")
        for number in range(5):
            sign_in(browser(auth, f"192.0.2.{number}"), password=WRONG)
        assert "locked until 05:04" in boss.get(f"/-/auth/staff/{user.id}").text


@pytest.mark.parametrize("route", [one for one in ROUTES if "<id>" in one.path], ids=lambda route: route.path)
def test_an_account_that_is_gone_is_refused_by_each_of_its_pages(boss: TestApp, route: Route) -> None:
    """Another administrator may have deleted it since the page of the form was made."""
    path, told = f"/-/auth/{route.path.replace('<id>', '999')}", {"Accept": "application/json"}
    typed = {"role": "staff", "email": "sato@example.com", "password": NEXT, "active": "0"}
    for method, view in route.views.items():
        fields = {name: typed.get(name, "1") for name in interface_of(view).fields if name != "revoke"}
        send = boss.get if method == "GET" else boss.post
        answer = send(path, fields, headers=told, expect_errors=True)
        assert (answer.status_int, answer.json["code"]) == (404, "no_such_account"), method


@pytest.mark.parametrize(("what", "fields"), [("role", {"role": "manager"}), ("profile", {"name": "佐藤"})])
def test_an_account_that_is_deleted_meanwhile_is_changed_no_more(
    auth: Any, boss: TestApp, monkeypatch: pytest.MonkeyPatch, what: str, fields: dict[str, str]
) -> None:
    user, store = person(auth), auth._services.users
    before = len(events(auth))
    monkeypatch.setattr(store, "update", lambda user_id, **_: store.delete(user_id) and False)
    answer = boss.post_json(f"/-/auth/staff/{user.id}/{what}", fields, status=404)
    assert answer.json["code"] == "no_such_account"
    assert len(events(auth)) == before
