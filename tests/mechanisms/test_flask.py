"""`nipo_auth_mw.flask`, with Flask's own test client and command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import flask
import pytest
import time_machine
from flask import flash, get_flashed_messages, render_template_string, session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nipo_auth_mw import AuthMiddleware, ConfigError
from nipo_auth_mw.flask import (
    Auth,
    auth_url,
    current_user,
    fresh_login_required,
    login_required,
    role_required,
    second_step_required,
    sign_out_form,
)
from nipo_auth_mw.models import Account
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.testing import enrol_app, fast_hasher, in_memory, sign_in, sign_out
from tests.kit import PASSWORD, logged_here

HTML = {"Accept": "text/html"}


def make_app(**given):
    app = flask.Flask("reports")
    app.secret_key = "for the app's own session"
    auth = Auth()
    auth.init_app(app, **{**in_memory(public_paths=["/open/*"]), **given})

    @app.get("/")
    def index():
        return f"{current_user} {current_user.email} {current_user.role}"

    @app.get("/open/who")
    def who():
        return f"{current_user.is_authenticated} {current_user.name!r} {current_user.id!r}"

    @app.get("/open/mine")
    @login_required
    def mine():
        return current_user.user.email

    @app.get("/open/admins/<int:number>")
    @role_required("admin", "staff")
    def admins(number):
        return f"{number}"

    @app.get("/bosses")
    @role_required("admin")
    async def bosses():
        return "bosses"

    @app.get("/sensitive")
    @fresh_login_required
    def sensitive():
        return "sensitive"

    @app.get("/two")
    @second_step_required
    def two():
        return "two"

    @app.post("/save")
    def save():
        session["count"] = session.get("count", 0) + 1
        flash(f"saved {session['count']}")
        return ""

    @app.get("/open/flashes")
    def flashes():
        return f"{session.get('count', 0)} {get_flashed_messages()}"

    return app, auth


@pytest.fixture
def made():
    app, auth = make_app()
    with app.app_context():
        for email, role in (("yamada@example.com", "staff"), ("kanri@example.com", "admin")):
            auth.accounts.create(email=email, password=PASSWORD, name=email[0].upper(), role=role)
    return app


def client(app, user_id=""):
    made = app.test_client()
    if user_id:
        sign_in(app.extensions["nipo_auth_mw"], made, user_id)
    return made


def test_flasks_own_client_signs_in_and_out(made):
    member = client(made)
    assert member.get("/", headers=HTML).location == "/-/auth/login?next=/"
    member.post("/-/auth/login", data={"email": "yamada@example.com", "password": PASSWORD})
    assert member.get("/").text == "Y yamada@example.com staff"
    sign_out(member)
    assert member.get("/", headers=HTML).status_code == 303


def test_a_visitor_is_false_and_empty(made):
    assert client(made).get("/open/who").text == "False '' ''"
    assert client(made, "1").get("/open/who").text == "True 'Y' '1'"


def test_the_decorators_ask_for_a_user_a_role_and_a_fresh_session(made):
    visitor, member, admin = client(made), client(made, "1"), client(made, "2")
    for path in ("/open/mine", "/open/admins/7"):
        assert visitor.get(path, headers=HTML).location == f"/-/auth/login?next={path}"
    assert member.get("/open/mine").text == "yamada@example.com"
    assert member.get("/open/admins/7").text == "7"
    assert member.get("/bosses").status_code == 403
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        member = client(made, "1")
        assert member.get("/sensitive").text == "sensitive"
        clock.shift(3600)
        assert member.get("/sensitive", headers=HTML).location == "/-/auth/account/confirm?next=/sensitive"
    assert admin.get("/open/admins/8").text == "8"


@pytest.mark.parametrize("debug", [False, True])
def test_a_store_that_is_given_needs_no_setting_and_none_is_made_up(monkeypatch, tmp_path, debug):
    for name, value in (("SECRET_KEY", "k" * 40 + "q"), ("BASE_URL", "http://localhost")):
        monkeypatch.setenv(f"NIPO_AUTH_{name}", value)
    app = flask.Flask("reports", instance_path=str(tmp_path))
    app.debug = debug
    store = MemoryStore()
    auth = Auth(app, store=store)
    user = auth.accounts.create(email="tanaka@example.com")
    assert store.get(user.id) is not None
    assert list(tmp_path.rglob("*.db")) == []


def test_a_view_without_the_names_of_its_roles_is_a_mistake():
    def view():
        return "view"

    for wrong in (lambda: role_required(view), lambda: role_required()(view)):
        with pytest.raises(TypeError, match='as in @role_required\\("admin"\\)'):
            wrong()


def test_a_view_for_two_steps_leads_others_to_the_page_that_sets_them_up(made):
    member = client(made, "1")
    assert member.get("/two", headers=HTML).location == "/-/auth/account/security?next=/two"
    refused = member.get("/two").json
    assert (refused["code"], refused["title"]) == ("second_step_required", "Set up two-step sign-in first")
    # The role does not require it, so the text does not say so.
    assert refused["detail"].startswith("This page is for users with two-step sign-in.")
    enrol_app(made.extensions["nipo_auth_mw"], "1")
    half = made.test_client()
    sign_in(made.extensions["nipo_auth_mw"], half, "1", means="password")
    assert half.get("/two", headers=HTML).location == "/-/auth/account/confirm?next=/two"
    assert half.get("/two").json["title"] == "Confirm with your second step first"
    assert client(made, "1").get("/two").text == "two"


class OwnTable:
    """A user table of the app, with a search and without anything that changes it."""

    def get(self, user_id):
        return Account("7", "taro@example.com", None, True, "", "staff") if user_id == "7" else None

    def find_by_email(self, email):
        return self.get("7") if email == "taro@example.com" else None

    def set_password_hash(self, user_id, new, *, expected):
        return False

    def search(self, text, *, after, limit):
        return [] if after else [self.get("7")]


def test_the_first_start_names_the_commands_of_flask(tmp_path, monkeypatch, caplog):
    for name in [one for one in os.environ if one.startswith("NIPO_AUTH_")]:
        monkeypatch.delenv(name)
    app = flask.Flask("reports", instance_path=str(tmp_path))
    with pytest.raises(ConfigError, match="FLASK_DEBUG=1"):
        Auth(app)
    app.debug = True
    Auth(app)
    assert "make the first: flask auth init" in caplog.text


def test_an_own_user_table_is_listed_and_is_not_asked_for_a_first_account(tmp_path, monkeypatch, caplog):
    for name in [one for one in os.environ if one.startswith("NIPO_AUTH_")]:
        monkeypatch.delenv(name)
    app = flask.Flask("reports", instance_path=str(tmp_path))
    app.debug = True
    Auth(app, users=OwnTable())
    assert logged_here(caplog) == []
    shell = app.test_cli_runner()
    assert "taro@example.com" in shell.invoke(args=["auth", "user", "list"]).output
    refused = shell.invoke(args=["auth", "user", "add", "new@example.com", "--no-password"])
    assert (refused.exit_code, "the app itself has to make this change" in refused.output) == (1, True)


def test_a_role_that_is_not_configured_is_a_mistake(made):
    made.testing = True

    @made.get("/misspelt")
    @role_required("amdin")
    def misspelt():
        return ""

    with pytest.raises(ValueError, match="amdin"):
        client(made, "2").get("/misspelt")


def test_outside_a_request_everything_is_empty(made):
    assert not current_user
    assert (str(current_user), current_user.is_anonymous, current_user.language, current_user.role) == (
        "",
        True,
        None,
        "",
    )
    assert (auth_url("login"), sign_out_form()) == ("", "")
    with made.app_context():
        assert render_template_string("{{ current_user.name }}{{ auth_url('login') }}{{ sign_out_form() }}") == ""
        assert render_template_string("{{ account_menu() }}") == ""


def test_templates_have_the_helpers_in_macros_too(made):
    @made.get("/template")
    def template():
        text = (
            "{% macro who() %}{{ current_user.name }}{{ sign_out_form(next='/', class_='b') }}{% endmacro %}{{ who() }}"
        )
        return render_template_string(text + "{{ account_menu() }}{{ auth_url('account') }}")

    page = client(made, "1").get("/template").text
    assert '<details class="nipo-menu">' in page
    assert page.startswith("Y<form")
    assert page.endswith("/-/auth/account")
    assert 'class="b"' in page


# The app's own session belongs to one user.


def test_what_a_user_leaves_in_the_apps_session_is_shown_to_no_other(made):
    browser = client(made, "1")
    browser.post("/save")
    browser.post("/save")
    copy = browser.get_cookie("session").value
    assert browser.post("/-/auth/logout").status_code == 303
    assert browser.get_cookie("session") is None
    sign_in(made.extensions["nipo_auth_mw"], browser, "2")
    assert browser.get("/open/flashes").text == "0 []"
    browser.set_cookie("session", copy)
    assert browser.get("/open/flashes").text == "0 []", "a copy of the cookie opens nothing either"


@pytest.mark.parametrize("ending", ["expired", "disabled"])
def test_a_session_that_ends_otherwise_leaves_nothing_either(made, ending):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        browser = client(made, "1")
        browser.post("/save")
        assert browser.get("/open/flashes").text.startswith("1 ")
        if ending == "expired":
            clock.shift(100 * 86400)
        else:
            made.extensions["nipo_auth_mw"].accounts.set_active("1", False)
        assert browser.get("/open/flashes").text == "0 []"


def test_what_a_visitor_has_put_there_stays_at_sign_in(made):
    @made.post("/open/cart")
    def cart():
        session["count"] = 7
        return ""

    browser = client(made)
    browser.post("/open/cart")
    browser.post("/-/auth/login", data={"email": "yamada@example.com", "password": PASSWORD})
    assert browser.get("/open/flashes").text == "7 []"


def test_an_app_without_a_secret_key_has_no_session_to_end():
    app, auth = make_app()
    app.secret_key = None
    with app.app_context():
        auth.accounts.create(email="yamada@example.com")
    browser = client(app, "1")
    assert browser.get("/").status_code == 200
    assert browser.post("/-/auth/logout").status_code == 303


def test_a_callback_of_the_hosts_is_called_too():
    told = []
    app, auth = make_app(on_sign_out=lambda environ, user: told.append(user.email) or ["mine=; Max-Age=0"])
    with app.app_context():
        auth.accounts.create(email="yamada@example.com")
    answer = client(app, "1").post("/-/auth/logout")
    assert told == ["yamada@example.com"]
    assert "mine=; Max-Age=0" in answer.headers.getlist("Set-Cookie")


# A user table of Flask-SQLAlchemy.


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Person(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    name: Mapped[str] = mapped_column(default="")
    role: Mapped[str] = mapped_column(default="staff")


def account(row):
    return row and Account(str(row.id), row.email, row.password_hash, row.active, row.name, row.role)


class People:
    def get(self, user_id):
        return account(db.session.get(Person, int(user_id)))

    def find_by_email(self, email):
        return account(db.session.scalar(db.select(Person).where(db.func.lower(Person.email) == email)))

    def set_password_hash(self, user_id, new, *, expected):
        changed = db.update(Person).where(Person.id == int(user_id), Person.password_hash == expected)
        done = db.session.execute(changed.values(password_hash=new)).rowcount
        db.session.commit()
        return done == 1


def test_a_table_of_flask_sqlalchemy_is_the_user_table(tmp_path):
    app = flask.Flask("reports")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/app.db"
    db.init_app(app)
    parts = in_memory()
    auth = Auth(app, **{**parts, "store": MemoryStore(), "users": People()})
    with app.app_context():
        db.create_all()
        db.session.add(Person(email="Taro@Example.com", password_hash=fast_hasher().hash(PASSWORD), name="太郎"))
        db.session.commit()
        assert auth.accounts.find("taro@example.com").name == "太郎"
    assert auth._given["users"].__class__ is People
    app.add_url_rule("/", view_func=lambda: current_user.name)
    browser = app.test_client()
    assert browser.post("/-/auth/login", data={"email": "taro@example.com", "password": PASSWORD}).status_code == 303
    assert browser.get("/").text == "太郎"
    with app.app_context():
        db.session.execute(db.update(Person).values(active=False))
        db.session.commit()
    assert browser.get("/", headers=HTML).status_code == 303
    with app.app_context():
        db.engine.dispose()


# Settings and the command line.


def test_settings_come_from_the_config_and_the_environment(monkeypatch, tmp_path):
    app = flask.Flask("reports", instance_path=str(tmp_path))
    with pytest.raises(ConfigError, match="NIPO_AUTH_BASE_URL"):
        Auth(app)
    app.config.update(NIPO_AUTH_SITE_NAME="日報", NIPO_AUTH_PUBLIC_PATHS=["/open/*"], NIPO_AUTH_REALM="config")
    monkeypatch.setenv("NIPO_AUTH_REALM", "environment")
    app.debug = True
    auth = Auth(app)
    with app.app_context():
        config = auth.config
    assert (config.site_name, config.realm, config.base_url) == ("日報", "environment", "http://localhost:5000")
    assert (tmp_path / "nipo-auth" / "secret_key").exists()


def test_without_auth_it_says_what_is_missing():
    with flask.Flask("reports").app_context(), pytest.raises(LookupError, match=r"Auth\(app\)"):
        assert Auth().accounts


def test_the_commands_work_on_the_app_itself(made):
    run = made.test_cli_runner().invoke
    listed = run(args=["auth", "user", "list"])
    assert "yamada@example.com" in listed.output
    done = run(args=["auth", "user", "add", "new@example.com", "--no-password"])
    assert (done.exit_code, "new@example.com" in done.output) == (0, True)
    refused = run(args=["auth", "user", "add", "new@example.com", "--no-password"])
    assert (refused.exit_code, "email_taken" in refused.output) == (1, True)
    assert "Create the tables" in run(args=["auth", "--help"]).output


def test_flasks_commands_work_before_the_tables_are_there(tmp_path, monkeypatch):
    code = """
from flask import Flask
from nipo_auth_mw.flask import Auth

app = Flask(__name__)
Auth(app)
"""
    (tmp_path / "app.py").write_text(code, "utf-8")
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NIPO_AUTH_BASE_URL": "https://reports.example.jp",
        "NIPO_AUTH_SECRET_KEY": "k" * 40 + "q",
        "NIPO_AUTH_STORE": f"sqlite:///{tmp_path}/auth.db",
    }

    def flask_command(*arguments, given=""):
        command = [sys.executable, "-m", "flask", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environ, input=given, capture_output=True, text=True, check=False
        )

    done = flask_command("routes")
    assert done.returncode == 0
    assert "has no tables yet" in done.stderr
    done = flask_command("auth", "init", "--email", "kanri@example.com", "--password-stdin", given=PASSWORD)
    assert done.returncode == 0, done.stderr
    assert "kanri@example.com" in done.stdout
    assert "Run:" not in done.stderr, "it is the command that makes them"
    (tmp_path / "auth.db").unlink()
    for name in environ:
        monkeypatch.setenv(name, environ[name])
    with pytest.raises(ConfigError, match="has no tables yet"):
        # A server does not start without its tables.
        Auth(flask.Flask("reports"))


def test_it_is_the_middleware_that_the_command_line_finds(made):
    assert isinstance(made.wsgi_app, AuthMiddleware)


@pytest.mark.parametrize(
    ("command", "base_url"),
    [
        (None, "http://localhost:5000"),
        (("routes", {"port": 7}), "http://localhost:5000"),
        (("run", {"host": "127.0.0.1", "port": 5001}), "http://localhost:5001"),
        (("run", {"host": "192.168.1.5", "port": 5000}), "http://localhost:5000"),
        (("run", {"host": "0.0.0.0", "port": 5000, "cert": "server.pem"}), "https://localhost:5000"),
        (("run", {"host": "192.168.1.5", "port": 5000, "cert": "server.pem"}), "https://192.168.1.5:5000"),
    ],
)
def test_a_development_day_is_at_the_address_of_flask_run(monkeypatch, tmp_path, command, base_url):
    monkeypatch.setattr("nipo_auth_mw.flask.flask_command", lambda: command)
    app = flask.Flask("reports", instance_path=str(tmp_path))
    app.debug = True
    auth = Auth(app)
    with app.app_context():
        assert auth.config.base_url == base_url


def test_a_public_address_of_flask_run_makes_nothing_up(monkeypatch, tmp_path):
    command = ("run", {"host": "8.8.8.8", "port": 443, "cert": "server.pem"})
    monkeypatch.setattr("nipo_auth_mw.flask.flask_command", lambda: command)
    app = flask.Flask("reports", instance_path=str(tmp_path))
    app.debug = True
    with pytest.raises(ConfigError, match="public address"):
        Auth(app)
