"""The same app, behind each of the peers as its documentation shows it, and behind nipo_auth_mw.

`/page` answers with the address of the user, or with `-`. Each site looks the account up in SQLite at each request, so
that a deleted account is out. `/login` takes `email` and `password`, `/logout` signs out.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

EMAIL, PASSWORD = "tanaka@example.com", "aoi-umi-to-shiroi-kumo"
SECRET = secrets.token_urlsafe(48)


class Site(NamedTuple):
    """An app behind one of the peers. `form` are the fields of its sign-in form, whose paths are `login`, `logout`."""

    wsgi: Any
    login: str = "/login"
    logout: str = "/logout"
    form: dict[str, str] = {"email": EMAIL, "password": PASSWORD}  # noqa: RUF012


class People:
    """A table of one account, for the peers that bring none."""

    def __init__(self, folder: Path) -> None:
        from werkzeug.security import generate_password_hash

        self.db = sqlite3.connect(folder / "people.db", isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("CREATE TABLE people (id TEXT PRIMARY KEY, email TEXT UNIQUE, hash TEXT)")
        self.db.execute("INSERT INTO people VALUES ('1', ?, ?)", (EMAIL, generate_password_hash(PASSWORD)))

    def get(self, user_id: str) -> str | None:
        """The address of the account with this id."""
        row = self.db.execute("SELECT email FROM people WHERE id = ?", (user_id,)).fetchone()
        return str(row[0]) if row else None

    def checked(self, email: str, password: str) -> str | None:
        """The id of the account, if the password is right."""
        from werkzeug.security import check_password_hash

        row = self.db.execute("SELECT id, hash FROM people WHERE email = ?", (email,)).fetchone()
        return str(row[0]) if row and check_password_hash(row[1], password) else None


def nipo_auth_mw(folder: Path) -> Site:
    """The middleware around a WSGI function."""
    from nipo_auth_mw import AuthConfig, AuthMiddleware, current_user
    from nipo_auth_mw.stores import SQLStore

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        user = current_user(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [(user.email if user else "-").encode()]

    store = SQLStore(f"sqlite:///{folder / 'auth.db'}")
    store.create_schema()
    config = AuthConfig(secret_key=SECRET, base_url="http://localhost", public_paths=["/*"])
    auth = AuthMiddleware(app, config, store=store)
    auth.accounts.create(email=EMAIL, password=PASSWORD)
    return Site(auth, "/-/auth/login", "/-/auth/logout")


def flask_login(folder: Path) -> Site:
    """Flask-Login with its own session in Flask's signed cookie."""
    import flask
    import flask_login as peer

    people, app = People(folder), flask.Flask("peer")
    app.secret_key = SECRET
    manager = peer.LoginManager(app)

    class User(peer.UserMixin):  # type: ignore[misc]
        def __init__(self, user_id: str, email: str) -> None:
            self.id, self.email = user_id, email

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(user_id: str) -> User | None:
        email = people.get(user_id)
        return User(user_id, email) if email else None

    @app.get("/page")
    def page() -> str:
        return str(peer.current_user.email) if peer.current_user.is_authenticated else "-"

    @app.post("/login")
    def login() -> str:
        user_id = people.checked(flask.request.form["email"], flask.request.form["password"])
        if user_id is None:
            return "wrong"
        peer.login_user(load(user_id))
        return "in"

    @app.post("/logout")
    def logout() -> str:
        peer.logout_user()
        return "out"

    return Site(app)


def flask_security(folder: Path) -> Site:
    """Flask-Security-Too with its models of Flask-SQLAlchemy and its own forms; no form token, as for a test."""
    import flask
    import flask_security as peer
    from flask_security.models import fsqla_v3
    from flask_sqlalchemy import SQLAlchemy

    app = flask.Flask("peer")
    app.config.update(
        SECRET_KEY=SECRET,
        SECURITY_PASSWORD_SALT=SECRET,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder / 'security.db'}",
        WTF_CSRF_ENABLED=False,
        SECURITY_LOGOUT_METHODS=["POST"],
    )
    db = SQLAlchemy(app)
    fsqla_v3.FsModels.set_db_info(db)

    class Role(db.Model, fsqla_v3.FsRoleMixin):  # type: ignore[misc,name-defined]
        pass

    class User(db.Model, fsqla_v3.FsUserMixin):  # type: ignore[misc,name-defined]
        pass

    store = peer.SQLAlchemyUserDatastore(db, User, Role)
    peer.Security(app, store)
    with app.app_context():
        db.create_all()
        store.create_user(email=EMAIL, password=peer.hash_password(PASSWORD))
        db.session.commit()

    @app.get("/page")
    def page() -> str:
        return str(peer.current_user.email) if peer.current_user.is_authenticated else "-"

    return Site(app)


def django(folder: Path) -> Site:
    """Django's auth and sessions in its database, without the check of form tokens."""
    from django import setup
    from django.conf import settings

    settings.configure(
        SECRET_KEY=SECRET,
        ALLOWED_HOSTS=["localhost"],
        ROOT_URLCONF="benchmarks.peers.django_urls",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "django.db"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        LOGGING_CONFIG=None,
    )
    setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", verbosity=0)
    User.objects.create_user(EMAIL, EMAIL, PASSWORD)
    return Site(get_wsgi_application())


def pyramid(folder: Path) -> Site:
    """Pyramid with a security policy on its signed ticket, as its tutorial has it."""
    from pyramid.authentication import AuthTktCookieHelper
    from pyramid.config import Configurator
    from pyramid.response import Response
    from pyramid.security import forget, remember

    people = People(folder)

    class Policy:
        def __init__(self) -> None:
            self.helper = AuthTktCookieHelper(SECRET, hashalg="sha512")

        def identity(self, request: Any) -> str | None:
            ticket = self.helper.identify(request)
            return people.get(ticket["userid"]) if ticket else None

        def authenticated_userid(self, request: Any) -> Any:
            return request.identity

        def remember(self, request: Any, user_id: str, **more: Any) -> Any:
            return self.helper.remember(request, user_id, **more)

        def forget(self, request: Any, **more: Any) -> Any:
            return self.helper.forget(request, **more)

        def permits(self, *_: Any) -> bool:
            return True

    def page(request: Any) -> Any:
        return Response(request.identity or "-")

    def login(request: Any) -> Any:
        user_id = people.checked(request.POST["email"], request.POST["password"])
        return Response(b"in", headerlist=remember(request, user_id)) if user_id else Response("wrong")

    def logout(request: Any) -> Any:
        return Response(b"out", headerlist=forget(request))

    with Configurator() as config:
        config.set_security_policy(Policy())
        for view in (page, login, logout):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__)
        return Site(config.make_wsgi_app())


def _by_hand(people: People, remember: Callable[..., Any], forget: Callable[..., Any], who: Callable[..., Any]) -> Any:
    """A WSGI function with the three paths, for the peers that keep a session and know no accounts."""
    from werkzeug.wrappers import Request, Response

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        response = Response(content_type="text/plain")
        if request.path == "/login":
            user_id = people.checked(request.form["email"], request.form["password"])
            response.set_data("in" if user_id else "wrong")
            for name, value in remember(environ, user_id) or () if user_id else ():
                response.headers.add(name, value)
        elif request.path == "/logout":
            for name, value in forget(environ) or ():
                response.headers.add(name, value)
        else:
            user_id = who(environ)
            response.set_data((people.get(user_id) if user_id else None) or "-")
        return response(environ, start_response)

    return app


def beaker(folder: Path) -> Site:
    """Beaker's session middleware with files."""
    from beaker.middleware import SessionMiddleware

    def remember(environ: dict[str, Any], user_id: str) -> None:
        environ["beaker.session"]["user"] = user_id
        environ["beaker.session"].save()

    def forget(environ: dict[str, Any]) -> None:
        environ["beaker.session"].delete()

    app = _by_hand(People(folder), remember, forget, lambda environ: environ["beaker.session"].get("user"))
    settings = {"session.type": "file", "session.data_dir": str(folder / "beaker"), "session.secret": SECRET}
    settings |= {"session.data_serializer": "json", "session.auto": False}
    return Site(SessionMiddleware(app, settings))


def repoze_who(folder: Path) -> Site:
    """repoze.who with its signed ticket."""
    from repoze.who.api import APIFactory
    from repoze.who.plugins.auth_tkt import AuthTktCookiePlugin

    ticket = AuthTktCookiePlugin(SECRET, digest_algo="sha512")
    factory = APIFactory(
        identifiers=[("ticket", ticket)],
        authenticators=[("ticket", ticket)],
        challengers=[],
        mdproviders=[],
        request_classifier=lambda _: "browser",
        challenge_decider=lambda *_: False,
    )

    def who(environ: dict[str, Any]) -> Any:
        identity = factory(environ).authenticate()
        return identity and identity["repoze.who.userid"]

    def remember(environ: dict[str, Any], user_id: str) -> Any:
        return factory(environ).remember({"repoze.who.userid": user_id, "identifier": ticket})

    return Site(
        _by_hand(People(folder), remember, lambda environ: factory(environ).forget({"identifier": ticket}), who)
    )


def limit(folder: Path) -> Site:
    """A signed cookie, a table of sessions and nothing else: the least that can end a session."""
    from benchmarks.limits import NAME, HmacAndSQLite

    people = People(folder)

    def remember(_environ: dict[str, Any], user_id: str) -> Any:
        known.db.execute("DELETE FROM user")
        return [("Set-Cookie", NAME + known.enter(secrets.token_urlsafe(32), user_id))]

    def forget(_environ: dict[str, Any]) -> Any:
        known.db.execute("DELETE FROM session")
        return [("Set-Cookie", f"{NAME}; Max-Age=0")]

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/page":
            return others(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [(environ["user"][1] if "user" in environ else "-").encode()]

    others = _by_hand(people, remember, forget, lambda environ: environ.get("REMOTE_USER"))
    known = HmacAndSQLite(app, folder / "limit.db")
    return Site(known)


SITES: dict[str, Callable[[Path], Site]] = {
    "nipo_auth_mw": nipo_auth_mw,
    "Flask-Login": flask_login,
    "Flask-Security-Too": flask_security,
    "Django auth": django,
    "Pyramid": pyramid,
    "Beaker": beaker,
    "repoze.who": repoze_who,
    "limit: HMAC + SQLite": limit,
}
