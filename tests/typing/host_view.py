"""What a host app writes, read by mypy and pyright in their strictest mode. Nothing here runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_type

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nipo_auth_mw import (
    AuthConfig,
    AuthMiddleware,
    LockoutPolicy,
    PasswordPolicy,
    Session,
    SessionPolicy,
    User,
    auth_url,
    current_session,
    current_user,
    end_session,
    flash_message,
    from_environ,
    require_fresh,
    require_role,
    require_second,
    require_user,
    sign_out_form,
    still_signed_in,
)
from nipo_auth_mw import flask as auth_for_flask
from nipo_auth_mw.mailers import ConsoleMailer, SMTPMailer
from nipo_auth_mw.protocols import Account, Mailer, UserStore
from nipo_auth_mw.stores import DjangoUsers, SQLStore, TableUsers
from nipo_auth_mw.testing import in_memory, link_in, sign_in, sign_in_as


class Row:
    """A row of the host app's own user table."""

    def __init__(self, id: str, email: str, password_hash: str | None) -> None:
        self.id = id
        self.email = email
        self.password_hash = password_hash
        self.active = True
        self.name = ""
        self.role = "staff"


class Users:
    """The three methods that a host app's own user store has."""

    def get(self, user_id: str) -> Row | None:
        return None

    def find_by_email(self, email: str) -> Row | None:
        return None

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        return False


class Base(DeclarativeBase):
    """The models of the host app."""


class Person(Base):
    """A user table in SQLAlchemy's ORM."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    secret: Mapped[str | None]
    active: Mapped[bool]
    boss: Mapped[bool]


people: UserStore = TableUsers(
    lambda: sa.create_engine("sqlite://"),
    id=Person.id,
    email=Person.email,
    password_hash=Person.secret,
    active=Person.active,
    name="Taro",
    role=sa.case((Person.boss, "admin"), else_="staff"),
)
members: UserStore = DjangoUsers()


def view(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    user = require_user(environ)
    assert_type(user, User)
    assert_type(user.name, str)
    assert_type(user.notify_email, str | None)
    assert_type(current_user(environ), User | None)
    session = current_session(environ)
    assert_type(session, Session | None)
    if session is not None:
        assert_type(session.persistent, bool)
        assert_type(session.seen_at.isoformat(), str)
    assert_type(require_role(environ, "admin", "staff"), User)
    assert_type(still_signed_in(environ), bool)
    assert_type(require_fresh(environ), User)
    assert_type(require_second(environ), User)
    assert_type(auth_url(environ, "logout", next="/"), str)
    assert_type(flash_message(environ), str)
    page = f"<p>{user.email}</p>{sign_out_form(environ)}"
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]


row: Account = Row("1", "tanaka@example.com", None)
users: UserStore = Users()
mailers: list[Mailer] = [ConsoleMailer(), SMTPMailer("smtp://localhost", sender="noreply@example.com")]
config = AuthConfig(
    secret_key="k" * 40 + "q",
    base_url="https://reports.example",
    public_paths=["/healthz", "/static/*"],
    session=SessionPolicy(passive_paths=["/poll"]),
    lockout=LockoutPolicy(failures=3, storage="store"),
    passwords=PasswordPolicy(min_length=12),
    remote_user=lambda user: user.email,
    identity_headers={"X-Email": "email", "X-Name": lambda user: user.name},
)
auth = AuthMiddleware(view, config, store=SQLStore("sqlite:////srv/auth.db"), users=users, mailer=mailers[1])
assert_type(auth.accounts.create(email="tanaka@example.com"), User)
assert_type(auth.accounts.find("tanaka@example.com"), User | None)
assert_type(auth.accounts.search("tanaka", limit=10), list[User])
assert_type(auth.flush_mail(timeout=1), bool)
assert_type(auth.sweep(), int)
tested = AuthMiddleware(view, **in_memory(site_name="Reports"))
assert_type(link_in(tested.__dict__["mail"]), str)
assert_type(end_session({}), None)
assert_type(from_environ({"NIPO_AUTH_DEVELOPMENT": ".nipo-auth"}), dict[str, Any])

flask_app = Flask("reports")
flask_auth = auth_for_flask.Auth(flask_app, **in_memory())
assert_type(flask_auth.accounts.find("tanaka@example.com"), User | None)
sign_in(flask_auth, flask_app.test_client(), "1")
assert_type(sign_in_as(flask_auth, flask_app.test_client(), "tanaka@example.com"), User)


@flask_app.get("/admins/<int:number>")
@auth_for_flask.role_required("admin")
def admins(number: int) -> str:
    return f"{number} {auth_for_flask.current_user.email} {auth_for_flask.sign_out_form(next='/')}"


assert_type(admins(7), str)
