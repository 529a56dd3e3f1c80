"""The history as an administrator reads it: page, filters, file."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw.models import Event
from tests.kit import WRONG, browser, events, middleware, person, sign_in


@pytest.fixture
def auth() -> Any:
    return middleware(timezone="Asia/Tokyo")


@pytest.fixture
def boss(auth: Any) -> TestApp:
    person(auth, "kanri@example.com", role="admin", name="管理 担当")
    mine = browser(auth)
    sign_in(mine, "kanri@example.com")
    return mine


def heads(page: Any) -> list[str]:
    return [p.text for p in page.html.select("ul.rows .head")]


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
    assert set(heads(found)) == {"Signed in", "Sign-in failed", "Account was created"}
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
    assert heads(found) == ["Sign-in failed"]
    assert "stranger" not in found.html.select_one("ul.rows").text


def test_a_deleted_persons_rows_are_found_by_their_address(auth: Any, boss: TestApp) -> None:
    user = person(auth)
    sign_in(browser(auth))
    auth.accounts.delete(user.id)
    assert set(heads(boss.get("/-/auth/audit?email=tanaka%40example.com"))) >= {"Signed in", "Account was deleted"}


@pytest.mark.parametrize(
    "query",
    ["event=nothing", "from=yesterday", "to=2026-13-01", "from=2026-02-30", "event=%00", "from=20260101x"],
)
def test_a_filter_that_makes_no_sense_is_refused_in_words(boss: TestApp, query: str) -> None:
    assert boss.get(f"/-/auth/audit?{query}", status=422).html.select_one('[role="alert"]')
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
    answer = page.click("Save as CSV")
    assert answer.content_type == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    found = rows(answer)
    assert len(found) == 121
    assert found[0][:2] == ["Time", "What happened"]
    assert found[1][0].endswith("+09:00")
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
    text = boss.get("/-/auth/audit?event=session_ended").html.select_one("ul.rows").text
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
