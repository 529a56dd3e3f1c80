"""The history as an administrator reads it: page, filters, file."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw.models import Event
from tests.kit import WRONG, browser, events, middleware, person, sign_in


@pytest.fixture
def auth() -> Any:
    return middleware(timezone="Asia/Tokyo")


def heads(page: Any) -> list[str]:
    """The nouns of the rows, on the log or on a user's own page."""
    return [cell.find(string=True).strip() for cell in page.html.select("table.log .event, ul.rows .head")]


def rows(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))


def test_everything_is_there_newest_first_and_page_by_page(auth: Any, boss: TestApp) -> None:
    person(auth)
    for _ in range(60):
        sign_in(browser(auth))
    page = boss.get("/-/auth/account").click(description="History", href="/-/auth/audit$")
    found = heads(page)
    assert len(found) == 50
    older = page.click("Older entries")
    assert len(heads(older)) == len(events(auth)) - 50
    assert heads(older.click("Newest page")) == found


def test_it_is_filtered_by_person_event_and_day(auth: Any, boss: TestApp) -> None:
    person(auth)
    sign_in(browser(auth), password=WRONG)
    sign_in(browser(auth))
    form = boss.get("/-/auth/audit").forms["audit"]
    form["email"] = "TANAKA@example.com"
    found = form.submit()
    assert set(heads(found)) == {"Sign-in", "Failed sign-in", "Account creation"}
    form["event"] = "sign_in_failed"
    assert len(heads(form.submit())) == 1
    assert form.submit().forms["audit"]["email"].value == "TANAKA@example.com"
    today = datetime.now(UTC).date().isoformat()
    with time_machine.travel(time.time() + 5 * 86400, tick=True):
        sign_in(boss, "kanri@example.com")
        answer = boss.get("/-/auth/audit", {"event": "signed_in", "from": "2000-01-01", "to": "2000-01-02"})
        assert heads(answer) == []
        assert len(heads(boss.get("/-/auth/audit", {"event": "signed_in", "from": today}))) >= 2


def test_days_are_those_of_the_configured_place(auth: Any, boss: TestApp) -> None:
    audit = auth._services.audit
    for hour in (14, 15):
        audit.append_event(
            Event(datetime(2026, 4, 1, hour, 30, tzinfo=UTC), "limited", client_address=f"192.0.2.{hour}")
        )
    april_first = boss.get("/-/auth/audit?from=2026-04-01&to=2026-04-01").text
    april_second = boss.get("/-/auth/audit?from=2026-04-02&to=2026-04-02").text
    assert ("192.0.2.14" in april_first, "192.0.2.15" in april_first) == (True, False)
    assert ("192.0.2.14" in april_second, "192.0.2.15" in april_second) == (False, True)
    assert "23:30" in april_first


def test_failures_with_an_unknown_address_are_found_by_who_knows_it(auth: Any, boss: TestApp) -> None:
    sign_in(browser(auth), "stranger@example.net")
    sign_in(browser(auth), "another@example.net")
    found = boss.get("/-/auth/audit?email=Stranger%40example.net")
    assert heads(found) == ["Failed sign-in"]
    assert "stranger" not in found.html.select_one("table.log").text


def test_a_deleted_persons_rows_are_found_by_their_address(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    sign_in(browser(auth))
    auth.accounts.delete(user.id)
    assert set(heads(boss.get("/-/auth/audit?email=tanaka%40example.com"))) >= {"Sign-in", "Account deletion"}


@pytest.mark.parametrize(
    "query",
    ["event=nothing", "from=yesterday", "to=2026-13-01", "from=2026-02-30", "event=%00", "from=20260101x"],
)
def test_a_filter_that_makes_no_sense_is_refused_in_words(boss: TestApp, query: str) -> None:
    page = boss.get(f"/-/auth/audit?{query}", status=422)
    assert page.html.select_one('[role="alert"]')
    assert page.click("Clear filters").status_int == 200
    boss.get(f"/-/auth/audit.csv?{query}", status=422)


@pytest.mark.parametrize("query", ["after=x", "after=%00", "email=%00", "email=x", "to=9999-12-31", "from=0001-01-01"])
def test_odd_filters_find_nothing_or_everything_and_break_nothing(boss: TestApp, query: str) -> None:
    boss.get(f"/-/auth/audit?{query}", status=200)
    boss.get(f"/-/auth/audit.csv?{query}", status=200)


def test_the_file_holds_all_that_the_filter_lets_through(auth: Any, boss: TestApp) -> None:
    person(auth)
    for _ in range(120):
        auth._services.log._append(Event(datetime.now(UTC), "limited", client_address="192.0.2.7"))
    page = boss.get("/-/auth/audit?event=limited")
    answer = page.click("Download CSV")
    assert answer.content_type == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    found = rows(answer)
    assert len(found) == 121
    assert found[0][:3] == ["Time", "Event", "Event (code)"]
    assert found[1][1:3] == ["Sign-in paused (too many failures)", "limited"]
    now = datetime.now(ZoneInfo("Asia/Tokyo"))
    assert found[1][0].startswith(f"{now.year}/{now.month}/{now.day} ")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "evil",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "=cmd|'/c calc'!A0", "＝1", "＠x", "Mozilla (X11;=1+1;x", "a; ＠x"],
)
def test_no_cell_is_a_formula(auth: Any, boss: TestApp, evil: str) -> None:
    browser(auth, HTTP_USER_AGENT=evil).post("/-/auth/login", {"email": evil, "password": "x"}, expect_errors=True)
    person(auth, "suzuki@example.com")
    browser(auth, HTTP_USER_AGENT=evil).post(
        "/-/auth/login", {"email": "suzuki@example.com", "password": "x"}, expect_errors=True
    )
    answer = boss.get("/-/auth/audit.csv").body.decode("utf-8-sig")
    for separator in ",;|\t":
        cells = [cell for row in csv.reader(io.StringIO(answer), delimiter=separator) for cell in row]
        assert not [cell for cell in cells if cell.lstrip()[:1] in set("=+-@＝＋－＠") or cell[:1] == "\t"]


def test_the_page_says_why_and_by_whom(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    sign_in(browser(auth))
    boss.post(f"/-/auth/staff/{user.id}/active", {"active": "0"})
    text = boss.get("/-/auth/audit?event=session_ended").html.select_one("table.log").text
    assert "the account was disabled" in text
    assert "管理 担当" in text
    assert "田中" in text
    data = boss.get("/-/auth/audit?event=session_ended", headers={"Accept": "application/json"}).json
    assert (data["events"][0]["actor"], data["events"][0]["details"]) == ("1", {"why": "account_disabled"})


def test_every_event_has_a_name_in_both_languages(auth: Any) -> None:
    texts = auth._web.pages.catalogues
    for language in ("ja", "en"):
        assert [name for name in tuple(EventType.declared) if texts.name(language, "event", name) == name] == []


def test_a_person_sees_their_own_on_their_account_page(auth: Any, boss: TestApp) -> None:
    person(auth)
    tanaka = browser(auth)
    sign_in(tanaka)
    assert len(heads(tanaka.get("/-/auth/account"))) >= 2
    assert "kanri" not in tanaka.get("/-/auth/account").text
    tanaka.get("/-/auth/audit", status=403)
    tanaka.get("/-/auth/audit.csv", status=403)


def test_part_of_a_name_finds_the_events_of_several_people_in_order(auth: Any, boss: TestApp) -> None:
    for number, name in enumerate(["佐藤 花子", "佐藤 太郎", "鈴木 一郎"]):
        person(auth, f"staff{number}@example.com", name=name)
    for number in (0, 1, 2, 1, 0) * 12:
        sign_in(browser(auth), f"staff{number}@example.com")
    page = boss.get(f"/-/auth/audit?email={quote('佐藤')}&event=signed_in")
    found = []
    while True:
        found += [cell.text for cell in page.html.select("table.log a")]
        if not page.html.select('a[rel="next"]'):
            break
        page = page.click("Older entries")
    assert found == ["佐藤 花子", "佐藤 太郎", "佐藤 太郎", "佐藤 花子"] * 12
    assert "鈴木" not in boss.get(f"/-/auth/audit?email={quote('佐藤')}").text
    assert "佐藤 花子, 佐藤 太郎" in boss.get(f"/-/auth/audit?email={quote('佐藤')}").text


def test_people_without_a_name_are_listed_by_their_address(auth: Any, boss: TestApp) -> None:
    person(auth, "sato1@example.com", name="佐藤")
    person(auth, "sato2@example.com")
    assert "Matching people: 佐藤, sato2@example.com<" in boss.get("/-/auth/audit?email=sato").text


def test_of_many_people_the_first_ten_are_shown_and_the_page_says_so(auth: Any, boss: TestApp) -> None:
    for number in range(12):
        person(auth, f"tanaka{number:02}@example.com", name=f"田中 {number}")
    page = boss.get("/-/auth/audit?email=tanaka")
    assert len(heads(page)) == 10
    assert "only the first ten" in page.text
    assert "only the first ten" not in boss.get("/-/auth/audit?email=tanaka1").text


def test_rows_stand_under_their_day(auth: Any, boss: TestApp) -> None:
    audit = auth._services.audit
    for hour in (14, 15):
        audit.append_event(Event(datetime(2026, 4, 1, hour, 30, tzinfo=UTC), "limited"))
    page = boss.get("/-/auth/audit?from=2026-04-01&to=2026-04-02&event=limited", headers={"Accept-Language": "ja"})
    assert [heading.text for heading in page.html.select("table.log h3")] in (
        ["2026年4月2日（木）", "2026年4月1日（水）"],
        ["4月2日（木）", "4月1日（水）"],
    )
    assert [cell.text for cell in page.html.select("table.log .number")] == ["00:30:00", "23:30:00"]


def test_days_in_the_wrong_order_are_swapped_and_any_common_spelling_is_read(boss: TestApp) -> None:
    today = datetime.now(ZoneInfo("Asia/Tokyo")).date()
    spelt = f"{today.year}/{today.month}/{today.day}"
    page = boss.get("/-/auth/audit", {"from": spelt, "to": "２０２０/１/２"})
    form = page.forms["audit"]
    assert (form["from"].value, form["to"].value) == ("2020-01-02", today.isoformat())
    assert heads(page)


def test_shortcuts_name_their_days(auth: Any) -> None:
    with time_machine.travel(datetime(2026, 11, 29, 16, tzinfo=UTC)):
        person(auth, "kanri@example.com", role="admin")
        boss = browser(auth)
        sign_in(boss, "kanri@example.com")
        page = boss.get("/-/auth/audit?event=signed_in")
        links = {link.text: link["href"].partition("?")[2] for link in page.html.select(".chips a")}
        # In Tokyo it is Monday the 30th.
        assert links == {
            "Today": "event=signed_in&from=2026-11-30&to=2026-11-30",
            "Yesterday": "event=signed_in&from=2026-11-29&to=2026-11-29",
            "Friday of last week": "event=signed_in&from=2026-11-27&to=2026-11-27",
            "This month": "event=signed_in&from=2026-11-01&to=2026-11-30",
        }
        followed = page.click("This month")
        assert [link.text for link in followed.html.select(".chips a[aria-current]")] == ["This month"]
        assert "1 found" in followed.text


def test_every_kind_of_event_is_offered_in_a_group_with_a_name(auth: Any, boss: TestApp) -> None:
    groups = boss.get("/-/auth/audit").html.select("#event optgroup")
    offered = [option["value"] for group in groups for option in group.select("option")]
    assert sorted(offered) == sorted(EventType.declared)
    texts = auth._web.pages.catalogues
    for language in ("ja", "en"):
        assert not [group for group in EventGroup if texts.name(language, "event_group", group) == group]


def test_the_count_ends_at_two_hundred(auth: Any, boss: TestApp) -> None:
    for _ in range(200):
        auth._services.log._append(Event(datetime.now(UTC), "limited"))
    assert "200 found" in boss.get("/-/auth/audit?event=limited").text
    auth._services.log._append(Event(datetime.now(UTC), "limited"))
    assert "More than 200 found" in boss.get("/-/auth/audit?event=limited").text
    asked = {"Accept": "application/json"}
    assert boss.get("/-/auth/audit?event=limited", headers=asked).json["count"] is None
    assert boss.get("/-/auth/audit?event=signed_in", headers=asked).json["count"] == 1


def test_an_administrators_act_has_another_noun_and_an_actor_of_its_own(auth: Any, boss: TestApp) -> None:
    user = person(auth, name="田中")
    boss.post(f"/-/auth/staff/{user.id}/password", {"password": "kq7!vbX2-wpzmth", "must_change": "on"})
    page = boss.get("/-/auth/audit?event=password_changed")
    assert heads(page) == ["Password reissue"]
    assert [cell.text for cell in page.html.select("table.log tbody tr:not(.day) td")][1:4:2] == ["田中", "管理 担当"]


def test_the_files_name_holds_its_days(boss: TestApp) -> None:
    answer = boss.get("/-/auth/audit.csv?from=2026-11-20&to=2026-11-21")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''history_2026-11-20_2026-11-21.csv"
    japanese = boss.get("/-/auth/audit.csv?from=2026-11-20", headers={"Accept-Language": "ja"})
    assert f"filename*=UTF-8''{quote('ログ_2026-11-20.csv')}" in japanese.headers["Content-Disposition"]
