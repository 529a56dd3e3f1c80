"""The audit log for administrators: a page by days, and a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from werkzeug.wrappers import Response

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._flows import audit
from nipo_auth_mw._flows.audit import AuditFilter
from nipo_auth_mw._web import audit_csv
from nipo_auth_mw._web.audit_texts import actor, day_name, what
from nipo_auth_mw._web.body import BadRequest
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.days import day_in, days_in, shortcuts
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw.listeners import EventData, event_data
from nipo_auth_mw.models import Event

_A_PAGE = 50
_COUNTED = 200
_FILTERS = ("email", "event", "from", "to")


class Row(NamedTuple):
    """One line of the page."""

    event: Event
    clock: str
    what: str
    actor: str


@takes(
    "email", "event", "from", "to", "after", gives={"events": list[EventData], "after": str | None, "count": int | None}
)
def show(web: WebContext, request: Request) -> Response:
    """Show the newest events that the filters let through, page by page.

    The first page counts the events, at most 200 of them: more tell a reader no more.
    """
    given = _given(request)
    wanted, after = _filter(given), request.query.get("after", "")
    of = audit.subjects(web.services, wanted.q)
    found = audit.page(web.services, wanted, of, after=after, limit=(_A_PAGE if after else _COUNTED) + 1)
    events, last = found[:_A_PAGE], found[_A_PAGE - 1].position if len(found) > _A_PAGE else ""
    if request.wants_json:
        count = None if after or len(found) > _COUNTED else len(found)
        return web.answers.data({"events": [event_data(one) for one in events], "after": last or None, "count": count})
    names = audit.names(web.services, [one for event in events for one in (event.user_id, event.actor)])
    return web.answers.page(
        request,
        "audit.html",
        days=_days(web, request.language, events, names),
        names=names,
        found_people=[one.name or web.config.login_id(one.email) for one in of.people],
        more_people=of.more,
        groups=_groups(),
        has_usage=web.services.usage is not None,
        given=given,
        shortcuts=shortcuts(datetime.now(web.config.zone).date(), wanted.first, wanted.last),
        count=None if after else min(len(found), _COUNTED),
        many=len(found) > _COUNTED,
        after=after,
        last=last,
    )


@takes("email", "event", "from", "to")
def download(web: WebContext, request: Request) -> Response:
    """Send all events that the filters let through as CSV, while they are read."""
    given = _given(request)
    events = audit.everything(web.services, _filter(given), reader=request.signed_in)
    days = "_".join(given[name] for name in ("from", "to") if given[name])
    name = "_".join(filter(None, [web.pages.text(request.language, "audit.file"), days])) + ".csv"
    return web.answers.download(audit_csv.pieces(web, request.language, events), "text/csv; charset=utf-8", name)


def _given(request: Request) -> dict[str, str]:
    """The filters as they were typed, cut to the length of an address. Days are ISO 8601, the earlier one first.

    Raises `BadRequest` for a text that is no day.
    """
    given = {name: request.query.get(name, "").strip()[:254] for name in _FILTERS}
    first, last = days_in(given["from"], given["to"])
    return given | {"from": first.isoformat() if first else "", "to": last.isoformat() if last else ""}


def _filter(given: Mapping[str, str]) -> AuditFilter:
    """The filter for the flow. Raises `BadRequest` for an unknown event."""
    if given["event"] and given["event"] not in EventType.declared:
        raise BadRequest("bad_filter")
    return AuditFilter(given["email"], given["event"], day_in(given["from"]), day_in(given["to"]))


def _groups() -> list[tuple[EventGroup, list[str]]]:
    """The kinds of events by group."""
    kinds = EventType.declared.values()
    return [(group, [kind.name for kind in kinds if kind.group is group]) for group in EventGroup]


def _days(
    web: WebContext, language: str, events: Sequence[Event], names: Mapping[str, str]
) -> list[tuple[str, list[Row]]]:
    """The rows by day in the configured time zone, each day under its heading."""
    zone, this_year = web.config.zone, datetime.now(web.config.zone).year
    days = groupby(events, lambda event: event.time.astimezone(zone).date())
    return [
        (day_name(web, language, day, this_year), [_row(web, language, event, names) for event in found])
        for day, found in days
    ]


def _row(web: WebContext, language: str, event: Event, names: Mapping[str, str]) -> Row:
    """The line of one event."""
    clock = event.time.astimezone(web.config.zone).strftime("%H:%M:%S")
    return Row(event, clock, what(web, language, event), actor(web, language, event, names))
