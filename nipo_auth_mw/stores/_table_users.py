"""A user table of the host app's own, in SQLAlchemy."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from nipo_auth_mw.models import Account
from nipo_auth_mw.stores._statements import may_be_id, storable

Column: TypeAlias = "sa.SQLColumnExpression[Any]"

_LARGEST = 2**63 - 1
_ALIKE = 20


class TableUsers:
    """The accounts in a table of the host app, as it is: a `UserStore` with `search` and `hash_unlike`.

        users = TableUsers(lambda: db.engine, id=User.id, email=User.email, password_hash=User.password_hash)

    `id`, `email` and `password_hash` are columns of one table, or attributes of a model. `active`, `name` and `role`
    are any expressions of SQL on its rows, or constants. A role such as `sa.case((User.is_boss, "admin"),
    else_="staff")` has to be one of the setting `roles`. The id is a number, a text or a UUID.

    `engine` is an engine, or a function that returns it. Each call takes a connection of its own, so it sees what is
    committed now, whatever the session of the host app has read, and commits nothing of the host app's. Letter case in
    stored addresses does not count: of two that are alike, the one that is equal is found, else the one with the lowest
    id. An index on `lower(email)` makes the look-up fast. Raises TypeError for an id of another kind, a
    hash that is no text, an expression in place of these columns, and columns of several tables.
    """

    def __init__(
        self,
        engine: sa.Engine | Callable[[], sa.Engine],
        *,
        id: Column,
        email: Column,
        password_hash: Column,
        active: Column | bool = True,
        name: Column | str = "",
        role: Column | str = "staff",
    ) -> None:
        for column, given in (("id", id), ("email", email), ("password_hash", password_hash)):
            _refuse_what_is_no_column(column, given)
        _refuse_two_tables(id, email, password_hash)
        self._given = engine
        self._id, self._email, self._hash, self._name = id, email, password_hash, _expression(name)
        column_type = _of(id).type
        self._kind = _kind_of(column_type)
        if self._kind not in {int, str, uuid.UUID}:
            raise TypeError(f"id is a column of {type(column_type).__name__}; it has to hold int, str or UUID")
        hash_type = _of(password_hash).type
        if _kind_of(hash_type) not in {str, object}:
            raise TypeError(f"password_hash is a column of {type(hash_type).__name__}; it has to hold text")
        columns = (id, email, password_hash, _expression(active), self._name, _expression(role))
        self._select = sa.select(*columns)
        self._update = sa.update(_of(password_hash).table)

    def get(self, user_id: str) -> Account | None:
        """See `UserStore.get`."""
        key = self._key(user_id)
        found = self._accounts(self._select.where(self._id == key)) if key is not None else []
        return next((account for account in found if account.id == user_id), None)

    def find_by_email(self, email: str) -> Account | None:
        """See `UserStore.find_by_email`."""
        if not storable(email):
            return None
        alike = self._select.where(sa.func.lower(self._email) == email).order_by(self._id).limit(_ALIKE)
        # A database may take two addresses for one that are two (CVE-2019-19844), so Python compares them as well.
        same = [account for account in self._accounts(alike) if account.email.lower() == email]
        return min(same, key=lambda account: account.email != email, default=None)

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """See `UserStore.set_password_hash`."""
        key = self._key(user_id)
        if key is None or not storable(expected):
            return False
        own = self._id == key
        same = sa.and_(own, self._hash.is_not_distinct_from(expected))
        with self._engine.begin() as connection:
            # MariaDB ignores letter case and blanks at the end where it compares, so Python compares as well.
            exactly = expected in connection.scalars(sa.select(self._hash).where(own)).all()
            return exactly and connection.execute(self._update.where(same).values({self._hash: new})).rowcount == 1

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        """See `StaffDirectory.search`."""
        if not storable(text, after):
            return []
        found = sa.or_(*(one.icontains(text, autoescape=True) for one in (self._email, self._name)))
        later = self._email > after if after is not None else sa.true()
        return self._accounts(self._select.where(found, later).order_by(self._email).limit(max(limit, 0)))

    def hash_unlike(self, beginnings: Sequence[str], *, start: str) -> str | None:
        """See `HashSamples.hash_unlike`."""
        others = [sa.func.substr(self._hash, 1, len(text)) != text for text in beginnings]
        wanted = sa.and_(self._hash != "", sa.func.substr(self._hash, 1, len(start)) == start, *others)
        with self._engine.connect() as connection:
            found: str | None = connection.scalar(sa.select(self._hash).where(wanted).limit(1))
        return found

    def gives_ids_again(self) -> bool:
        """See `ReusedIds.gives_ids_again`."""
        made = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
        if self._kind is not int or self._engine.dialect.name != "sqlite":
            return False
        with self._engine.connect() as connection:
            sql = connection.scalar(made, {"name": _of(self._id).table.name}) or ""
        return "AUTOINCREMENT" not in sql.upper()

    def hash_width(self) -> int | None:
        """See `HashWidth.hash_width`. The database is asked: a model may be ahead of its migrations."""
        column = _of(self._hash)
        if self._engine.dialect.name == "sqlite" or not isinstance(column.table, sa.Table):
            return None
        found = sa.inspect(self._engine).get_columns(column.table.name, schema=column.table.schema)
        return next((getattr(one["type"], "length", None) for one in found if one["name"] == column.name), None)

    @property
    def _engine(self) -> sa.Engine:
        """The engine. One of Flask-SQLAlchemy is known in an app context only."""
        return self._given if isinstance(self._given, sa.Engine) else self._given()

    def _key(self, user_id: str) -> Any:
        """The id as the column holds it; None for a text that is no id."""
        if not may_be_id(user_id):
            return None
        try:
            key = self._kind(user_id)
        except ValueError:
            return None
        return key if str(key) == user_id and not (self._kind is int and abs(key) > _LARGEST) else None

    def _accounts(self, statement: sa.Select[Any]) -> list[Account]:
        """The accounts of a statement."""
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return [
            Account(str(id), email or "", password_hash, bool(active), name or "", role)
            for id, email, password_hash, active, name, role in rows
        ]


def _refuse_what_is_no_column(name: str, given: object) -> None:
    """Raise TypeError for what cannot be compared, and for a hash or an id that cannot be replaced or looked up."""
    if not isinstance(given, sa.SQLColumnExpression):
        raise TypeError(f"{name} is of the type {type(given).__name__}; give a column, such as User.{name}")
    if name != "email" and not isinstance(_of(given), sa.Column):
        raise TypeError(f"{name} is an expression; it has to be a column, without a function around it")


def _refuse_two_tables(id: Column, email: Column, password_hash: Column) -> None:
    """Raise TypeError for columns of two tables, which have no join here.

    Each row of one would be combined with each of the other, and an account would get the password of another.
    """
    of_model = _owner(id)
    if _owner(password_hash) is not of_model or _of(password_hash).table is not _of(id).table:
        raise TypeError("password_hash is a column of another table than id; both have to be of one table")
    if _owner(email) not in {None, of_model}:
        raise TypeError("email is a column of another table or model than id; both have to be of one")


def _owner(given: object) -> object:
    """The model or the table that a column belongs to; None for an expression."""
    return getattr(given, "parent", None) or getattr(given, "table", None)


def _of(attribute: Column) -> Any:
    """The column of a table that an attribute of a model stands for, or the column itself."""
    return attribute.expression  # type: ignore[attr-defined]


def _kind_of(column_type: Any) -> type[Any]:
    """The type in Python of what a column holds; `object` where SQLAlchemy does not know it."""
    try:
        found: type[Any] = column_type.python_type
    except NotImplementedError:
        return object
    return found


def _expression(given: Column | bool | str) -> Column:
    """A constant as an expression of SQL."""
    return sa.literal(given) if isinstance(given, bool | str) else given
