"""Sessions in a database, and the notes beside an account: `SessionStore` and `JoinedSessionStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import Account, AccountNotes, StoredSession
from nipo_auth_mw.stores.connections import Connections
from nipo_auth_mw.stores.schema import account, account_notes, session
from nipo_auth_mw.stores.statements import Query, compiled, number_of, plain, storable, upsert

_SESSION = tuple(session.c[name] for name in StoredSession._fields)
_NOTES = tuple(account_notes.c[name] for name in AccountNotes._fields)
_ACCOUNT = tuple(account.c[name] for name in Account._fields)
_NO_NOTES = AccountNotes()

# Built once: SQLAlchemy spends more on building a statement than on running it.
_OPEN = sa.insert(session)
_OF_KEY = session.c.key == sa.bindparam("of_key")
_TOUCH = sa.update(session).where(_OF_KEY, session.c.seen_at < sa.bindparam("later_than"))
_MARK_SENT = sa.update(session).where(_OF_KEY)
_END = sa.delete(session).where(_OF_KEY).returning(*_SESSION)
_OF_USER = sa.select(*_SESSION).where(session.c.user_id == sa.bindparam("user_id")).order_by(session.c.seen_at.desc())
_CONFIRM = sa.update(session).where(_OF_KEY)
_NOTES_OF = sa.select(*_NOTES).where(account_notes.c.user_id == sa.bindparam("user_id"))


class SQLSessions:
    """The part of `SQLStore` that keeps sessions. The look-ups of each request run on the driver's own cursor, with
    SQL compiled once: SQLAlchemy's share would be several times that of the database."""

    _db: Connections
    _lookup: Query
    _lookup_with_account: Query

    def _prepare_sessions(self) -> None:
        notes = session.outerjoin(account_notes, account_notes.c.user_id == session.c.user_id)
        accounts = notes.outerjoin(account, account.c.id == session.c.account_id)
        by_key = session.c.key == sa.bindparam("key")
        # Without what is known already: each column costs a fiftieth of the look-up.
        alone = sa.select(*_SESSION[1:], *_NOTES).select_from(notes).where(by_key)
        joined = sa.select(*_SESSION[1:], *_NOTES, *_ACCOUNT[1:]).select_from(accounts).where(by_key)
        self._lookup = compiled(alone, self._db.engine)
        self._lookup_with_account = compiled(joined, self._db.engine)

    def find_session(self, key: str) -> tuple[StoredSession, AccountNotes] | None:
        for row in self._db.fetch(self._lookup.sql, (key,)):
            user_id, stamp, created_at, seen_at, sent_at, kept, address, agent, confirmed_at, *notes = row
            facts = (key, user_id, stamp, created_at, seen_at, sent_at, kept == 1, address, agent, confirmed_at)
            return StoredSession._make(facts), _NO_NOTES if notes[0] is None else AccountNotes._make(notes)
        return None

    def find_session_with_account(self, key: str) -> tuple[StoredSession, AccountNotes, Account | None] | None:
        for row in self._db.fetch(self._lookup_with_account.sql, (key,)):
            # fmt: off
            (user_id, stamp, created_at, seen_at, sent_at, kept, address, agent, confirmed_at,
             epoch, lineage, language, notify_email, change_by, email, password_hash, active, name, role) = row
            facts = (key, user_id, stamp, created_at, seen_at, sent_at, kept == 1, address, agent, confirmed_at)
            # fmt: on
            return (
                StoredSession._make(facts),
                _NO_NOTES if epoch is None else AccountNotes._make((epoch, lineage, language, notify_email, change_by)),
                None if email is None else Account(user_id, email, password_hash, active == 1, name, role),
            )
        return None

    def open_session(self, new: StoredSession) -> None:
        texts = {"client_address": plain(new.client_address), "user_agent": plain(new.user_agent)}
        values = new._asdict() | texts | {"account_id": number_of(new.user_id)}
        with self._db.writing() as connection:
            connection.execute(_OPEN, values)

    def touch_session(self, key: str, seen_at: float) -> None:
        if storable(key):
            self._db.change(_TOUCH, of_key=key, later_than=seen_at, seen_at=seen_at)

    def mark_session_sent(self, key: str, sent_at: float) -> bool:
        return storable(key) and self._db.change(_MARK_SENT, of_key=key, sent_at=sent_at)

    def confirm_session(self, key: str, confirmed_at: float) -> bool:
        return storable(key) and self._db.change(_CONFIRM, of_key=key, confirmed_at=confirmed_at)

    def end_session(self, key: str) -> StoredSession | None:
        if not storable(key):
            return None
        with self._db.writing() as connection:
            row = connection.execute(_END, {"of_key": key}).first()
        return None if row is None else StoredSession._make(row)

    def sessions_of(self, user_id: str) -> Sequence[StoredSession]:
        if not storable(user_id):
            return []
        return [
            StoredSession._make((*row[:6], row[6] == 1, *row[7:]))
            for row in self._db.look_up(_OF_USER, user_id=user_id)
        ]

    def expired_sessions(
        self, *, kept_before: float, browser_before: float, created_before: float, limit: int
    ) -> Sequence[StoredSession]:
        late = sa.or_(
            sa.and_(session.c.kept == sa.true(), session.c.seen_at < kept_before),
            sa.and_(session.c.kept == sa.false(), session.c.seen_at < browser_before),
            session.c.created_at < created_before,
        )
        return [
            StoredSession._make(row) for row in self._db.read(sa.select(*_SESSION).where(late).limit(max(limit, 0)))
        ]

    def notes_of(self, user_id: str) -> AccountNotes:
        if not storable(user_id):
            return _NO_NOTES
        rows = self._db.look_up(_NOTES_OF, user_id=user_id)
        return AccountNotes._make(rows[0]) if rows else _NO_NOTES

    def raise_epoch(self, user_id: str) -> int:
        raised = self._note(user_id, {"epoch": 1}, {"epoch": account_notes.c.epoch + 1})
        with self._db.writing() as connection:
            return int(connection.execute(raised.returning(account_notes.c.epoch)).scalar_one())

    def set_lineage(self, user_id: str, new: str, *, expected: str) -> bool:
        if not storable(user_id, expected):
            return False
        same = sa.and_(account_notes.c.user_id == user_id, account_notes.c.lineage == expected)
        with self._db.writing() as connection:
            if expected == "":
                connection.execute(self._note(user_id, {}, {"user_id": user_id}))
            return bool(connection.execute(sa.update(account_notes).where(same).values(lineage=new)).rowcount)

    def set_profile(self, user_id: str, *, language: str | None, notify_email: str | None) -> None:
        profile = {"language": language, "notify_email": notify_email}
        with self._db.writing() as connection:
            connection.execute(self._note(user_id, profile, profile))

    def set_change_by(self, user_id: str, change_by: float | None) -> None:
        with self._db.writing() as connection:
            connection.execute(self._note(user_id, {"change_by": change_by}, {"change_by": change_by}))

    def memos_of(self, user_ids: Sequence[str]) -> Mapping[str, str]:
        wanted = [user_id for user_id in user_ids if storable(user_id)]
        if not wanted:
            return {}
        having = sa.and_(account_notes.c.user_id.in_(wanted), account_notes.c.memo.is_not(None))
        rows = self._db.read(sa.select(account_notes.c.user_id, account_notes.c.memo).where(having))
        return {row.user_id: row.memo for row in rows}

    def set_memo(self, user_id: str, memo: str) -> None:
        values = {"memo": plain(memo) or None}
        with self._db.writing() as connection:
            connection.execute(self._note(user_id, values, values))

    def _note(self, user_id: str, values: dict[str, Any], changes: dict[str, Any]) -> Any:
        first = {"user_id": user_id, **_NO_NOTES._asdict(), **values}
        return upsert(self._db.engine, account_notes, first, tuple(changes.items()))
