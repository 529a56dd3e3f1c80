"""Sessions in a database: `SessionStore`, `JoinedSessionStore` and the optional protocols beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import Account, AccountState, StoredSession
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import account, account_state, session
from nipo_auth_mw.stores._sql_account_states import NO_STATE, STATE, keep_last_use, state_of
from nipo_auth_mw.stores._statements import Query, compiled, number_of, plain, storable

SESSION = tuple(session.c[name] for name in StoredSession._fields)
_ACCOUNT = tuple(account.c[name] for name in Account._fields)

# Built at import: SQLAlchemy spends more time on building a statement than on running it.
_OPEN = sa.insert(session).inline()
_OF_KEY = session.c.key == sa.bindparam("of_key")
_TOUCH = (
    sa.update(session).where(_OF_KEY, session.c.seen_at < sa.bindparam("seen")).values(seen_at=sa.bindparam("seen"))
)
_MARK_SENT = sa.update(session).where(_OF_KEY).values(sent_at=sa.bindparam("sent"))
_RESTAMP = (
    sa.update(session)
    .where(_OF_KEY, session.c.stamp == sa.bindparam("expected"))
    .values(stamp=sa.bindparam("new_stamp"))
)
_AFTER = sa.select(*SESSION).where(session.c.key > sa.bindparam("of_key")).order_by(session.c.key)
_USED = sa.select(session.c.user_id, session.c.seen_at).where(_OF_KEY)
_END = sa.delete(session).where(_OF_KEY).returning(*SESSION)
_OF_USER = sa.select(*SESSION).where(session.c.user_id == sa.bindparam("user_id")).order_by(session.c.seen_at.desc())
_BEYOND = _OF_USER.limit(sa.bindparam("most")).offset(sa.bindparam("keep"))
_MANY = 1_000_000
_CONFIRM = sa.update(session).where(_OF_KEY).values(confirmed_at=sa.bindparam("confirmed"))
_CONFIRM_SECOND = _CONFIRM.values(means=sa.bindparam("proved"), second_at=sa.bindparam("second"))


def session_of(row: Sequence[Any]) -> StoredSession:
    """The session in the columns `SESSION` of a row."""
    return StoredSession._make((*row[:6], row[6] == 1, *row[7:]))


class SQLSessions:
    """The sessions of `SQLStore`. The look-up of each request runs compiled SQL on the driver's cursor: SQLAlchemy's
    overhead is several times the time of the database."""

    _db: Connections
    _lookup: Query
    _lookup_with_account: Query
    _packed: bool

    def _prepare_sessions(self) -> None:
        # PyMySQL takes several microseconds for each column, and the JSON decoder two for all of them.
        self._packed = self._db.engine.dialect.name == "mariadb"
        state = session.outerjoin(account_state, account_state.c.user_id == session.c.user_id)
        accounts = state.outerjoin(account, account.c.id == session.c.account_id)
        by_key = session.c.key == sa.bindparam("key")
        # Without the key columns, whose values are known: each column takes a fiftieth of the look-up.
        self._lookup = self._selecting((*SESSION[1:], *STATE), state, by_key)
        self._lookup_with_account = self._selecting((*SESSION[1:], *STATE, *_ACCOUNT[1:]), accounts, by_key)

    def _selecting(
        self, columns: Sequence[sa.ColumnElement[Any]], source: sa.FromClause, where: sa.ColumnElement[bool]
    ) -> Query:
        wanted = [sa.func.json_array(*columns).label("row")] if self._packed else columns
        return compiled(sa.select(*wanted).select_from(source).where(where), self._db.engine)

    def find_session(self, key: str) -> tuple[StoredSession, AccountState] | None:
        """See `SessionStore.find_session`."""
        for row in self._db.fetch_often(self._lookup.sql, (key,)):
            # fmt: off
            (user_id, stamp, created_at, seen_at, sent_at, persistent, address, agent, confirmed_at, means, second_at,
             *state) = json.loads(row[0]) if self._packed else row
            facts = (key, user_id, stamp, created_at, seen_at, sent_at, persistent == 1, address, agent, confirmed_at,
                     means, second_at)
            # fmt: on
            return StoredSession._make(facts), NO_STATE if state[0] is None else state_of(*state)
        return None

    def find_session_with_account(self, key: str) -> tuple[StoredSession, AccountState, Account | None] | None:
        """See `JoinedSessionStore.find_session_with_account`."""
        for row in self._db.fetch_often(self._lookup_with_account.sql, (key,)):
            # fmt: off
            (user_id, stamp, created_at, seen_at, sent_at, persistent, address, agent, confirmed_at, means, second_at,
             counter, version, attributes, email, password_hash, active, name, role) = (
                 json.loads(row[0]) if self._packed else row)
            facts = (key, user_id, stamp, created_at, seen_at, sent_at, persistent == 1, address, agent, confirmed_at,
                     means, second_at)
            # fmt: on
            return (
                StoredSession._make(facts),
                NO_STATE if counter is None else state_of(counter, version, attributes),
                None if email is None else Account(user_id, email, password_hash, active == 1, name, role),
            )
        return None

    def open_session(self, new: StoredSession) -> None:
        """See `SessionStore.open_session`."""
        texts = {"client_address": plain(new.client_address), "user_agent": plain(new.user_agent)}
        values = new._asdict() | texts | {"account_id": number_of(new.user_id)}
        self._db.write(_OPEN, **values)

    def touch_session(self, key: str, seen_at: float) -> None:
        """See `SessionStore.touch_session`."""
        if storable(key):
            self._db.repeatable(_TOUCH, of_key=key, seen=seen_at)

    def mark_session_sent(self, key: str, sent_at: float) -> bool:
        """See `SessionStore.mark_session_sent`."""
        return storable(key) and self._db.repeatable(_MARK_SENT, of_key=key, sent=sent_at)

    def confirm_session(self, key: str, confirmed_at: float) -> bool:
        """See `SessionStore.confirm_session`."""
        return storable(key) and self._db.repeatable(_CONFIRM, of_key=key, confirmed=confirmed_at)

    def confirm_second(self, key: str, *, means: str, confirmed_at: float, second_at: float) -> bool:
        """See `SecondStepSessions.confirm_second`."""
        values = {"confirmed": confirmed_at, "proved": means, "second": second_at}
        return storable(key) and self._db.repeatable(_CONFIRM_SECOND, of_key=key, **values)

    def restamp_session(self, key: str, stamp: str, *, expected: str) -> bool:
        """See `RestampableSessions.restamp_session`."""
        values = {"of_key": key, "expected": expected, "new_stamp": stamp}
        return storable(*values.values()) and self._db.change(_RESTAMP, **values)

    def sessions_after(self, key: str, *, limit: int) -> Sequence[StoredSession]:
        """See `RestampableSessions.sessions_after`."""
        rows = self._db.read(_AFTER.limit(max(limit, 0)), of_key=key) if storable(key) else ()
        return [StoredSession._make(row) for row in rows]

    def end_session(self, key: str) -> StoredSession | None:
        """See `SessionStore.end_session`."""
        if not storable(key):
            return None
        with self._db.writing() as connection:
            used = connection.execute(_USED, {"of_key": key}).first()
            if used is None:
                return None
            # In the order of `raise_revocation_counter` and the end of the sessions: another one could be a deadlock.
            keep_last_use(connection, used.user_id, used.seen_at)
            row = connection.execute(_END, {"of_key": key}).first()
        return None if row is None else StoredSession._make(row)

    def sessions_of(self, user_id: str) -> Sequence[StoredSession]:
        """See `SessionStore.sessions_of`."""
        return self._of_user(_OF_USER, user_id)

    def surplus_sessions(self, user_id: str, *, keep: int) -> Sequence[StoredSession]:
        """See `SurplusSessions.surplus_sessions`."""
        return self._of_user(_BEYOND, user_id, keep=keep, most=_MANY)

    def _of_user(self, statement: sa.Select[Any], user_id: str, **numbers: int) -> list[StoredSession]:
        if not storable(user_id):
            return []
        rows = self._db.look_up(statement, user_id=user_id, **numbers)
        return [session_of(row) for row in rows]

    def expired_sessions(
        self, *, persistent_before: float, browser_before: float, created_before: float, limit: int
    ) -> Sequence[StoredSession]:
        """See `SessionStore.expired_sessions`."""
        late = sa.or_(
            sa.and_(session.c.persistent == sa.true(), session.c.seen_at < persistent_before),
            sa.and_(session.c.persistent == sa.false(), session.c.seen_at < browser_before),
            session.c.created_at < created_before,
        )
        return [StoredSession._make(row) for row in self._db.read(sa.select(*SESSION).where(late).limit(max(limit, 0)))]
