"""The audit log as a file for a spreadsheet: words for people, and the codes of the API beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from itertools import islice

from nipo_auth_mw._audit.csv_cells import harmless
from nipo_auth_mw._flows import audit
from nipo_auth_mw._pages.user_agents import describe
from nipo_auth_mw._web.audit_texts import actor, what
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw.models import Event

_AT_ONCE = 100
_COLUMNS = (
    "time",
    "event",
    "event_code",
    "who",
    "email",
    "user_id",
    "actor",
    "actor_id",
    "why",
    "device",
    "client_address",
    "session",
    "user_agent",
    "details",
)


def pieces(web: WebContext, language: str, events: Iterator[Event]) -> Iterator[bytes]:
    """The file of these events, with headings in the request's language; see `csv_file`."""
    headings = [web.pages.text(language, f"audit.{name}") for name in _COLUMNS]
    return csv_file(headings, _lines(web, language, events))


def csv_file(headings: Sequence[str], lines: Iterator[Sequence[str]]) -> Iterator[bytes]:
    """The file in pieces of a hundred lines. It begins with a byte order mark, else a spreadsheet does not read it as
    UTF-8. No cell begins a formula.

    The first lines are read before this returns, so that an outage is answered with 503.
    """
    texts = _texts(headings, lines)
    first = next(texts)
    return _after(first, texts)


def _after(first: str, rest: Iterator[str]) -> Iterator[bytes]:
    """The bytes of the file."""
    yield b"\xef\xbb\xbf" + first.encode("utf-8", "replace")
    for text in rest:
        yield text.encode("utf-8", "replace")


def _texts(headings: Sequence[str], lines: Iterator[Sequence[str]]) -> Iterator[str]:
    """The texts of a hundred lines each."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(headings)
    while batch := list(islice(lines, _AT_ONCE)):
        writer.writerows([harmless(cell) for cell in line] for line in batch)
        yield _taken(out)
    yield _taken(out)


def _lines(web: WebContext, language: str, events: Iterator[Event]) -> Iterator[list[str]]:
    """The cells of each event. Each account is looked up once."""
    names: dict[str, str] = {}
    while batch := list(islice(events, _AT_ONCE)):
        ids = {one for event in batch for one in (event.user_id, event.actor) if one and one not in names}
        names |= dict.fromkeys(ids, "") | audit.names(web.services, ids)
        yield from (_cells(web, language, event, names) for event in batch)


def _cells(web: WebContext, language: str, event: Event, names: dict[str, str]) -> list[str]:
    """The cells of one event. A spreadsheet reads 2026/11/26 4:59:03 as a time."""
    time = event.time.astimezone(web.config.zone)
    reason = next((name for name in ("why", "limit") if name in event.details), "")
    facts = {
        "time": f"{time.year}/{time.month}/{time.day} {time.hour}:{time:%M:%S}",
        "event": what(web, language, event),
        "event_code": event.event,
        "who": names.get(event.user_id or "", ""),
        "email": event.email,
        "user_id": event.user_id or "",
        "actor": actor(web, language, event, names),
        "actor_id": event.actor,
        "why": web.pages.catalogues.name(language, reason, str(event.details[reason])) if reason else "",
        "device": describe(event.user_agent),
        "client_address": event.client_address,
        "session": event.session,
        "user_agent": event.user_agent,
        "details": json.dumps(dict(event.details), ensure_ascii=False) if event.details else "",
    }
    return [facts[name] for name in _COLUMNS]


def _taken(out: io.StringIO) -> str:
    """The text that was written to the buffer since the last call."""
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text
