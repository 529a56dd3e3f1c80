"""Email changes in a database: `EmailChangeStore`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import sqlalchemy as sa

from nipo_auth_mw.models import EmailChange
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import email_change as change
from nipo_auth_mw.stores._statements import storable

_COLUMNS = tuple(change.c[field.name] for field in fields(EmailChange))
_BY_USER = sa.select(*_COLUMNS).where(change.c.user_id == sa.bindparam("user_id"))
_BY_KEY = sa.select(*_COLUMNS).where(change.c.key == sa.bindparam("key"))


class SQLEmailChanges:
    """The email changes of `SQLStore`."""

    _db: Connections

    def add_email_change(self, new: EmailChange) -> None:
        """See `EmailChangeStore.add_email_change`."""
        with self._db.writing() as connection:
            connection.execute(sa.insert(change), asdict(new))

    def find_email_change(self, key: str) -> EmailChange | None:
        """See `EmailChangeStore.find_email_change`."""
        rows = self._db.look_up(_BY_KEY, key=key) if storable(key) else ()
        return EmailChange(*rows[0]) if rows else None

    def email_changes_of(self, user_id: str) -> Sequence[EmailChange]:
        """See `EmailChangeStore.email_changes_of`."""
        rows = self._db.look_up(_BY_USER, user_id=user_id) if storable(user_id) else ()
        return [EmailChange(*row) for row in rows]

    def confirm_email_change(self, key: str, *, confirmed_at: float, expires_at: float) -> bool:
        """See `EmailChangeStore.confirm_email_change`."""
        waiting = sa.and_(change.c.key == key, change.c.confirmed_at.is_(None))
        values = {"confirmed_at": confirmed_at, "expires_at": expires_at}
        return storable(key) and self._db.change(sa.update(change).where(waiting).values(values))

    def cancel_email_change(self, key: str) -> EmailChange | None:
        """See `EmailChangeStore.cancel_email_change`."""
        if not storable(key):
            return None
        with self._db.writing() as connection:
            rows = connection.execute(sa.delete(change).where(change.c.key == key).returning(*_COLUMNS)).all()
        return EmailChange(*rows[0]) if rows else None

    def void_email_changes(self, user_id: str) -> None:
        """See `EmailChangeStore.void_email_changes`."""
        if storable(user_id):
            self._db.change(sa.delete(change).where(change.c.user_id == user_id))

    def prune_email_changes(self, expired_before: float) -> None:
        """See `EmailChangeStore.prune_email_changes`."""
        self._db.change(sa.delete(change).where(change.c.expires_at < expired_before))
