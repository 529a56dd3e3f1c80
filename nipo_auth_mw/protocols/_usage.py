"""The protocol of the days on which accounts were used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, Protocol, runtime_checkable


class DayOfUse(NamedTuple):
    """One account on one day in the configured time zone. `first_at` and `last_at` are the earliest and the latest
    noted use, in seconds since 1970 (UTC)."""

    user_id: str
    day: date
    first_at: float
    last_at: float


@runtime_checkable
class UsageStore(Protocol):
    """Optional: the session store keeps one row for each account and day (`DayOfUse`). Without it there is no
    page of who used the app on which day.

    The rows are written in the background, never in a transaction of a request. They outlive sessions and accounts.
    """

    def note_use(self, user_id: str, day: date, at: float) -> None:
        """Add the row of this account and day, or widen it to hold `at`; in one atomic step. A text that no account can
        have as its id is ignored."""

    def users_of_days(self, days: Sequence[date], *, after: str, limit: int) -> Sequence[str]:
        """The ids of the accounts with a row of any of these days, each once, by code points, from the one after
        `after` on ("" for the first page)."""

    def days_of_use(self, user_ids: Sequence[str], first: date, last: date) -> Sequence[DayOfUse]:
        """All rows of these accounts from the first day to the last, in any order."""

    def prune_usage(self, before: date) -> None:
        """Remove all rows of earlier days."""
