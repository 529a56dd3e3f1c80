"""`TableUsers` keeps the contract of a user store over tables of several kinds, on each database."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from examples.own_users import Base, Person
from nipo_auth_mw.stores import TableUsers
from nipo_auth_mw.testing.contracts.accounts import HASH, SUZUKI, TANAKA
from tests._services import database
from tests.contract.own_tables import OwnTableContract

NUMBERS = itertools.count(1)
PARTS = sa.Table(
    "members",
    Base.metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("address", sa.String(254)),
    sa.Column("secret", sa.String(200)),
    sa.Column("gone", sa.Boolean, default=False, nullable=False),
)
GUESTS = sa.Table(
    "guests",
    Base.metadata,
    sa.Column("key", sa.Uuid, primary_key=True, default=uuid.uuid4),
    sa.Column("address", sa.String(254)),
    sa.Column("secret", sa.String(200)),
    sa.Column("gone", sa.Boolean, default=False, nullable=False),
)


def people(engine: Any) -> TableUsers:
    role = sa.case((Person.is_boss, "admin"), else_="staff")
    return TableUsers(
        engine,
        id=Person.id,
        email=Person.mail,
        password_hash=Person.secret,
        active=Person.is_active,
        name=Person.full_name,
        role=role,
    )


def core(engine: Any, table: sa.Table) -> TableUsers:
    columns = table.c
    return TableUsers(
        lambda: engine,
        id=columns.key,
        email=columns.address,
        password_hash=columns.secret,
        active=sa.not_(columns.gone),
        role="leader",
    )


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    made = sa.create_engine(f"sqlite:///{tmp_path_factory.mktemp('users')}/app.db")
    Base.metadata.create_all(made)
    yield made
    made.dispose()


SERVERS = [pytest.param(name, marks=pytest.mark.services) for name in ("postgres", "mariadb")]


@pytest.fixture(scope="module", params=["sqlite", *SERVERS])
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    with database(request.param, "table_users") as url:
        made = sa.create_engine(url)
        Base.metadata.create_all(made, tables=[PARTS, GUESTS])
        yield made
        made.dispose()


class _OnTable(OwnTableContract):
    @pytest.fixture(autouse=True)
    def _emptied(self, engine: sa.Engine) -> None:
        self.engine = engine
        with engine.begin() as connection:
            for table in sa.inspect(connection).get_table_names():
                connection.execute(sa.delete(sa.table(table)))


class TestMembers(_OnTable):
    """Ids are texts, in a table without ORM."""

    table = PARTS

    def make_store(self) -> TableUsers:
        return core(self.engine, self.table)

    def add_account(self, store: Any, email: str, password_hash: str | None, active: bool = True) -> str:
        row = {"address": email, "secret": password_hash, "gone": not active}
        if self.table is PARTS:
            row["key"] = f"member-{next(NUMBERS)}"
        with self.engine.begin() as connection:
            return str(connection.execute(sa.insert(self.table).values(row)).inserted_primary_key[0])

    def test_a_constant_stands_for_a_column(self, store: Any) -> None:
        account = store.get(self.add_account(store, TANAKA, HASH))
        assert (account.name, account.role) == ("", "leader")


class TestGuests(TestMembers):
    """Ids are UUIDs."""

    table = GUESTS


class TestPeople(_OnTable):
    """Ids are numbers, and the table is a model of the ORM."""

    @pytest.fixture
    def engine(self, sqlite: sa.Engine) -> sa.Engine:
        """The model leaves the lengths of its texts open, which MariaDB refuses."""
        return sqlite

    def make_store(self) -> TableUsers:
        return people(self.engine)

    def add_account(self, store: Any, email: str, password_hash: str | None, active: bool = True) -> str:
        person = Person(mail=email, secret=password_hash, is_active=active)
        with Session(self.engine) as session, session.begin():
            session.add(person)
            session.flush()
            return str(person.id)

    def test_an_expression_gives_the_role(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        other = self.add_account(store, SUZUKI, HASH)
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(Person).where(Person.id == int(user_id)).values(is_boss=True, full_name="田中")
            )
        assert (store.get(user_id).role, store.get(user_id).name) == ("admin", "田中")
        assert (store.get(other).role, store.get(other).name) == ("staff", "")

    def test_what_the_session_of_the_host_app_has_read_does_not_count(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        with Session(self.engine) as session:
            person = session.get(Person, int(user_id))
            with self.engine.begin() as connection:
                connection.execute(sa.update(Person).values(is_active=False))
            assert person is not None
            assert person.is_active
            assert not store.get(user_id).active

    def test_a_changed_hash_commits_nothing_of_the_host_apps(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        with Session(self.engine) as session:
            person = session.get(Person, int(user_id))
            assert person is not None
            person.full_name = "half done"
            assert store.set_password_hash(user_id, "new", expected=HASH)
            session.rollback()
        assert (store.get(user_id).name, store.get(user_id).password_hash) == ("", "new")


class OfTheApp(sa.types.UserDefinedType[Any]):
    """A type whose values SQLAlchemy does not know."""


def test_an_id_of_another_kind_is_refused() -> None:
    engine = sa.create_engine("sqlite://")
    with pytest.raises(TypeError, match="id is a column of Boolean; it has to hold int, str or UUID"):
        TableUsers(engine, id=Person.is_boss, email=Person.mail, password_hash=Person.secret)
    own = sa.Table("own", sa.MetaData(), sa.Column("key", OfTheApp), sa.Column("mail", sa.String))
    with pytest.raises(TypeError, match="id is a column of OfTheApp;"):
        TableUsers(engine, id=own.c.key, email=own.c.mail, password_hash=own.c.mail)


def test_hashes_that_are_no_text_are_refused() -> None:
    own = sa.Table("own", sa.MetaData(), *(sa.Column(*of) for of in (("id", sa.Integer), ("pw", sa.LargeBinary))))
    with pytest.raises(TypeError, match="password_hash is a column of LargeBinary; it has to hold text"):
        TableUsers(sa.create_engine("sqlite://"), id=own.c.id, email=own.c.id, password_hash=own.c.pw)


def test_an_expression_and_a_text_in_place_of_a_column_are_named() -> None:
    """Only a column can take a new hash. The address is only compared, so it may be an expression."""
    engine, given = sa.create_engine("sqlite://"), {"id": Person.id, "email": Person.mail}
    for expression in (sa.func.coalesce(Person.secret, ""), Person.secret + "", sa.literal("x")):
        with pytest.raises(TypeError, match="password_hash is an expression; it has to be a column"):
            TableUsers(engine, **given, password_hash=expression)
        with pytest.raises(TypeError, match="id is an expression; it has to be a column"):
            TableUsers(engine, id=expression, email=Person.mail, password_hash=Person.secret)
    for name in ("id", "email", "password_hash"):
        columns: dict[str, Any] = {**given, "password_hash": Person.secret, name: "mail"}
        with pytest.raises(TypeError, match=f"{name} is of the type str; give a column, such as User.{name}"):
            TableUsers(engine, **columns)
    TableUsers(engine, id=Person.id, email=sa.func.trim(Person.mail), password_hash=Person.secret)


class Joined(DeclarativeBase):
    """Models whose rows lie in two tables."""


class Being(Joined):
    __tablename__ = "beings"
    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str]
    secret: Mapped[str | None]


class Member(Being):
    __tablename__ = "joined_members"
    id: Mapped[int] = mapped_column(sa.ForeignKey("beings.id"), primary_key=True)


def test_ak15_columns_of_two_tables_are_refused() -> None:
    """They have no join: an UPDATE would give the new password to each account without one."""
    engine, key, secret = sa.create_engine("sqlite://"), PARTS.c.key, PARTS.c.secret
    with pytest.raises(TypeError, match="password_hash is a column of another table than id"):
        TableUsers(engine, id=key, email=PARTS.c.address, password_hash=GUESTS.c.secret)
    with pytest.raises(TypeError, match="email is a column of another table or model than id"):
        TableUsers(engine, id=key, email=GUESTS.c.address, password_hash=secret)
    with pytest.raises(TypeError, match="password_hash is a column of another table than id"):
        TableUsers(engine, id=Member.id, email=Member.mail, password_hash=Member.secret)
    TableUsers(engine, id=Being.id, email=Being.mail, password_hash=Being.secret)
