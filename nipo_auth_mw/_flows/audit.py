"""The audit log as administrators read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from heapq import merge
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from nipo_auth_mw._flows.staff_actor import is_administrator
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Event
from nipo_auth_mw.protocols import Account

_AT_ONCE = 1000
_MOST_PEOPLE = 10


class AuditFilter(NamedTuple):
    """Which events to show.

    `q` is an address or a part of a name or address, `event` the name of a kind, and `first` and `last` are days in the
    configured time zone. "" and None let all events through.
    """

    q: str = ""
    event: str = ""
    first: date | None = None
    last: date | None = None


class Subjects(NamedTuple):
    """Whose events to show: one query of the audit log each. `people` are the accounts that a part of a name found, and
    `more` tells that it found further ones, whose events are left out."""

    queries: tuple[dict[str, str], ...] = ({},)
    people: tuple[Account, ...] = ()
    more: bool = False


def subjects(services: Services, typed: str) -> Subjects:
    """Whose events the text asks for.

    An address finds the events of its account under any address. A part of a name or address finds those of up to ten
    accounts, as in the staff list. Any other text finds the events that name it as the address, and failed sign-ins
    with it, whose address is masked. Raises `StoreUnavailable`.
    """
    if not typed:
        return Subjects()
    address = services.addresses.canonical(typed)
    account = services.users.find_by_email(address) if address else None
    if account is not None:
        return Subjects(({"user_id": account.id},))
    found = services.directory.search(typed, after=None, limit=_MOST_PEOPLE + 1) if services.directory else ()
    if found:
        people = tuple(found[:_MOST_PEOPLE])
        return Subjects(tuple({"user_id": one.id} for one in people), people, len(found) > _MOST_PEOPLE)
    named = address or typed
    if services.audit.events(email=named, limit=1):
        return Subjects(({"email": named},))
    return Subjects(({"email": services.log.masked(named)},))


def page(services: Services, wanted: AuditFilter, of: Subjects, *, after: str, limit: int) -> Sequence[Event]:
    """The newest events that the filter lets through, from the position `after` on. Raises `StoreUnavailable`."""
    zone = services.config.zone
    lists = [
        services.audit.events(
            **query,
            event=wanted.event or None,
            since=_midnight(wanted.first, zone) if wanted.first else None,
            until=_midnight(wanted.last + timedelta(days=1), zone) if wanted.last and wanted.last < date.max else None,
            after=after,
            limit=limit,
        )
        for query in of.queries
    ]
    return lists[0] if len(lists) == 1 else list(islice(merge(*lists, key=_order, reverse=True), limit))


def everything(services: Services, wanted: AuditFilter, *, reader: ActiveSession | None = None) -> Iterator[Event]:
    """All events that the filter lets through, the newest first, read in batches.

    Stops before the next batch if the administrator who reads has lost the role or the session.
    """
    of, after = subjects(services, wanted.q), ""
    while found := page(services, wanted, of, after=after, limit=_AT_ONCE):
        yield from found
        after = found[-1].position
        if reader is not None and not is_administrator(services, reader):
            return


def names(services: Services, ids: Iterable[str | None]) -> dict[str, str]:
    """Name or address by id, of those accounts that still exist."""
    accounts = (services.users.get(user_id) for user_id in dict.fromkeys(ids) if user_id)
    return {account.id: account.name or services.config.login_id(account.email) for account in accounts if account}


def _order(event: Event) -> tuple[datetime, list[int]]:
    """The order of events in a log; of events at one moment the store's number decides."""
    return event.time, [int(number) for number in re.findall("[0-9]{1,20}", event.position)]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The beginning of a day in the configured time zone."""
    return datetime.combine(day, time(), zone)
