"""nipo_auth_mw for Flask apps.

    app = Flask(__name__)
    auth = Auth(app)

    @app.get("/")
    def index():
        return f"Hello, {current_user.name}"

The settings are `NIPO_AUTH_…` in the environment or in `app.config`. `flask run --debug` needs none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from flask import Flask, current_app, has_app_context, has_request_context, request, session
from flask.cli import with_appcontext
from markupsafe import Markup
from werkzeug.wrappers import Response

from nipo_auth_mw import cli
from nipo_auth_mw._runtime.commands import flask_command
from nipo_auth_mw._validation import is_loopback, is_unspecified
from nipo_auth_mw._web import host_api
from nipo_auth_mw._web.host_session import OnSignOut
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.environment import prepared
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import User

__all__ = [
    "Auth",
    "CurrentUser",
    "account_menu",
    "auth_url",
    "current_user",
    "flash_message",
    "fresh_login_required",
    "login_required",
    "role_required",
    "second_step_required",
    "sign_out_form",
]

_EXTENSION = "nipo_auth_mw"
_OWNER = "_nipo_auth_mw"
"""Under this key the app's session says whose it is."""

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Environ = dict[str, Any]


class CurrentUser:
    """Who is signed in, at each moment: `current_user.email` and `current_user.name` in a view or a template.

    Outside a request, and for a visitor, it is false, its texts are empty and `is_authenticated` is False.
    """

    @property
    def user(self) -> User | None:
        """The user as a value that outlives the request; None for a visitor."""
        return host_api.current_user(_environ())

    @property
    def is_authenticated(self) -> bool:
        """Whether someone is signed in."""
        return self.user is not None

    @property
    def is_anonymous(self) -> bool:
        """Whether no one is signed in."""
        return self.user is None

    @property
    def id(self) -> str:
        """The id of the account; "" for a visitor."""
        return self.user.id if self.user else ""

    @property
    def email(self) -> str:
        """The address of sign-in; "" for a visitor."""
        return self.user.email if self.user else ""

    @property
    def name(self) -> str:
        """The user's name; "" for a visitor."""
        return self.user.name if self.user else ""

    @property
    def role(self) -> str:
        """The user's role; "" for a visitor."""
        return self.user.role if self.user else ""

    @property
    def language(self) -> str | None:
        """The language that the user chose, or None."""
        return self.user.language if self.user else None

    def __bool__(self) -> bool:
        return self.is_authenticated

    def __str__(self) -> str:
        """The name, or else the address."""
        return self.name or self.email


current_user = CurrentUser()


class Auth:
    """Puts a Flask app behind the middleware: `Auth(app)`, or `auth = Auth()` and `auth.init_app(app)` in a factory.

    The settings are read by `from_environ` from the environment and, where that has none, from `app.config`. In debug
    mode what is missing is made up in the app's instance folder. Keyword arguments are those of `AuthMiddleware`:
    `Auth(app, **in_memory())` for tests, `users=` for an own user table. A user store is called in an app context, so
    it can be one of Flask-SQLAlchemy. Raises `ConfigError`.

    Templates get `current_user`, `account_menu`, `auth_url`, `flash_message` and `sign_out_form`, and `flask auth` has
    the commands of `nipo-auth`. The app's own session belongs to the user who filled it: it ends at sign-out, and is
    emptied for any other user, so that no one is shown what another user left there.
    """

    def __init__(self, app: Flask | None = None, **given: Any) -> None:
        self._given = given
        self._app = app
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, **given: Any) -> None:
        """Put this app behind the middleware. The arguments go before those of the constructor."""
        asked = {**self._given, **given}
        if "config" not in asked:
            settings = {**app.config, **{key: os.environ[key] for key in os.environ if key.startswith("NIPO_AUTH_")}}
            folder = Path(app.instance_path) / "nipo-auth" if app.debug else None
            init = "flask auth init" if asked.get("users") is None else ""
            words = {"switch": "start in debug mode: FLASK_DEBUG=1", "init": init, "base_url": _address()}
            asked = {**prepared(settings, development=folder, store=asked.get("store"), **words), **asked}
        if asked.get("users") is not None:
            asked["users"] = _InContext(app, asked["users"])
        asked["on_sign_out"] = _ending(app, asked.get("on_sign_out"))
        auth = AuthMiddleware(app.wsgi_app, **asked)
        app.wsgi_app = auth  # type: ignore[method-assign]
        app.extensions[_EXTENSION] = auth
        # First and last: no function of the app sees the session of another user.
        app.before_request_funcs.setdefault(None, []).insert(0, _empty_of_others)
        app.after_request_funcs.setdefault(None, []).insert(0, _mark)
        for helper in (account_menu, auth_url, flash_message, sign_out_form):
            app.add_template_global(helper)
        app.jinja_env.globals["current_user"] = current_user
        app.cli.add_command(cli.commands_of(_middleware, with_appcontext), "auth")

    @property
    def middleware(self) -> AuthMiddleware:
        """The middleware of the current app; outside a context, of the app that `Auth(app)` was given."""
        return _middleware(None if has_app_context() else self._app)

    @property
    def accounts(self) -> Accounts:
        """The accounts of that middleware."""
        return self.middleware.accounts

    @property
    def config(self) -> AuthConfig:
        """The settings of that middleware."""
        return self.middleware.config


def login_required(view: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """A view, below `public_paths`, that asks a visitor to sign in. Every other path asks by itself."""
    return _checked(view, host_api.require_user)


def role_required(*roles: str) -> Callable[[Callable[Given, Answer]], Callable[Given, Answer]]:
    """A view for users with one of these roles; 403 for others. Raises ValueError for a role that is not configured."""
    check = host_api.check_for_roles(*roles)
    return lambda view: _checked(view, check)


def fresh_login_required(view: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """A view for users who confirmed their password within `session.reauth_within`; others are asked for it first."""
    return _checked(view, host_api.require_fresh)


def second_step_required(view: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """A view for users who signed in with two steps; others are led to the page that sets them up."""
    return _checked(view, host_api.require_second)


def auth_url(route: str, *, next: str | None = None) -> str:
    """The path of one of the middleware's own pages, such as `account`; "" outside a request."""
    return host_api.auth_url(_environ(), route, next=next)


def account_menu() -> Markup:
    """A menu with the user's name, the account page and sign-out; "" for a visitor and outside a request. See
    `nipo_auth_mw.account_menu`."""
    return host_api.account_menu(_environ())


def flash_message() -> str:
    """What was just done, for one page; "" for nothing and outside a request. See `nipo_auth_mw.flash_message`."""
    return host_api.flash_message(_environ())


def sign_out_form(*, next: str = "", label: str = "", class_: str = "") -> Markup:
    """A sign-out button; "" for a visitor and outside a request. See `nipo_auth_mw.sign_out_form`."""
    return host_api.sign_out_form(_environ(), next=next, label=label, class_=class_)


def _checked(view: Callable[Given, Answer], check: Callable[[Environ], User]) -> Callable[Given, Answer]:
    """The view, after the check. Flask answers what the check raises."""

    @wraps(view)
    def checked(*args: Given.args, **named: Given.kwargs) -> Answer:
        check(_environ())
        answer: Answer = current_app.ensure_sync(view)(*args, **named)
        return answer

    return checked


def _environ() -> Environ:
    """The environ of the request; an empty one outside a request."""
    return request.environ if has_request_context() else {}


def _middleware(app: Flask | None = None) -> AuthMiddleware:
    """The middleware of this app, or else of the current one."""
    found = (app or current_app).extensions.get(_EXTENSION)
    if not isinstance(found, AuthMiddleware):
        raise LookupError("this app is not behind AuthMiddleware; call Auth(app)")
    return found


def _address() -> str:
    """Where a developer opens the app: the port and the scheme of `flask run`. A LAN address is used with TLS only."""
    name, options = flask_command() or ("", {})
    options = options if name == "run" else {}
    host, port = str(options.get("host") or ""), options.get("port") or 5000
    if not options.get("cert"):
        return f"http://localhost:{port}"
    shown = "localhost" if not host or is_loopback(host) or is_unspecified(host) else host
    return f"https://{shown}:{port}"


class _InContext:
    """A user store of the host app, each of whose methods runs in an app context of this app."""

    def __init__(self, app: Flask, store: Any) -> None:
        self._app = app
        self._store = store

    def __getattr__(self, name: str) -> Any:
        """The method, in the app context of the request if there is one, else in one of its own."""
        found = getattr(self._store, name)
        if not callable(found):
            return found

        @wraps(found)
        def called(*args: Any, **named: Any) -> Any:
            if has_app_context() and current_app._get_current_object() is self._app:  # type: ignore[attr-defined]
                return found(*args, **named)
            with self._app.app_context():
                return found(*args, **named)

        return called


def _ending(app: Flask, more: OnSignOut | None) -> OnSignOut:
    """What ends the app's own session at sign-out, on the server too if it is kept there."""

    def on_sign_out(environ: Environ, user: User | None) -> Iterable[str]:
        ended = list(more(environ, user) or ()) if more is not None else []
        with app.request_context(environ):
            if app.session_interface.is_null_session(session):
                return ended
            # A session without anything in it is deleted only if it was changed.
            session[_OWNER] = ""
            session.clear()
            answer = app.response_class()
            app.session_interface.save_session(app, session._get_current_object(), answer)  # type: ignore[attr-defined]
        return [*ended, *answer.headers.getlist("Set-Cookie")]

    return on_sign_out


def _empty_of_others() -> None:
    """Empty the app's session if another user filled it."""
    if current_app.session_interface.get_cookie_name(current_app) not in request.cookies:
        return
    owner = session.get(_OWNER, "")
    if owner and owner != current_user.id:
        session.clear()


def _mark(response: Response) -> Response:
    """Write into a session that the request changed whose it is."""
    if current_user and session.modified and session and session.get(_OWNER) != current_user.id:
        session[_OWNER] = current_user.id
    return response
