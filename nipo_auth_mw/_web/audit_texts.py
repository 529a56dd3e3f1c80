"""How an event reads: its noun, who did it, and its day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw.models import Event


def day_name(web: WebContext, language: str, day: date, this_year: int) -> str:
    """The day with its weekday, and with its year if it is another one."""
    return _named(web, language, "audit.day" if day.year == this_year else "audit.day_of_year", day)


def short_day(web: WebContext, language: str, day: date) -> str:
    """The day with its weekday, as short as a heading of a narrow column has to be."""
    return _named(web, language, "usage.short_day", day)


def _named(web: WebContext, language: str, key: str, day: date) -> str:
    """The text with the parts of the day."""
    return web.pages.text(
        language,
        key,
        year=str(day.year),
        month=web.pages.text(language, "time.months").split()[day.month - 1],
        day=str(day.day),
        weekday=web.pages.text(language, "audit.weekdays").split()[day.weekday()],
    )


def what(web: WebContext, language: str, event: Event) -> str:
    """The event as a noun. Some have another name where another person did it."""
    name = web.pages.catalogues.name
    by_another = bool(event.actor) and event.actor != event.user_id
    found = name(language, "event_by_another", event.event) if by_another else event.event
    return found if found != event.event else name(language, "event", event.event)


def actor(web: WebContext, language: str, event: Event, names: Mapping[str, str]) -> str:
    """Who did it, if it was not the account itself."""
    if not event.actor or event.actor == event.user_id:
        return ""
    return names.get(event.actor) or web.pages.catalogues.name(language, "actor", event.actor)
