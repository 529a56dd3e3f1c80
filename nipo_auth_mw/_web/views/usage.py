"""Who used the app on which day: a page with people by days, and a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from werkzeug.wrappers import Response

from nipo_auth_mw._flows import usage
from nipo_auth_mw._flows.usage import MOST_DAYS, Person, UsageFilter
from nipo_auth_mw._web.audit_csv import csv_file
from nipo_auth_mw._web.audit_texts import short_day
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.days import days_in, later, shortcuts
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw.protocols import DayOfUse

_A_PAGE = 50
_USUAL_DAYS = 7
_DAYS_WITH_TIMES = 7
_COLUMNS = ("day", "name", "email", "user_id", "first_use", "last_use")


class UsageData(TypedDict):
    """One person. `days` has the first and the last use of each day, in ISO 8601."""

    user_id: str
    name: str
    email: str
    days: dict[str, Any]


class Row(NamedTuple):
    """One person, and for each day "" or the times of the first and the last use."""

    person: Person
    days: list[str]


@takes("q", "from", "to", "after", gives={"people": list[UsageData], "after": str | None})
def show(web: WebContext, request: Request) -> Response:
    """Show who used the app on each of up to 31 days, by default the last seven."""
    wanted, after = _filter(web, request), request.query.get("after", "")[:64]
    found = list(usage.people(web.services, wanted, after=after, limit=_A_PAGE + 1))
    people, last = found[:_A_PAGE], found[_A_PAGE - 1].user_id if len(found) > _A_PAGE else ""
    if request.wants_json:
        return web.answers.data({"people": [_data(web, person) for person in people], "after": last or None})
    now = datetime.now(web.config.zone)
    return web.answers.page(
        request,
        "usage.html",
        days=[short_day(web, request.language, day) for day in wanted.days],
        with_times=len(wanted.days) <= _DAYS_WITH_TIMES,
        people=[Row(person, _times(web, wanted, person)) for person in people],
        given={"q": wanted.q, "from": wanted.first.isoformat(), "to": wanted.last.isoformat()},
        shortcuts=shortcuts(now.date(), wanted.first, wanted.last),
        most=MOST_DAYS,
        after=after,
        last=last,
    )


@takes("q", "from", "to")
def download(web: WebContext, request: Request) -> Response:
    """Send one line for each person and day as CSV."""
    wanted = _filter(web, request)
    reader = request.signed_in
    lines = _lines(web, usage.everybody(web.services, wanted, reader=reader))
    headings = [web.pages.text(request.language, f"usage.{name}") for name in _COLUMNS]
    name = f"{web.pages.text(request.language, 'usage.file')}_{wanted.first}_{wanted.last}.csv"
    return web.answers.download(csv_file(headings, lines), "text/csv; charset=utf-8", name)


def _filter(web: WebContext, request: Request) -> UsageFilter:
    """The days as they were typed, in order, and at most 31 of them. Raises `BadRequest` for a text that is no day."""
    first, last = days_in(request.query.get("from", ""), request.query.get("to", ""))
    last = last or (later(first, _USUAL_DAYS - 1) if first else datetime.now(web.config.zone).date())
    first = first or later(last, 1 - _USUAL_DAYS)
    return UsageFilter(max(first, later(last, 1 - MOST_DAYS)), last, request.query.get("q", "").strip()[:254])


def _clock(web: WebContext, at: float) -> str:
    return f"{datetime.fromtimestamp(at, web.config.zone):%H:%M}"


def _span(web: WebContext, use: DayOfUse) -> str:
    """The first and the last use of the day; one time if both are within a minute."""
    first, last = _clock(web, use.first_at), _clock(web, use.last_at)
    return first if first == last else f"{first}–{last}"


def _times(web: WebContext, wanted: UsageFilter, person: Person) -> list[str]:
    return [_span(web, person.uses[day]) if day in person.uses else "" for day in wanted.days]


def _data(web: WebContext, person: Person) -> UsageData:
    """One person for JSON. Times are ISO 8601 in the configured time zone."""

    def moment(at: float) -> str:
        return datetime.fromtimestamp(at, web.config.zone).isoformat(timespec="seconds")

    account = person.account
    return {
        "user_id": person.user_id,
        "name": account.name or "" if account else "",
        "email": account.email if account else "",
        "days": {
            day.isoformat(): [moment(use.first_at), moment(use.last_at)] for day, use in sorted(person.uses.items())
        },
    }


def _lines(web: WebContext, people: Iterator[Person]) -> Iterator[Sequence[str]]:
    """One line for each person and day."""
    for person in people:
        account = person.account
        named = (account.name or "", account.email) if account else ("", "")
        for day, use in sorted(person.uses.items()):
            spelt = f"{day.year}/{day.month}/{day.day}"
            yield (spelt, *named, person.user_id, _clock(web, use.first_at), _clock(web, use.last_at))
