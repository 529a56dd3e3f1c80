"""The history for administrators: a page and a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.flows import history
from nipo_auth_mw.flows.history import EVENTS, Wanted
from nipo_auth_mw.models import Event
from nipo_auth_mw.parts.agents import describe
from nipo_auth_mw.web.request import BadRequest, Request
from nipo_auth_mw.web.shapes import event_data
from nipo_auth_mw.web.site import Site

_A_PAGE = 50
_COLUMNS = (
    "time",
    "event",
    "user_id",
    "email",
    "actor",
    "session",
    "client_address",
    "device",
    "user_agent",
    "details",
)
_FILTERS = ("email", "event", "from", "to")


def show(site: Site, request: Request) -> Response:
    given = {name: request.query.get(name, "").strip()[:254] for name in _FILTERS}
    try:
        wanted = _wanted(given)
    except BadRequest as bad:
        return site.answers.refuse(request, bad.code, bad.status)
    after = request.query.get("after", "")
    found = history.page(site.services, wanted, after=after, limit=_A_PAGE + 1)
    events, last = found[:_A_PAGE], found[_A_PAGE - 1].position if len(found) > _A_PAGE else ""
    if request.wants_json:
        return site.answers.data({"events": [event_data(event) for event in events], "after": last or None})
    return site.answers.page(
        request,
        "history.html",
        events=events,
        names=history.names(site.services, events),
        kinds=EVENTS,
        given=given,
        after=after,
        last=last,
        zone=site.config.timezone,
    )


def download(site: Site, request: Request) -> Response:
    """All rows that the filters let through, as a file for a spreadsheet. Sent while it is read."""
    given = {name: request.query.get(name, "").strip()[:254] for name in _FILTERS}
    wanted = _wanted(given)
    found = history.everything(site.services, wanted)
    lines = _lines(site, request, found)
    # Read once before anything is sent, so that an outage is still answered as one.
    first = next(lines)
    return site.answers.download(_after(first, lines), "text/csv; charset=utf-8", "history.csv")


def _wanted(given: dict[str, str]) -> Wanted:
    if given["event"] and given["event"] not in EVENTS:
        raise BadRequest(422, "bad_filter")
    return Wanted(given["email"], given["event"], _day(given["from"]), _day(given["to"]))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest(422, "bad_filter") from None


def _after(first: str, rest: Iterator[str]) -> Iterator[bytes]:
    # Spreadsheets take UTF-8 for something else without this mark.
    yield b"\xef\xbb\xbf" + first.encode()
    for text in rest:
        yield text.encode("utf-8", "replace")


def _lines(site: Site, request: Request, events: Iterator[Event]) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([site.pages.text(request.language, f"history.{name}") for name in _COLUMNS])
    for number, event in enumerate(events, 1):
        writer.writerow([history.harmless(cell) for cell in _cells(site, request, event)])
        if number % 100 == 1:
            yield _taken(out)
    yield _taken(out)


def _cells(site: Site, request: Request, event: Event) -> list[str]:
    facts: dict[str, Any] = {
        **event_data(event),
        "time": event.time.astimezone(site.config.zone).isoformat(timespec="seconds"),
        "event": site.pages.texts.name(request.language, "event", event.event),
        "device": describe(event.user_agent),
        "details": json.dumps(dict(event.details), ensure_ascii=False) if event.details else "",
    }
    return [str(facts[name] or "") for name in _COLUMNS]


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text
