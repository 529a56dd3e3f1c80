"""Accounts in a database: `UserStore`, `EmailStore` and `StaffDirectory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.errors import EmailTaken
from nipo_auth_mw.models import Account, AccountState
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import account, account_state
from nipo_auth_mw.stores._sql_account_states import NO_STATE, STATE, state_of
from nipo_auth_mw.stores._statements import number_of, plain, savepoint, storable

_COLUMNS = tuple(account.c[name] for name in Account._fields)
_BY_ID = sa.select(*_COLUMNS).where(account.c.id == sa.bindparam("id"))
_BY_EMAIL = sa.select(*_COLUMNS).where(account.c.email == sa.bindparam("email"))
_WITH_STATE = (
    sa.select(*_COLUMNS, *STATE)
    .select_from(account.outerjoin(account_state, account_state.c.user_id == sa.cast(account.c.id, sa.String(20))))
    .where(account.c.email == sa.bindparam("email"))
)
# SQLite's LIKE refuses a pattern of more than 50,000 bytes; no address or name is this long.
_LONGEST_SEARCH = 1000


def _account(row: Sequence[Any]) -> Account:
    number, email, password_hash, active, name, role = row
    return Account(str(number), email, password_hash, active == 1, name, role)


class SQLAccounts:
    """The accounts of `SQLStore`. An id is the digits of a positive integer, and no second account gets it."""

    _db: Connections

    def get(self, user_id: str) -> Account | None:
        """See `UserStore.get`."""
        number = number_of(user_id)
        rows = () if number is None else self._db.look_up(_BY_ID, id=number)
        return _account(rows[0]) if rows else None

    def find_by_email(self, email: str) -> Account | None:
        """See `UserStore.find_by_email`."""
        rows = self._db.look_up(_BY_EMAIL, email=email) if storable(email) else ()
        return _account(rows[0]) if rows else None

    def find_by_email_with_state(self, email: str) -> tuple[Account | None, AccountState]:
        """See `JoinedUserStore.find_by_email_with_state`."""
        for row in self._db.look_up(_WITH_STATE, email=email) if storable(email) else ():
            state = row[len(_COLUMNS) :]
            return _account(row[: len(_COLUMNS)]), NO_STATE if state[0] is None else state_of(*state)
        return None, NO_STATE

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """See `UserStore.set_password_hash`."""
        number = number_of(user_id)
        if number is None or not storable(expected):
            return False
        same = account.c.password_hash == expected
        return self._db.change(sa.update(account).where(account.c.id == number, same).values(password_hash=new))

    def set_email(self, user_id: str, new: str, *, expected: str) -> bool:
        """See `EmailStore.set_email`."""
        number = number_of(user_id)
        if number is None or not storable(expected):
            return False
        same = sa.and_(account.c.id == number, account.c.email == expected)
        values = {"email": new, "email_folded": new.casefold()}
        return bool(self._unique(sa.update(account).where(same).values(values)).rowcount)

    def create(self, *, email: str, password_hash: str | None, name: str, role: str, active: bool) -> Account:
        """See `StaffDirectory.create`."""
        name = plain(name)
        values = {"email": email, "password_hash": password_hash, "active": active, "name": name, "role": role}
        folded = {"email_folded": email.casefold(), "name_folded": name.casefold()}
        inserted = self._unique(sa.insert(account).values(values | folded))
        return Account(str(inserted.inserted_primary_key[0]), email, password_hash, active, name, role)

    def _unique(self, statement: sa.Executable) -> Any:
        """Run a statement that the unique constraint on addresses can refuse. Raises `EmailTaken`."""
        with self._db.writing() as connection:
            try:
                with savepoint(connection):
                    return connection.execute(statement)
            except sa.exc.IntegrityError:
                raise EmailTaken("another account has this address") from None

    def update(
        self, user_id: str, *, name: str | None = None, role: str | None = None, active: bool | None = None
    ) -> bool:
        """See `StaffDirectory.update`."""
        number = number_of(user_id)
        if number is None:
            return False
        changes: dict[str, Any] = {"role": role, "active": active}
        if name is not None:
            changes |= {"name": plain(name), "name_folded": plain(name).casefold()}
        # Without a change the statement still finds out whether the account exists.
        changes = {key: value for key, value in changes.items() if value is not None} or {"id": number}
        return self._db.change(sa.update(account).where(account.c.id == number).values(changes))

    def delete(self, user_id: str) -> bool:
        """See `StaffDirectory.delete`."""
        number = number_of(user_id)
        return number is not None and self._db.change(sa.delete(account).where(account.c.id == number))

    def active_with_role(self, role: str) -> Sequence[str]:
        """See `RoleHolders.active_with_role`."""
        if not storable(role):
            return []
        holding = sa.and_(account.c.role == role, account.c.active == sa.true())
        held = sa.select(account.c.id).where(holding).order_by(account.c.id)
        # SQLAlchemy omits FOR UPDATE for SQLite, where one transaction writes at a time.
        return [str(number) for (number,) in self._db.read(held.with_for_update() if self._db.in_transaction else held)]

    def hash_unlike(self, beginnings: Sequence[str], *, start: str) -> str | None:
        """See `HashSamples.hash_unlike`."""
        stored = account.c.password_hash
        begins = [sa.func.substr(stored, 1, len(text)) != text for text in beginnings]
        wanted = sa.and_(stored != "", sa.func.substr(stored, 1, len(start)) == start, *begins)
        rows = self._db.read(sa.select(stored).where(wanted).limit(1))
        return str(rows[0][0]) if rows else None

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        """See `StaffDirectory.search`."""
        if len(text) > _LONGEST_SEARCH or not storable(text, after):
            return []
        statement = sa.select(*_COLUMNS).order_by(account.c.email).limit(max(limit, 0))
        if text:
            folded = text.casefold()
            statement = statement.where(
                sa.or_(
                    account.c.email_folded.contains(folded, autoescape=True),
                    account.c.name_folded.contains(folded, autoescape=True),
                )
            )
        if after is not None:
            statement = statement.where(account.c.email > after)
        return [_account(row) for row in self._db.read(statement)]
