"""Flask with users of its own in Flask-SQLAlchemy: the table stays as it is, and the middleware reads it.

Addresses are compared without their case, since an old table may hold them as they were typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nipo_auth_mw.flask import Auth, current_user


class Base(DeclarativeBase):
    """The base class of the app's tables."""


db = SQLAlchemy(model_class=Base)


class Member(db.Model):  # type: ignore[name-defined,misc]
    """The app's user table as it was before."""

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str | None]
    name: Mapped[str] = mapped_column(default="")
    left: Mapped[bool] = mapped_column(default=False)


@dataclass(frozen=True)
class MemberAccount:
    """A row of the table as the middleware reads it."""

    id: str
    email: str
    password_hash: str | None = field(repr=False)
    active: bool
    name: str
    role: str = "staff"


class Members:
    """The three methods of `nipo_auth_mw.protocols.UserStore`."""

    def get(self, user_id: str) -> MemberAccount | None:
        """The account with this id."""
        return _account(db.session.get(Member, int(user_id))) if _is_id(user_id) else None

    def find_by_email(self, email: str) -> MemberAccount | None:
        """The account with this address, which comes in lower case."""
        return _account(db.session.scalars(db.select(Member).where(func.lower(Member.email) == email)).first())

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        """Write the hash if the present one is `expected`."""
        change = update(Member).where(Member.id == int(user_id), Member.password.is_not_distinct_from(expected))
        done = db.session.execute(change.values(password=new))
        db.session.commit()
        return bool(done.rowcount)  # type: ignore[attr-defined]


def _is_id(text: str) -> bool:
    """Whether the text can be an id of the table."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def _account(member: Member | None) -> MemberAccount | None:
    """The row as an account."""
    if member is None:
        return None
    return MemberAccount(str(member.id), member.email.lower(), member.password, not member.left, member.name)


def create_app(url: str = "sqlite:///members.db", **given: Any) -> Flask:
    """The app, with its table. Tests give `in_memory(…)`."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    with app.app_context():
        db.create_all()
    Auth(app, users=Members(), **given)

    @app.get("/")
    def index() -> str:
        member = db.session.get(Member, int(current_user.id))
        return f"{member.name if member else ''} has the number {current_user.id}"

    return app
