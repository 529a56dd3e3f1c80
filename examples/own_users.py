"""An app with its own SQLAlchemy ORM user table, none of whose columns are ours: it implements `UserStore` and no more.

Sessions, counters and the history live in a store of ours beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Person(Base):
    """The table as the app has always had it."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str] = mapped_column(unique=True)
    secret: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    full_name: Mapped[str | None]
    is_boss: Mapped[bool] = mapped_column(default=False)


@dataclass(frozen=True)
class PersonAccount:
    """A person in the words of `nipo_auth_mw.protocols.Account`."""

    id: str
    email: str
    password_hash: str | None = field(repr=False)
    active: bool
    name: str
    role: str


class PeopleStore:
    """`UserStore` over the table `people`: twenty lines are all a host writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, user_id: str) -> PersonAccount | None:
        if not (user_id.isascii() and user_id.isdigit()) or len(user_id) > 18:
            return None
        with Session(self._engine) as session:
            return _account(session.get(Person, int(user_id)))

    def find_by_email(self, email: str) -> PersonAccount | None:
        with Session(self._engine) as session:
            return _account(session.scalars(select(Person).where(Person.mail == email)).one_or_none())

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        change = update(Person).where(Person.id == int(user_id), Person.secret.is_not_distinct_from(expected))
        with Session(self._engine) as session, session.begin():
            return session.connection().execute(change.values(secret=new)).rowcount == 1


def _account(person: Person | None) -> PersonAccount | None:
    if person is None:
        return None
    role = "admin" if person.is_boss else "staff"
    return PersonAccount(str(person.id), person.mail, person.secret, person.is_active, person.full_name or "", role)


def people(url: str) -> Engine:
    """The app's database, with its table."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    return engine
