"""Factors and backup codes in a database: `AccountFactorStore`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from nipo_auth_mw.protocols import Factor
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import backup_code, factor
from nipo_auth_mw.stores._sql_account_states import lock_account
from nipo_auth_mw.stores._statements import may_be_id, savepoint, storable

_FACTOR = tuple(factor.c[name] for name in Factor._fields)
_BY_KEY = sa.select(*_FACTOR).where(factor.c.key == sa.bindparam("key"))
_OF_USER = (
    sa.select(*_FACTOR).where(factor.c.user_id == sa.bindparam("user_id")).order_by(factor.c.created_at, factor.c.key)
)
_CODES = sa.select(backup_code.c.digest).where(backup_code.c.user_id == sa.bindparam("user_id"))
_CHANGED = ("name", "data", "counter", "used_at", "digest")
_UPDATE = (
    sa.update(factor)
    .where(factor.c.key == sa.bindparam("of_key"), factor.c.digest == sa.bindparam("expected"))
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANGED})
)


class SQLFactors:
    """The factors and the backup codes of `SQLStore`."""

    _db: Connections

    def add_factor(self, new: Factor) -> bool:
        """See `AccountFactorStore.add_factor`."""
        if not storable(new.key, new.user_id, new.kind, new.name, new.data, new.digest):
            return False
        with self._db.writing() as connection:
            try:
                with savepoint(connection):
                    connection.execute(sa.insert(factor), new._asdict())
            except sa.exc.IntegrityError:
                return False
        return True

    def find_factor(self, key: str) -> Factor | None:
        """See `AccountFactorStore.find_factor`."""
        rows = self._db.look_up(_BY_KEY, key=key) if storable(key) else ()
        return Factor(*rows[0]) if rows else None

    def factors_of(self, user_id: str) -> Sequence[Factor]:
        """See `AccountFactorStore.factors_of`."""
        rows = self._db.look_up(_OF_USER, user_id=user_id) if storable(user_id) else ()
        return [Factor(*row) for row in rows]

    def update_factor(self, new: Factor, *, expected: str) -> bool:
        """See `AccountFactorStore.update_factor`."""
        if not storable(new.key, new.name, new.data, new.digest, expected):
            return False
        values = {f"new_{name}": getattr(new, name) for name in _CHANGED}
        return self._db.write(_UPDATE, of_key=new.key, expected=expected, **values)

    def remove_factor(self, key: str, user_id: str) -> Factor | None:
        """See `AccountFactorStore.remove_factor`."""
        if not storable(key, user_id):
            return None
        mine = sa.and_(factor.c.key == key, factor.c.user_id == user_id)
        with self._db.writing() as connection:
            row = connection.execute(sa.delete(factor).where(mine).returning(*_FACTOR)).first()
        return Factor(*row) if row else None

    def backup_codes(self, user_id: str) -> Sequence[str]:
        """See `AccountFactorStore.backup_codes`."""
        rows = self._db.look_up(_CODES, user_id=user_id) if storable(user_id) else ()
        return [digest for (digest,) in rows]

    def replace_backup_codes(self, user_id: str, digests: Sequence[str]) -> None:
        """See `AccountFactorStore.replace_backup_codes`."""
        with self._alone(user_id) as connection:
            connection.execute(sa.delete(backup_code).where(backup_code.c.user_id == user_id))
            if rows := [{"user_id": user_id, "digest": digest} for digest in digests]:
                connection.execute(sa.insert(backup_code), rows)

    def spend_backup_code(self, user_id: str, digest: str) -> bool:
        """See `AccountFactorStore.spend_backup_code`."""
        if not may_be_id(user_id) or not storable(digest):
            return False
        spent = sa.and_(backup_code.c.user_id == user_id, backup_code.c.digest == digest)
        with self._alone(user_id) as connection:
            return bool(connection.execute(sa.delete(backup_code).where(spent)).rowcount)

    def remove_factors(self, user_id: str) -> None:
        """See `AccountFactorStore.remove_factors`."""
        if may_be_id(user_id):
            with self._alone(user_id) as connection:
                for table in (factor, backup_code):
                    connection.execute(sa.delete(table).where(table.c.user_id == user_id))

    @contextmanager
    def _alone(self, user_id: str) -> Iterator[sa.Connection]:
        """A transaction in which no other one writes the codes of this account: two new sets at once would both stay.

        Locks the account before its rows, as the changes of its state do: another order could be a deadlock.
        """
        with self._db.writing() as connection:
            lock_account(self._db, user_id)
            yield connection
