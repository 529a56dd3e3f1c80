"""The audit log for administrators: a page and a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._audit.csv_cells import harmless
from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw._flows import audit
from nipo_auth_mw._flows.audit import AuditFilter
from nipo_auth_mw._pages.user_agents import describe
from nipo_auth_mw._web.body import BadRequest
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw.listeners import EventData, event_data
from nipo_auth_mw.models import Event

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


@takes("email", "event", "from", "to", "after", gives={"events": list[EventData], "after": str | None})
def show(web: WebContext, request: Request) -> Response:
    """Show the newest events that the filters let through, page by page."""
    given = _given(request)
    after = request.query.get("after", "")
    found = audit.page(web.services, _filter(given), after=after, limit=_A_PAGE + 1)
    events, last = found[:_A_PAGE], found[_A_PAGE - 1].position if len(found) > _A_PAGE else ""
    if request.wants_json:
        return web.answers.data({"events": [event_data(event) for event in events], "after": last or None})
    return web.answers.page(
        request,
        "audit.html",
        events=events,
        names=audit.names(web.services, events),
        kinds=tuple(EventType.declared),
        given=given,
        after=after,
        last=last,
        zone=web.config.timezone,
    )


@takes("email", "event", "from", "to")
def download(web: WebContext, request: Request) -> Response:
    """Send all events that the filters let through as CSV, while they are read."""
    lines = _lines(web, request, audit.everything(web.services, _filter(_given(request)), reader=request.signed_in))
    # The first batch is read before the status is sent, so that an outage is answered with 503.
    first = next(lines)
    return web.answers.download(_after(first, lines), "text/csv; charset=utf-8", "audit.csv")


def _given(request: Request) -> dict[str, str]:
    """The filters as they were typed, cut to the length of an address."""
    return {name: request.query.get(name, "").strip()[:254] for name in _FILTERS}


def _filter(given: dict[str, str]) -> AuditFilter:
    """The filter for the flow. Raises `BadRequest` for an unknown event or a text that is not a day."""
    if given["event"] and given["event"] not in EventType.declared:
        raise BadRequest("bad_filter")
    return AuditFilter(given["email"], given["event"], _day(given["from"]), _day(given["to"]))


def _day(text: str) -> date | None:
    """The day in ISO 8601, None for an empty text. Raises `BadRequest`."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest("bad_filter") from None


def _after(first: str, rest: Iterator[str]) -> Iterator[bytes]:
    """The bytes of the file. It begins with a byte order mark, else a spreadsheet does not read it as UTF-8."""
    yield b"\xef\xbb\xbf" + first.encode()
    for text in rest:
        yield text.encode("utf-8", "replace")


def _lines(web: WebContext, request: Request, events: Iterator[Event]) -> Iterator[str]:
    """The CSV in pieces of a hundred events, with headings in the request's language."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([web.pages.text(request.language, f"audit.{name}") for name in _COLUMNS])
    for number, event in enumerate(events, 1):
        writer.writerow([harmless(cell) for cell in _cells(web, request, event)])
        if number % 100 == 1:
            yield _taken(out)
    yield _taken(out)


def _cells(web: WebContext, request: Request, event: Event) -> list[str]:
    """The cells of one event, with its time in the configured time zone."""
    facts: dict[str, Any] = {
        **event_data(event),
        "time": event.time.astimezone(web.config.zone).isoformat(timespec="seconds"),
        "event": web.pages.catalogues.name(request.language, "event", event.event),
        "device": describe(event.user_agent),
        "details": json.dumps(dict(event.details), ensure_ascii=False) if event.details else "",
    }
    return [str(facts[name] or "") for name in _COLUMNS]


def _taken(out: io.StringIO) -> str:
    """The text that was written to the buffer since the last call."""
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text
