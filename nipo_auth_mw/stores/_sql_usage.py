"""The days of use in a database: `UsageStore`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.protocols import DayOfUse
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import usage
from nipo_auth_mw.stores._statements import may_be_id, storable, upsert

_AT_ONCE = 500
_USER, _DAY = usage.c.user_id, usage.c.day


class SQLUsage:
    """The days of use of `SQLStore`."""

    _db: Connections

    def _prepare_usage(self) -> None:
        seen: Any = sa.bindparam("seen", type_=sa.Double())
        first, last = usage.c.first_at, usage.c.last_at
        values = {"day": sa.bindparam("of_day"), "user_id": sa.bindparam("of_user"), "first_at": seen, "last_at": seen}
        earlier, later = sa.case((first < seen, first), else_=seen), sa.case((last > seen, last), else_=seen)
        self._note = upsert(self._db.engine.dialect.name, usage, values, [("first_at", earlier), ("last_at", later)])

    def note_use(self, user_id: str, day: date, at: float) -> None:
        """See `UsageStore.note_use`."""
        if may_be_id(user_id):
            self._db.repeatable(self._note, of_day=day.isoformat(), of_user=user_id, seen=at)

    def users_of_days(self, days: Sequence[date], *, after: str, limit: int) -> Sequence[str]:
        """See `UsageStore.users_of_days`. Reads at most `limit` entries of the index for each day."""
        if not days or limit < 1:
            return []
        entries = sa.select(_USER).where(sa.literal(after) < _USER).order_by(_USER).limit(limit)
        of_each = [entries.where(sa.literal(day.isoformat()) == _DAY).subquery() for day in dict.fromkeys(days)]
        found = sa.union(*[sa.select(one.c.user_id) for one in of_each]).subquery()
        return [row[0] for row in self._db.read(sa.select(found.c.user_id).order_by(found.c.user_id).limit(limit))]

    def days_of_use(self, user_ids: Sequence[str], first: date, last: date) -> Sequence[DayOfUse]:
        """See `UsageStore.days_of_use`."""
        wanted = [user_id for user_id in user_ids if storable(user_id)]
        uses: list[DayOfUse] = []
        for start in range(0, len(wanted), _AT_ONCE):
            chosen = sa.select(usage).where(
                _USER.in_(wanted[start : start + _AT_ONCE]), _DAY.between(first.isoformat(), last.isoformat())
            )
            for row in self._db.read(chosen):
                uses.append(DayOfUse(row.user_id, date.fromisoformat(row.day), row.first_at, row.last_at))
        return uses

    def prune_usage(self, before: date) -> None:
        """See `UsageStore.prune_usage`. Takes SQLite's only write lock just where there is a row to remove."""
        old = sa.literal(before.isoformat()) > _DAY
        if self._db.read(sa.select(_DAY).where(old).limit(1)):
            with self._db.writing() as connection:
                connection.execute(sa.delete(usage).where(old))
