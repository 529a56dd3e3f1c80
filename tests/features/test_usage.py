"""Who used the app on which day."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw import SessionPolicy
from nipo_auth_mw.protocols import DayOfUse
from tests.kit import browser, middleware, person, sign_in

FRIDAY = datetime(2026, 11, 20, 0, 5, tzinfo=UTC)  # 9:05 in Tokyo


@pytest.fixture
def auth() -> Any:
    return middleware(timezone="Asia/Tokyo")


def administrator(auth: Any) -> TestApp:
    person(auth, "kanri@example.com", role="admin", name="管理 担当")
    mine = browser(auth)
    sign_in(mine, "kanri@example.com")
    return mine


def grid(page: Any) -> dict[str, list[str]]:
    """The cells of each person, without what only a screen reader says."""
    for unseen in page.html.select("table.usage .unseen"):
        unseen.decompose()
    return {
        row.select_one("th").text: [cell.text for cell in row.select("td")]
        for row in page.html.select("table.usage tbody tr")
    }


def test_who_stays_signed_in_is_seen_on_each_day_of_use(auth: Any) -> None:
    with time_machine.travel(FRIDAY, tick=False) as clock:
        person(auth, name="田中")
        mine = browser(auth)
        sign_in(mine)
        for hours in (3, 9, 72):
            clock.move_to(FRIDAY + timedelta(hours=hours))
            mine.get("/")
        assert auth._services.worker.flush(5)
        page = administrator(auth).get("/-/auth/audit/usage?from=2026-11-20&to=2026-11-23")
    assert grid(page)["田中"] == ["09:05–18:05", "–", "–", "09:05"]
    assert [heading.text for heading in page.html.select("table.usage thead th")][1:3] == ["Fri 20 Nov", "Sat 21 Nov"]


def test_days_are_those_of_the_configured_place(auth: Any) -> None:
    with time_machine.travel(datetime(2026, 11, 20, 15, 30, tzinfo=UTC), tick=False):
        user = person(auth)
        sign_in(browser(auth))
        assert auth._services.worker.flush(5)
    found = auth._services.usage.days_of_use([user.id], date(2026, 1, 1), date(2026, 12, 31))
    assert [use.day for use in found] == [date(2026, 11, 21)]


def test_a_passive_request_is_no_use() -> None:
    auth = middleware(timezone="Asia/Tokyo", session=SessionPolicy(passive_paths=("/poll",)))
    with time_machine.travel(FRIDAY, tick=False) as clock:
        user = person(auth)
        mine = browser(auth)
        sign_in(mine)
        clock.move_to(FRIDAY + timedelta(days=1))
        mine.get("/poll")
        assert auth._services.worker.flush(5)
    found = auth._services.usage.days_of_use([user.id], date(2026, 1, 1), date(2026, 12, 31))
    assert [use.day for use in found] == [date(2026, 11, 20)]


def test_a_person_is_found_by_name_though_they_did_not_use_it(auth: Any) -> None:
    boss = administrator(auth)
    person(auth, "sato@example.com", name="佐藤 花子")
    assert "佐藤 花子" not in grid(boss.get("/-/auth/audit/usage"))
    assert grid(boss.get(f"/-/auth/audit/usage?q={quote('佐藤')}")) == {"佐藤 花子": ["–"] * 7}
    assert "No staff match “takada”" in boss.get("/-/auth/audit/usage?q=takada").text


def test_a_month_is_shown_by_marks_and_no_more_than_31_days(auth: Any) -> None:
    boss = administrator(auth)
    assert auth._services.worker.flush(5)
    today = datetime.now(auth.config.zone).date()
    page = boss.get(f"/-/auth/audit/usage?from=2000-01-01&to={today}")
    assert grid(page)["管理 担当"] == [*["–"] * 30, "●"]
    assert page.forms["usage"]["from"].value == (today - timedelta(days=30)).isoformat()


def test_many_people_come_page_by_page(auth: Any) -> None:
    boss = administrator(auth)
    assert auth._services.worker.flush(5)
    today = datetime.now(auth.config.zone).date()
    for number in range(60):
        auth._services.usage.note_use(f"gone{number:02}", today, time.time())
    first = boss.get("/-/auth/audit/usage")
    second = first.click("Next page")
    assert (len(grid(first)), len(grid(second))) == (50, 11)
    assert "Deleted account (ID gone59)" in grid(second)
    assert len(grid(second.click("First page"))) == 50


def test_the_file_has_a_line_for_each_person_and_day(auth: Any) -> None:
    boss = administrator(auth)
    user = person(auth, "suzuki@example.com", name="=cmd|x")
    day = date(2026, 11, 20)
    auth._services.usage.note_use(user.id, day, FRIDAY.timestamp())
    auth._services.usage.note_use(user.id, day, FRIDAY.timestamp() + 3600)
    answer = boss.get("/-/auth/audit/usage.csv?from=2026-11-20&to=2026-11-20")
    lines = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert lines[0] == ["Day", "Name", "Email", "User ID", "First use", "Last use"]
    assert [lines[1][0], *lines[1][2:]] == ["2026/11/20", "suzuki@example.com", user.id, "09:05", "10:05"]
    assert not lines[1][1].startswith("=")
    assert "usage_2026-11-20_2026-11-20.csv" in answer.headers["Content-Disposition"]


def test_json_has_the_moments(auth: Any) -> None:
    boss = administrator(auth)
    user = person(auth, "suzuki@example.com", name="鈴木")
    auth._services.usage.note_use(user.id, date(2026, 11, 20), FRIDAY.timestamp())
    asked = {"Accept": "application/json"}
    found = boss.get("/-/auth/audit/usage?from=2026-11-20&to=2026-11-20", headers=asked).json
    moment = "2026-11-20T09:05:00+09:00"
    assert found == {
        "people": [{"user_id": user.id, "name": "鈴木", "email": user.email, "days": {"2026-11-20": [moment, moment]}}],
        "after": None,
    }


def test_only_administrators_see_it_and_a_bad_day_is_refused(auth: Any) -> None:
    boss = administrator(auth)
    person(auth)
    tanaka = browser(auth)
    sign_in(tanaka)
    for path in ("audit/usage", "audit/usage.csv"):
        tanaka.get(f"/-/auth/{path}", status=403)
        boss.get(f"/-/auth/{path}?from=2026-02-30", status=422)
        for ends in ("from=9999-12-31&to=0001-01-01", "from=9999-12-31", "to=0001-01-01", "from=0001-01-01"):
            boss.get(f"/-/auth/{path}?{ends}", status=200)
        boss.get(f"/-/auth/{path}?after=%00&q=%00", status=200)


def test_the_sweep_removes_what_is_older_than_the_log(auth: Any) -> None:
    usage = auth._services.usage
    old, young = date(2024, 1, 1), datetime.now(auth.config.zone).date()
    for day in (old, young):
        usage.note_use("1", day, 1.0)
    auth.sweep()
    assert list(usage.days_of_use(["1"], old, young)) == [DayOfUse("1", young, 1.0, 1.0)]
