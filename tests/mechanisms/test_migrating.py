"""The guides from other libraries: each begins with an app of the real package, whose people sign in afterwards."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import flask_login
import flask_security
import pytest
from flask_security.models import fsqla_v2
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase
from werkzeug.security import check_password_hash, generate_password_hash

from nipo_auth_mw.cli import cli
from nipo_auth_mw.cli._context import Context
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.testing import in_memory
from tests.kit import PASSWORD, WRONG, browser, middleware, seen, sign_in
from tests.security.test_legacy import FIREBASE, OF_FIREBASE

pytest.importorskip("bcrypt")

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
OLD = "pässword of the old app"


def blocks(guide: str) -> dict[str, str]:
    """The Python blocks of a guide, by their first line."""
    found = re.findall(r"```python\n# (.*?)\n(.*?)```", (GUIDES / f"from-{guide}.md").read_text("utf-8"), re.DOTALL)
    return dict(found)


def run(block: str, **names: Any) -> dict[str, Any]:
    """Run a block of a guide in an app that has these names."""
    exec(compile(block, "guide", "exec"), names)
    return names


def check(auth: Any, capsys: Any) -> list[dict[str, str]]:
    """The findings of `nipo-auth --app … check` about the accounts."""
    with pytest.raises(SystemExit):
        cli.commands["check"].main(["--json"], obj=Context("", auth))
    return [one for one in json.loads(capsys.readouterr().out) if one["about"] in {"hashes", "accounts"}]


def database() -> Any:
    class Base(DeclarativeBase):
        pass

    return SQLAlchemy(model_class=Base)


def settled(auth: Any, hash_of: Callable[[int], str], capsys: Any) -> None:
    """Everybody of the old app signs in with the old password, and nobody with another."""
    found = check(auth, capsys)
    # The apps' tables are as their frameworks make them on SQLite.
    assert {one["level"] for one in found if "AUTOINCREMENT" not in one["text"]} == {"ok"}
    assert {"sign-in finds each account by its address", "every password hash can be checked"} <= {
        one["text"] for one in found
    }
    assert any("are left; each becomes argon2" in one["text"] for one in found)
    for number, email in ((1, "Taro@Example.com"), (2, "hanako@example.com")):
        before = hash_of(number)
        assert sign_in(browser(auth), email, WRONG).status_int == 401
        assert hash_of(number) == before
        test_app = browser(auth)
        assert sign_in(test_app, email, OLD).status_int == 303
        assert hash_of(number).startswith("$argon2id$v=19$m=8,")
        assert test_app.get("/").text == f"hello {email.lower()}"
        assert sign_in(browser(auth), email.lower(), OLD).status_int == 303
    assert not any("are left" in one["text"] for one in check(auth, capsys))


def test_from_flask_login(tmp_path: Path, capsys: Any) -> None:
    app, db = flask.Flask("reports"), database()
    app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.db", SECRET_KEY="key of the app")
    db.init_app(app)

    class User(flask_login.UserMixin, db.Model):
        id = db.Column(db.Integer, primary_key=True)
        email = db.Column(db.String, unique=True)
        password_hash = db.Column(db.String)
        name = db.Column(db.String)
        is_boss = db.Column(db.Boolean)
        team = db.Column(db.String)

    manager = flask_login.LoginManager(app)
    manager.user_loader(lambda user_id: db.session.get(User, int(user_id)))

    @app.post("/login")
    def login() -> str:
        user = db.session.scalars(db.select(User).where(User.email == flask.request.form["email"])).one()
        assert check_password_hash(user.password_hash, flask.request.form["password"])
        flask_login.login_user(user)
        return "welcome"

    with app.app_context():
        db.create_all()
        for email, method in (("Taro@Example.com", "scrypt:1024:8:1"), ("hanako@example.com", "pbkdf2:sha256:100")):
            hashed = generate_password_hash(OLD, method)
            db.session.add(User(email=email, password_hash=hashed, name="名前", team=f"team of {email}"))
        db.session.commit()
    before = app.test_client()
    assert before.post("/login", data={"email": "Taro@Example.com", "password": OLD}).text == "welcome"
    # A fresh process with the lines of the guide.
    again = _after(app, db, User, "flask-login", capsys, "password_hash", keeping_flask_login)
    test_app = browser(again.wsgi_app)
    assert sign_in(test_app, "hanako@example.com", OLD).status_int == 303
    assert test_app.get("/team").text == "team of hanako@example.com"
    test_app.post("/-/auth/logout")
    assert test_app.get("/team", headers={"Accept": "text/html"}).status_int == 303
    with again.app_context():
        db.engine.dispose()


def keeping_flask_login(app: Any, **names: Any) -> None:
    """A column of the app's own is read by Flask-Login's `current_user`."""
    run(blocks("flask-login")["keep"], login_manager=flask_login.LoginManager(app), **names)
    app.add_url_rule("/team", "team", flask_login.login_required(lambda: flask_login.current_user.team))


def _after(app: Any, db: Any, User: Any, guide: str, capsys: Any, column: str, also: Any = None) -> Any:
    """The app begins again, with the lines of the guide in place of what it had."""
    from nipo_auth_mw.flask import Auth, current_user

    again = flask.Flask("reports")
    again.config.update(app.config)
    db.init_app(again)
    again.add_url_rule("/", view_func=lambda: f"hello {current_user.email.lower()}")
    text = blocks(guide)["after"].replace("from nipo_auth_mw.flask import Auth, current_user, login_required\n", "")
    parts = {**in_memory(), "store": MemoryStore()}

    def auth(app: Any, **given: Any) -> None:
        Auth(app, **{**parts, **given})

    run(text, app=again, db=db, User=User, Auth=auth)
    if also is not None:
        also(again, db=db, User=User)

    def hash_of(number: int) -> str:
        with again.app_context():
            db.session.expire_all()
            return str(getattr(db.session.get(User, number), column))

    settled(again.wsgi_app, hash_of, capsys)
    with app.app_context():
        db.engine.dispose()
    with again.app_context():
        db.engine.dispose()
    return again


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_from_flask_security(tmp_path: Path, capsys: Any) -> None:
    app, db = flask.Flask("reports"), database()
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.db",
        SECRET_KEY="key of the app",
        SECURITY_PASSWORD_SALT="the salt of the app",
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS={"argon2__memory_cost": 64, "argon2__rounds": 1},
        WTF_CSRF_ENABLED=False,
    )
    db.init_app(app)
    fsqla_v2.FsModels.set_db_info(db)

    class Role(db.Model, fsqla_v2.FsRoleMixin):
        pass

    class User(db.Model, fsqla_v2.FsUserMixin):
        pass

    users = flask_security.SQLAlchemyUserDatastore(db, User, Role)
    # As its forms do, before they hash and before they compare.
    security = flask_security.Security(app, users)
    with app.app_context():
        typed = security._password_util.normalize(OLD)
        db.create_all()
        for email in ("Taro@Example.com", "hanako@example.com"):
            users.create_user(email=email, password=flask_security.hash_password(typed))
        users.add_role_to_user(db.session.get(User, 1), users.create_role(name="admin"))
        db.session.commit()
        assert db.session.get(User, 1).password.startswith("$argon2")
        assert flask_security.verify_password(typed, db.session.get(User, 1).password)
    _after(app, db, User, "flask-security", capsys, "password")


def test_from_django_is_shown_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Django has one configuration a process."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", _DJANGO, str(GUIDES / "from-django.md"), OLD, WRONG],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["all signed in"]), done.stderr


_DJANGO = r"""
import re, sys, types
guide, OLD, WRONG = sys.argv[1:]
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="key of the site", ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "nipo_auth_mw.django.UserMiddleware",
    ],
    PASSWORD_HASHERS=[
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        "django.contrib.auth.hashers.Argon2PasswordHasher",
    ],
)
urls = sys.modules["urls"] = types.ModuleType("urls")
django.setup()
from django.contrib.auth import authenticate, get_user_model, hashers
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path



def hello(request):
    return HttpResponse(f"hello {request.user.username} {request.user.is_authenticated}")


urls.urlpatterns = [path("", hello)]
call_command("migrate", verbosity=0, run_syncdb=True)
kinds = ("pbkdf2_sha256", "bcrypt_sha256", "scrypt", "argon2")
hashers.PBKDF2PasswordHasher.iterations = 1000
hashers.BCryptSHA256PasswordHasher.rounds = 4
hashers.ScryptPasswordHasher.work_factor = 2**10
hashers.Argon2PasswordHasher.memory_cost = 1024
for number, kind in enumerate(kinds):
    user = get_user_model().objects.create_user(f"user{number}", f"User{number}@Example.com")
    user.password = hashers.make_password(OLD, hasher=kind)
    user.is_superuser = number == 0
    user.save()
    assert authenticate(username=f"user{number}", password=OLD)
get_user_model().objects.create_user("nobody", "nobody@example.com")

from nipo_auth_mw import django as ours
from nipo_auth_mw.testing import in_memory
from nipo_auth_mw.stores import MemoryStore
from tests.kit import browser, sign_in

text = open(guide, encoding="utf-8").read()
blocks = dict(re.findall(r"```python\n# after: (\S+)\n(.*?)```", text, re.DOTALL))
parts, protect = {**in_memory(), "store": MemoryStore()}, ours.protect
ours.protect = lambda application, **given: protect(application, **{**parts, **given})
names = {"get_wsgi_application": get_wsgi_application}
exec(blocks["wsgi.py"], names)
auth = names["application"]
for number, kind in enumerate(kinds):
    email = f"User{number}@Example.com"
    assert sign_in(browser(auth), email, WRONG).status_int == 401
    test_app = browser(auth)
    assert sign_in(test_app, email, OLD).status_int == 303, kind
    assert test_app.get("/").text == f"hello user{number} True"
    assert get_user_model().objects.get(username=f"user{number}").password.startswith("$argon2id$v=19$m=8,")
    assert sign_in(browser(auth), email, OLD).status_int == 303, kind
assert sign_in(browser(auth), "nobody@example.com", "").status_int == 401
ours.protect = protect
tests = {}
exec(blocks["tests.py"], tests)
from django.test.utils import setup_test_environment
setup_test_environment()
client = tests["Client"]()
assert client.post("/-/auth/login", {"email": "User0@Example.com", "password": OLD}).status_code == 303
assert client.get("/").content == b"hello user0 True"

from nipo_auth_mw.cli._check_accounts import account_findings

assert {level for level, _, _ in account_findings(auth._services, of_app=True)} == {"ok"}
# Django lets two users have one address, or none: only one of them can sign in with it.
twin = get_user_model().objects.create_user("twin", "NOBODY@example.com")
get_user_model().objects.create_user("nameless")
(error,) = [text for level, _, text in account_findings(auth._services, of_app=True) if level == "error"]
assert "does not find 2 accounts" in error, error
assert f"'NOBODY@example.com' (id {twin.pk}) finds the account with the id" in error, error
assert "is no address" in error, error
print("all signed in")
"""


def test_from_firebase(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    import os

    _, _, salt, stored = OF_FIREBASE.split("$")
    file = tmp_path / "users.json"
    user = {"email": "User1@example.com", "passwordHash": stored, "salt": salt, "displayName": "一郎"}
    file.write_text(json.dumps({"users": [user, {"localId": "2", "phoneNumber": "+81"}]}), "utf-8")
    monkeypatch.setenv("FIREBASE_SIGNER_KEY", str(FIREBASE["signer_key"]))
    made = run(
        blocks("firebase")["after"],
        os=os,
        app=None,
        config=None,
        store=MemoryStore(),
        AuthMiddleware=lambda app, config, **given: middleware(**given),
    )
    auth = made["auth"]
    with pytest.raises(SystemExit):
        cli.commands["user"].main(["import", str(file), "--json"], obj=Context("", auth))
    told = json.loads(capsys.readouterr().out)
    assert (told["created"], [one["code"] for one in told["refused"]]) == (1, ["email_rejected"])
    assert told["hashes"] == ["Firebase"]
    test_app = browser(auth)
    assert sign_in(test_app, "user1@example.com", "user1password").status_int == 303
    assert seen(test_app) == "1"
    assert sign_in(browser(auth), "user1@example.com", PASSWORD).status_int == 401
