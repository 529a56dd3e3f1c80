"""The history as administrators read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from nipo_auth_mw.models import Event
from nipo_auth_mw.parts import emails
from nipo_auth_mw.parts.services import Services

EVENTS = (
    *("signed_in", "sign_in_failed", "locked", "unlocked", "refused_disabled", "limited", "new_device"),
    *("signed_out", "session_expired", "session_ended"),
    *("password_reset_requested", "password_reset", "password_changed", "link_refused"),
    *("email_change_requested", "email_changed", "email_change_cancelled", "profile_changed"),
    *("account_created", "account_enabled", "account_disabled", "account_deleted", "role_changed"),
    *("not_allowed", "cross_site_refused"),
)
_AT_ONCE = 1000
_FORMULA = re.compile(r"(^|[;|\t\r\n])(?=\s*[=+\-@＝＋－＠])|^(?=[\t\r\n])")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for: an address, a name of `EVENTS`, and days, both included, in the configured time zone."""

    email: str = ""
    event: str = ""
    first: date | None = None
    last: date | None = None


def page(services: Services, wanted: Wanted, *, after: str, limit: int) -> Sequence[Event]:
    """The newest events that fit, from the position `after` on.

    An address finds what its account did under any address; one that has no account (any more) finds the rows that
    name it, and failed sign-ins with it, which are kept under a mask. Raises `StoreUnavailable`.
    """
    who = _who(services, wanted.email) if wanted.email else {}
    zone = services.config.zone
    return services.audit.events(
        **who,
        event=wanted.event or None,
        since=_midnight(wanted.first, zone) if wanted.first else None,
        until=_midnight(wanted.last + timedelta(days=1), zone) if wanted.last and wanted.last < date.max else None,
        after=after,
        limit=limit,
    )


def everything(services: Services, wanted: Wanted) -> Iterator[Event]:
    """All events that fit, newest first, read bit by bit."""
    after = ""
    while found := page(services, wanted, after=after, limit=_AT_ONCE):
        yield from found
        after = found[-1].position


def harmless(cell: str) -> str:
    """A cell of a file for spreadsheets. What one would take for a formula begins with an apostrophe, in the wide
    spelling of Japanese keyboards too (OWASP, "CSV Injection"); so does what would be one in a cell of its own where
    the country's spreadsheets split at semicolons."""
    return _FORMULA.sub(r"\1'", cell)


def names(services: Services, events: Sequence[Event]) -> dict[str, str]:
    """What people call the accounts in these rows: name or address by id, for those that still exist."""
    ids = dict.fromkeys(one for event in events for one in (event.user_id, event.actor) if one)
    accounts = (services.users.get(user_id) for user_id in ids)
    return {account.id: account.name or account.email for account in accounts if account}


def _who(services: Services, typed: str) -> dict[str, str]:
    address = emails.canonical(typed)
    account = services.users.find_by_email(address) if address else None
    if account is not None:
        return {"user_id": account.id}
    named = address or typed
    if services.audit.events(email=named, limit=1):
        return {"email": named}
    return {"email": services.recorder.masked(named)}


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
