"""Accounts in a database: `UserStore`, `EmailStore` and `StaffDirectory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.errors import DatabaseUnavailable, EmailTaken
from nipo_auth_mw.models import Account, AccountState
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._folding import folded_values, words_of
from nipo_auth_mw.stores._schema import account, account_state
from nipo_auth_mw.stores._sql_account_states import NO_STATE, STATE, fold_account, state_of
from nipo_auth_mw.stores._statements import id_text, number_of, plain, savepoint, storable

ACCOUNT = tuple(account.c[name] for name in Account._fields)
_BY_ID = sa.select(*ACCOUNT).where(account.c.id == sa.bindparam("id"))
_BY_EMAIL = sa.select(*ACCOUNT).where(account.c.email == sa.bindparam("email"))
_CREATE = sa.insert(account)
_WITH_STATE = (
    sa.select(*ACCOUNT, *STATE)
    .select_from(account.outerjoin(account_state, account_state.c.user_id == id_text(account.c.id)))
    .where(account.c.email == sa.bindparam("email"))
)
# SQLite's LIKE refuses a pattern of more than 50,000 bytes; no address or name is this long.
LONGEST_SEARCH = 1000


def matching(text: str) -> list[sa.ColumnElement[bool]]:
    """The conditions that the words of a search make."""
    columns = (account.c.email_folded, account.c.name_folded)
    return [sa.or_(*(column.contains(word, autoescape=True) for column in columns)) for word in words_of(text)]


def account_of(row: Sequence[Any]) -> Account:
    number, email, password_hash, active, name, role = row
    return Account(str(number), email, password_hash, active == 1, name, role)


class SQLAccounts:
    """The accounts of `SQLStore`. An id is the digits of a positive integer, and no second account gets it."""

    _db: Connections

    def get(self, user_id: str) -> Account | None:
        """See `UserStore.get`."""
        number = number_of(user_id)
        rows = () if number is None else self._db.look_up(_BY_ID, id=number)
        return account_of(rows[0]) if rows else None

    def find_by_email(self, email: str) -> Account | None:
        """See `UserStore.find_by_email`."""
        rows = self._db.look_up(_BY_EMAIL, email=email) if storable(email) else ()
        return account_of(rows[0]) if rows else None

    def find_by_email_with_state(self, email: str) -> tuple[Account | None, AccountState]:
        """See `JoinedUserStore.find_by_email_with_state`."""
        for row in self._db.look_up(_WITH_STATE, email=email) if storable(email) else ():
            state = row[len(ACCOUNT) :]
            return account_of(row[: len(ACCOUNT)]), NO_STATE if state[0] is None else state_of(*state)
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
        with self._db.writing():
            changed = bool(self._unique(sa.update(account).where(same).values(email=new), new).rowcount)
            if changed:
                fold_account(self._db, user_id)
            return changed

    def create(self, *, email: str, password_hash: str | None, name: str, role: str, active: bool) -> Account:
        """See `StaffDirectory.create`."""
        name = plain(name)
        values = {"email": email, "password_hash": password_hash, "active": active, "name": name, "role": role}
        inserted = self._unique(_CREATE, email, values | folded_values(email, name, ""))
        return Account(str(inserted.inserted_primary_key[0]), email, password_hash, active, name, role)

    def _unique(self, statement: sa.Executable, email: str, values: dict[str, Any] | None = None) -> Any:
        """Run a statement that the unique constraint on addresses can refuse. Raises `EmailTaken`.

        A table that was copied by hand may refuse the next id instead, since its sequence stayed behind: raises
        `DatabaseUnavailable`, which says so.
        """
        with self._db.writing() as connection:
            try:
                with savepoint(connection):
                    return connection.execute(statement, values)
            except sa.exc.IntegrityError:
                holder = sa.select(account.c.id).where(account.c.email == email)
                if connection.execute(holder).first() is None:
                    hint = "move a store with `nipo-auth store copy`, which takes the sequences along"
                    raise DatabaseUnavailable(f"the next id of {account.name} is in use already; {hint}") from None
                raise EmailTaken("another account has this address") from None

    def update(
        self, user_id: str, *, name: str | None = None, role: str | None = None, active: bool | None = None
    ) -> bool:
        """See `StaffDirectory.update`."""
        number = number_of(user_id)
        if number is None:
            return False
        changes: dict[str, Any] = {"role": role, "active": active, "name": None if name is None else plain(name)}
        # Without a change the statement still finds out whether the account exists.
        changes = {key: value for key, value in changes.items() if value is not None} or {"id": number}
        with self._db.writing() as connection:
            found = bool(connection.execute(sa.update(account).where(account.c.id == number).values(changes)).rowcount)
            if found and name is not None:
                fold_account(self._db, user_id)
            return found

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
        """See `StaffDirectory.search`. Finds readings too, whatever the width, the blanks and the variants of kanji."""
        if len(text) > LONGEST_SEARCH or not storable(text, after):
            return []
        statement = sa.select(*ACCOUNT).order_by(account.c.email).limit(max(limit, 0))
        statement = statement.where(*matching(text))
        if after is not None:
            statement = statement.where(account.c.email > after)
        return [account_of(row) for row in self._db.read(statement)]
