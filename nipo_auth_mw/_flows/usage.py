"""Who used the app on which day. The sessions note it, one row for each account and day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from nipo_auth_mw._flows import audit
from nipo_auth_mw._flows.staff_actor import is_administrator
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.protocols import Account, DayOfUse

MOST_DAYS = 31
_AT_ONCE = 500


class UsageFilter(NamedTuple):
    """The days, at most 31, and a part of the name or address of those who are shown; "" shows all who used it."""

    first: date
    last: date
    q: str = ""

    @property
    def days(self) -> list[date]:
        """Every day, the earliest first."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


class Person(NamedTuple):
    """The days of use of one account; `account` is None if it was deleted."""

    user_id: str
    account: Account | None
    uses: dict[date, DayOfUse]


def people(services: Services, wanted: UsageFilter, *, after: str, limit: int) -> Sequence[Person]:
    """Those who used the app on any of the days, by id; with `q` up to ten people whom it names, used or not.

    Raises `StoreUnavailable`.
    """
    usage = services.usage
    if usage is None:
        return []
    if wanted.q:
        of = audit.subjects(services, wanted.q)
        ids = [query["user_id"] for query in of.queries if "user_id" in query] if not after else []
    else:
        ids = list(usage.users_of_days(wanted.days, after=after, limit=limit))
    uses: dict[str, dict[date, DayOfUse]] = {user_id: {} for user_id in ids}
    for use in usage.days_of_use(ids, wanted.first, wanted.last):
        uses[use.user_id][use.day] = use
    return [Person(user_id, services.users.get(user_id), uses[user_id]) for user_id in ids]


def everybody(services: Services, wanted: UsageFilter, *, reader: ActiveSession) -> Iterator[Person]:
    """All people of the filter, read in batches, as long as the reader is an administrator."""
    after = ""
    while found := people(services, wanted, after=after, limit=_AT_ONCE):
        yield from found
        after = found[-1].user_id
        if not is_administrator(services, reader):
            return


def prune(services: Services) -> None:
    """Remove the days that are older than `audit_retention`. Raises `StoreUnavailable`."""
    if services.usage is not None:
        services.usage.prune_usage((datetime.now(services.config.zone) - services.config.audit_retention).date())
