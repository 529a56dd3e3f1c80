"""Days in a query, and the shortcuts to them."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, timedelta

from nipo_auth_mw._web.body import BadRequest

_DAY = re.compile("([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})")


def day_in(text: str) -> date | None:
    """The day, such as 2026-04-01 or 2026/4/1 in any width, None for an empty text. Raises `BadRequest`."""
    if not text:
        return None
    found = _DAY.fullmatch(unicodedata.normalize("NFKC", text[:64]))
    try:
        if found:
            return date(*map(int, found.groups()))
    except ValueError:
        pass
    raise BadRequest("bad_filter")


def days_in(first: str, last: str) -> tuple[date | None, date | None]:
    """Both days, the earlier one first. Raises `BadRequest`."""
    one, other = day_in(first.strip()), day_in(last.strip())
    return (other, one) if one and other and one > other else (one, other)


def later(day: date, days: int) -> date:
    """The day so many days later, or earlier below 0; the first or the last that there is, for a day beyond it."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def shortcuts(today: date, first: date | None, last: date | None) -> list[tuple[str, str, str, bool]]:
    """The name, the first and the last day of each shortcut, and whether it is the one that was followed."""
    monday = today - timedelta(days=today.weekday())
    days = {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1),) * 2,
        "last_friday": (monday - timedelta(days=3),) * 2,
        "this_month": (today.replace(day=1), today),
    }
    return [
        (name, since.isoformat(), until.isoformat(), (since, until) == (first, last))
        for name, (since, until) in days.items()
    ]
