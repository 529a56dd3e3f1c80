"""What an administrator does with the staff pages."""

from __future__ import annotations

from typing import Any

import pytest
from webtest import TestApp

from nipo_auth_mw.testing import MemoryMailer
from tests.features.staff_kit import Users
from tests.kit import PASSWORD, WRONG, browser, events, middleware, person, seen, sign_in

NEXT = "midori-no-kaze-no-oto"


@pytest.fixture
def mailer() -> MemoryMailer:
    return MemoryMailer()


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer, roles=["admin", "manager", "staff"])


@pytest.fixture
def boss(auth: Any) -> TestApp:
    person(auth, "kanri@example.com", role="admin", name="管理 担当")
    mine = browser(auth)
    sign_in(mine, "kanri@example.com")
    return mine


def shown(page: Any) -> list[str]:
    return [link.text for link in page.html.select(".people .who a")]


# Finding people


def test_the_list_is_searched_by_name_and_address_and_goes_on_page_by_page(auth: Any, boss: TestApp) -> None:
    for number in range(120):
        person(auth, f"p{number:03}@example.net", name=f"社員{number:03}", password=None)
    first = boss.get("/-/auth/staff")
    assert len(shown(first)) == 50
    second = first.click("Next page")
    third = second.click("Next page")
    everybody = shown(first) + shown(second) + shown(third)
    assert len(everybody) == len(set(everybody)) == 121
    assert "Next page" not in third.text
    assert shown(third.click("First page")) == shown(first)
    form = first.forms["staff-search"]
    form["q"] = "社員07"
    assert shown(form.submit()) == [f"社員07{n}" for n in range(10)]
    form["q"] = "P001@EXAMPLE"
    assert shown(form.submit()) == ["社員001"]
    for odd in ("%", "_", "'", "\\", "x" * 5000, "\x00", "\ud83d"):
        assert boss.get("/-/auth/staff", {"q": odd.encode("utf-8", "replace")}).status_int == 200
    assert "Nobody" in boss.get("/-/auth/staff", {"q": "nobody at all"}).text


def test_the_list_as_data(auth: Any, boss: TestApp) -> None:
    person(auth, active=False, name="田中")
    data = boss.get("/-/auth/staff?q=tanaka", headers={"Accept": "application/json"}).json
    assert data["after"] is None
    (user,) = data["users"]
    assert (user["email"], user["active"], user["role"]) == ("tanaka@example.com", False, "staff")
    assert not any("hash" in key or "password" in key for key in user)


# On and off


def test_one_click_says_what_it_did_and_can_be_undone(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    tanaka = browser(auth)
    sign_in(tanaka)
    for number in range(60):
        person(auth, f"p{number:03}@example.net", password=None)
    page = boss.get("/-/auth/staff?q=%E7%94%B0%E4%B8%AD")
    button = page.html.select_one(f"#staff-active-{user.id} button")
    assert (button.text, button["class"]) == ("Active", ["state", "on"])
    done = page.forms[f"staff-active-{user.id}"].submit(status=303).follow()
    assert "田中 is disabled now" in done.html.select_one(".flash").text
    assert shown(done) == ["田中"]
    assert done.html.select_one(f"#staff-active-{user.id} button").text == "Disabled"
    assert seen(tanaka) == ""
    assert "disabled" in sign_in(tanaka).text
    undone = done.forms["staff-undo"].submit(status=303).follow()
    assert "田中 is active now" in undone.html.select_one(".flash").text
    assert sign_in(tanaka).status_int == 303


def test_the_notice_tells_the_truth_whatever_the_address_says(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    assert "田中 is active now" in boss.get(f"/-/auth/staff?changed={user.id}").text
    assert 'class="flash' not in boss.get("/-/auth/staff?changed=nobody").text


@pytest.mark.parametrize("active", ["", "2", "yes", "true"])
def test_anything_but_on_and_off_is_refused(auth: Any, boss: TestApp, active: str) -> None:
    user = person(auth)
    boss.post(f"/-/auth/staff/{user.id}/active", {"active": active}, status=400)
    boss.post(f"/-/auth/staff/{user.id}/active", {}, status=400)
    assert auth.accounts.get(user.id).active


def test_on_and_off_from_the_persons_page_and_as_data(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    page = boss.get(f"/-/auth/staff/{user.id}").forms["staff-active"].submit(status=303)
    assert page.location.endswith(f"/-/auth/staff/{user.id}")
    assert "disabled now" in page.follow().text
    boss.post_json(f"/-/auth/staff/{user.id}/active", {"active": True}, status=200)
    assert auth.accounts.get(user.id).active


# Creating


def test_a_person_is_added_and_finds_their_way_in(auth: Any, boss: TestApp) -> None:
    form = boss.get("/-/auth/staff").click("Add a person").forms["staff-create"]
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
    assert page.forms["staff-profile"]["memo"].value == "パート"
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


def test_a_list_is_added_line_by_line(auth: Any, boss: TestApp) -> None:
    person(auth)
    form = boss.get("/-/auth/staff").click("Add many").forms["staff-bulk"]
    form["emails"] = "a@example.net\r\n\r\n  b@example.net \ntanaka@example.com\nno address\na@example.net\n"
    password = form["password"] = NEXT
    report = form.submit(status=200)
    assert "Added: 2. Not added: 3." in report.text
    assert password not in report.text
    assert [li.select_one(".what") is None for li in report.html.select("ul.rows li")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert "account/password" in sign_in(browser(auth), "b@example.net", password).location
    assert len(auth.accounts.search()) == 4


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"emails": "\n".join(f"p{n}@example.net" for n in range(51))}, "too_many_lines"),
        ({"emails": " \n "}, "no_lines"),
        ({"password": "kurz"}, "password_rejected"),
        ({"role": "emperor"}, "unknown_role"),
    ],
)
def test_of_an_unfit_list_none_is_added(auth: Any, boss: TestApp, change: dict[str, str], code: str) -> None:
    fields = {"emails": "a@example.net\nb@example.net", "password": NEXT, "role": "staff"} | change
    page = boss.post("/-/auth/staff/bulk", fields, status=422)
    assert page.forms["staff-bulk"]["emails"].value.split() == fields["emails"].split()
    assert boss.post_json("/-/auth/staff/bulk", fields, status=422).json["code"] == code
    assert len(auth.accounts.search()) == 1


# One person


def test_details_are_changed_and_kept(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    form = boss.get(f"/-/auth/staff/{user.id}").forms["staff-profile"]
    form["name"], form["memo"], form["notify_email"] = "田中 一郎", "夜番", "home@example.net"
    page = form.submit(status=303).follow()
    assert page.html.h1.text == "田中 一郎"
    assert page.forms["staff-profile"]["memo"].value == "夜番"
    assert [row.details["what"] for row in events(auth, "profile_changed")] == ["name memo notify_email"]
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
    form = boss.get(f"/-/auth/staff/{user.id}").forms["staff-email"]
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
    form = boss.get(f"/-/auth/staff/{user.id}").forms["staff-role"]
    form["role"] = "admin"
    form.submit(status=303)
    tanaka.get("/-/auth/staff", status=200)
    assert boss.post(f"/-/auth/staff/{user.id}/role", {"role": "emperor"}, status=422)


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
    page = boss.get(f"/-/auth/staff/{user.id}").click("Go on to delete")
    assert auth.accounts.get(user.id)
    page.forms["staff-delete"].submit(status=303)
    assert seen(tanaka) == ""
    boss.get(f"/-/auth/staff/{user.id}", status=404)
    assert person(auth).id != user.id
    assert "Sign-in" in boss.get("/-/auth/audit?event=signed_in").text
    assert any(row.user_id == user.id for row in events(auth, "signed_in"))


def test_ones_own_page_offers_nothing_that_is_refused(auth: Any, boss: TestApp) -> None:
    own = auth.accounts.find("kanri@example.com").id
    page = boss.get(f"/-/auth/staff/{own}")
    assert set(page.forms) & {"staff-password", "staff-email", "staff-role", "staff-active"} == set()
    form = page.forms["staff-profile"]
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
