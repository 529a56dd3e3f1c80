"""The audit log as administrators read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from nipo_auth_mw._flows.staff_actor import is_administrator
from nipo_auth_mw._mail import addresses
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Event

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events to show.

    `email` is an address, `event` the name of a kind, and `first` and `last` are days in the configured time zone. ""
    and None let all events through.
    """

    email: str = ""
    event: str = ""
    first: date | None = None
    last: date | None = None


def page(services: Services, wanted: AuditFilter, *, after: str, limit: int) -> Sequence[Event]:
    """The newest events that the filter lets through, from the position `after` on.

    An address finds the events of its account under any address. An address without an account finds the events that
    name it, and failed sign-ins with it, whose address is masked. Raises `StoreUnavailable`.
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


def everything(services: Services, wanted: AuditFilter, *, reader: ActiveSession | None = None) -> Iterator[Event]:
    """All events that the filter lets through, the newest first, read in batches.

    Stops before the next batch if the administrator who reads has lost the role or the session.
    """
    after = ""
    while found := page(services, wanted, after=after, limit=_AT_ONCE):
        yield from found
        after = found[-1].position
        if reader is not None and not is_administrator(services, reader):
            return


def names(services: Services, events: Sequence[Event]) -> dict[str, str]:
    """Name or address by id, of the accounts in these events that still exist."""
    ids = dict.fromkeys(one for event in events for one in (event.user_id, event.actor) if one)
    accounts = (services.users.get(user_id) for user_id in ids)
    return {account.id: account.name or account.email for account in accounts if account}


def _who(services: Services, typed: str) -> dict[str, str]:
    """The query for an address: by account, by address, or by mask."""
    address = addresses.canonical(typed)
    account = services.users.find_by_email(address) if address else None
    if account is not None:
        return {"user_id": account.id}
    named = address or typed
    if services.audit.events(email=named, limit=1):
        return {"email": named}
    return {"email": services.log.masked(named)}


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The beginning of a day in the configured time zone."""
    return datetime.combine(day, time(), zone)
