"""An app with a user table of its own in SQLAlchemy's ORM. No column is made for this package.

The app implements `UserStore` and no other protocol. Sessions, counters and the audit log are in an `SQLStore` beside
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Engine, create_engine, func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The base class of the app's tables."""

    pass


class Person(Base):
    """The app's user table as it was before."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str] = mapped_column(unique=True)
    secret: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    full_name: Mapped[str | None]
    is_boss: Mapped[bool] = mapped_column(default=False)


@dataclass(frozen=True)
class PersonAccount:
    """A row of the table as a `nipo_auth_mw.protocols.Account`."""

    id: str
    email: str
    password_hash: str | None = field(repr=False)
    active: bool
    name: str
    role: str


class PeopleStore:
    """`UserStore` over the table `people`, in about twenty lines."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, user_id: str) -> PersonAccount | None:
        """The account with this id, None for a text that is not an id."""
        if not (user_id.isascii() and user_id.isdigit()) or len(user_id) > 18:
            return None
        with Session(self._engine) as session:
            return _account(session.get(Person, int(user_id)))

    def find_by_email(self, email: str) -> PersonAccount | None:
        """The account with this canonical address. The table holds addresses as they were typed."""
        asked = select(Person).where(func.lower(Person.mail) == email).order_by(Person.mail != email, Person.id)
        with Session(self._engine) as session:
            return _account(session.scalars(asked).first())

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """Write the hash if the present one is `expected`."""
        change = update(Person).where(Person.id == int(user_id), Person.secret.is_not_distinct_from(expected))
        with Session(self._engine) as session, session.begin():
            return session.connection().execute(change.values(secret=new)).rowcount == 1


def _account(person: Person | None) -> PersonAccount | None:
    """The row as an account."""
    if person is None:
        return None
    role = "admin" if person.is_boss else "staff"
    return PersonAccount(str(person.id), person.mail, person.secret, person.is_active, person.full_name or "", role)


def people(url: str) -> Engine:
    """The app's database, with its table."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    return engine
