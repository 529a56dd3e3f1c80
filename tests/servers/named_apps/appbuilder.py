"""Flask-AppBuilder: AUTH_REMOTE_USER makes a user of the address, and the role that the app gives it counts."""

from __future__ import annotations

import sys

import flask
from flask_appbuilder import AppBuilder
from flask_appbuilder.models.sqla.base import SQLA
from flask_appbuilder.security.manager import AUTH_REMOTE_USER

from nipo_auth_mw.flask import Auth
from nipo_auth_mw.testing import in_memory
from tests.servers.named_apps.signed_in import ADMINISTRATOR, MEMBER, browser

app = flask.Flask("reports")
app.config.update(
    SECRET_KEY="key of the app",
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{sys.argv[1]}/app.db",
    AUTH_TYPE=AUTH_REMOTE_USER,
    AUTH_USER_REGISTRATION=True,
    AUTH_USER_REGISTRATION_ROLE="Public",
)
Auth(app, **in_memory(remote_user="email"))
db = SQLA(app)
with app.app_context():
    people = AppBuilder(app, db.session).sm


def seen(email: str, role: str) -> tuple[str, int]:
    """The name in the app's own table, and the status of its list of users."""
    test_app = browser(app.wsgi_app, email, role)
    test_app.get("/login/")
    with app.app_context():
        found = people.find_user(username=email)
        name = found.username
        if role == "admin":
            found.roles = [people.find_role("Admin")]
            db.session.commit()
    return name, test_app.get("/users/list/", expect_errors=True).status_int


print("member", *seen(MEMBER, "staff"))
print("administrator", *seen(ADMINISTRATOR, "admin"))
print("visitor", browser(app.wsgi_app).get("/users/list/").status_int)
with app.app_context():
    print("names", *sorted(user.username for user in people.get_all_users()))
