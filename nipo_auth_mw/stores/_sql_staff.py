"""The staff list in a database: `JoinedStaffDirectory`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from nipo_auth_mw.models import StaffEntry, StaffPage, StaffQuery, StaffSort, StoredSession
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import account, account_state, session
from nipo_auth_mw.stores._sql_account_states import NO_STATE, STATE, state_of
from nipo_auth_mw.stores._sql_accounts import ACCOUNT, LONGEST_SEARCH, account_of, matching
from nipo_auth_mw.stores._sql_sessions import SESSION, session_of
from nipo_auth_mw.stores._statements import id_text, number_of, storable

_MOST_ACCOUNTS = 1_000_000
_SEEN = sa.select(sa.func.max(session.c.seen_at)).where(session.c.user_id == id_text(account.c.id)).scalar_subquery()
_IN_SESSION = sa.func.coalesce(_SEEN, 0.0)
_BEFORE = sa.func.coalesce(account_state.c.last_used_at, 0.0)
_LAST_USED = sa.case((_IN_SESSION > _BEFORE, _IN_SESSION), else_=_BEFORE)
_STATE_OF = account_state.c.user_id == id_text(account.c.id)
_ORDERS: dict[StaffSort, sa.ColumnElement[object]] = {
    StaffSort.NAME: account.c.sort_key,
    StaffSort.EMAIL: account.c.email,
    StaffSort.ROLE: account.c.role,
    StaffSort.ACTIVE: account.c.active,
    StaffSort.LAST_USED: _LAST_USED,
}


class SQLStaff:
    """The staff list of `SQLStore`: three statements for a page, whatever its length."""

    _db: Connections

    def staff_page(self, query: StaffQuery) -> StaffPage:
        """See `JoinedStaffDirectory.staff_page`."""
        if len(query.text) > LONGEST_SEARCH or not storable(query.text, query.role, query.attribute, query.lacking):
            return StaffPage([], 0)
        where = _conditions(query)
        source = account.outerjoin(account_state, _STATE_OF)
        counted = sa.select(sa.func.count()).select_from(source if _needs_states(query) else account).where(*where)
        order = _ORDERS[query.sort]
        wanted = (
            sa.select(*ACCOUNT, *STATE, account_state.c.last_used_at)
            .select_from(source)
            .where(*where)
            .order_by(order.desc() if query.descending else order, account.c.sort_key, account.c.id)
            .limit(max(query.limit, 0))
            .offset(min(max(query.offset, 0), _MOST_ACCOUNTS))
        )
        total = self._db.read(counted)[0][0]
        rows = self._db.read(wanted)
        sessions = self._sessions_of([str(row.id) for row in rows])
        entries = []
        for row in rows:
            facts, (counter, version, attributes, last_used_at) = row[: len(ACCOUNT)], row[len(ACCOUNT) :]
            state = NO_STATE if counter is None else state_of(counter, version, attributes)
            entries.append(StaffEntry(account_of(facts), state, sessions[str(row.id)], last_used_at))
        return StaffPage(entries, total)

    def _sessions_of(self, user_ids: Sequence[str]) -> dict[str, list[StoredSession]]:
        found: dict[str, list[StoredSession]] = defaultdict(list)
        wanted = sa.select(*SESSION).where(session.c.user_id.in_(user_ids)).order_by(session.c.seen_at.desc())
        for row in self._db.read(wanted) if user_ids else ():
            found[row.user_id].append(session_of(row))
        return found


def _needs_states(query: StaffQuery) -> bool:
    """Whether a condition reads the states of the accounts."""
    return bool(query.attribute or query.lacking) or query.used is not None


def _has(attribute: str) -> sa.ColumnElement[bool]:
    """Whether the state has the attribute. In JSON a quotation mark inside a text has a backslash before it, so no text
    of an account matches."""
    return account_state.c.attributes.contains(f'"{attribute}":', autoescape=True)


def _conditions(query: StaffQuery) -> list[sa.ColumnElement[bool]]:
    found = matching(query.text)
    if query.active is not None:
        found.append(account.c.active == (sa.true() if query.active else sa.false()))
    if query.role:
        found.append(account.c.role == query.role)
    if query.attribute:
        found.append(_has(query.attribute))
    if query.lacking:
        found.append(sa.or_(account_state.c.attributes.is_(None), sa.not_(_has(query.lacking))))
    if query.used is not None:
        found.append(_LAST_USED > 0.0 if query.used else _LAST_USED == 0.0)
    if query.ids is not None:
        found.append(account.c.id.in_([number for text in query.ids if (number := number_of(text)) is not None]))
    return found
