"""The identity that the host app sees, and the functions that read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Response

from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw.models import Session, User

USER = "nipo_auth_mw.user"
SESSION = "nipo_auth_mw.session"
HOOKS = "nipo_auth_mw.site"
AUTH_TYPE = "nipo_auth_mw"

Environ = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HostHooks:
    """The middleware's side of the host API.

    `path_of` gives the path of the middleware's own pages. `text` gives a text in the user's language. `ask_again`
    gives the answer that asks for re-authentication, None for a fresh session.
    """

    path_of: Callable[[Environ], str]
    text: Callable[[Environ, str], str]
    ask_again: Callable[[Environ, Session], Response | None]


def scrub(environ: Environ, hooks: HostHooks) -> None:
    """Remove any identity that a server or another middleware put into the environ: an attacker may have forged it."""
    environ.pop("REMOTE_USER", None)
    environ.pop("AUTH_TYPE", None)
    environ[USER] = environ[SESSION] = None
    environ[HOOKS] = hooks


def put(environ: Environ, session: ActiveSession) -> None:
    """Show the session and its user to the host app, in the environ and as REMOTE_USER (RFC 3875)."""
    # The ORM of a host app may give a subclass of str, or an id outside latin-1. PEP 3333 allows neither.
    user_id = str(session.user.id)
    environ["REMOTE_USER"] = user_id if user_id.isascii() else user_id.encode().decode("latin-1")
    environ["AUTH_TYPE"] = AUTH_TYPE
    environ[USER] = session.user
    environ[SESSION] = session.public


def current_user(environ: Environ) -> User | None:
    """The user who is signed in, or None for a visitor. Costs no look-up."""
    user = environ.get(USER)
    return user if isinstance(user, User) else None


def current_session(environ: Environ) -> Session | None:
    """The session of this request, or None for a visitor. Costs no look-up."""
    session = environ.get(SESSION)
    return session if isinstance(session, Session) else None


def require_user(environ: Environ) -> User:
    """The user who is signed in. Raises werkzeug's `Unauthorized`, which becomes the sign-in page for a visitor."""
    user = current_user(environ)
    if user is None:
        raise Unauthorized
    return user


def require_role(environ: Environ, role: str) -> User:
    """The user, if the account has this role. Raises werkzeug's `Unauthorized` or `Forbidden` (ASVS 5 8.2.1)."""
    user = require_user(environ)
    if user.role != role:
        raise Forbidden
    return user


def require_fresh(environ: Environ) -> User:
    """The user, if the password was confirmed within `session.reauth_within`; for sensitive actions.

    Raises werkzeug's `Unauthorized` for a visitor. Raises `Forbidden` with the answer if the session is not fresh: a
    navigation is redirected to re-authentication and comes back, a form that was sent stays in the browser, and a
    program gets `fresh_sign_in_required`. A framework that does not know werkzeug's exceptions can call the exception
    as a WSGI app. This stops an attacker with a stolen session cookie (ASVS 5 7.5.3).
    """
    user = require_user(environ)
    session = current_session(environ)
    answer = _hooks(environ).ask_again(environ, session) if session else None
    if answer is not None:
        raise Forbidden(response=answer)
    return user


def auth_url(environ: Environ, route: str, *, next: str | None = None) -> str:
    """The path of one of the middleware's own pages, such as `logout`, as users see it.

    `next` is the path to return to. Raises LookupError outside the middleware.
    """
    path = f"{_hooks(environ).path_of(environ)}/{route}"
    return f"{path}?{urlencode({'next': next})}" if next else path


def sign_out_form(environ: Environ) -> Markup:
    """A sign-out button for any template; "" for a visitor.

    It needs no script and no form token. Raises LookupError outside the middleware.
    """
    if current_user(environ) is None:
        return Markup("")
    form = Markup('<form method="post" action="{}" id="sign-out"><button type="submit">{}</button></form>')
    return form.format(auth_url(environ, "logout"), _hooks(environ).text(environ, "logout.button"))


def _hooks(environ: Environ) -> HostHooks:
    """The hooks that the middleware put into the environ. Raises LookupError outside the middleware."""
    hooks = environ.get(HOOKS)
    if not isinstance(hooks, HostHooks):
        raise LookupError("this request did not come through AuthMiddleware")
    return hooks
