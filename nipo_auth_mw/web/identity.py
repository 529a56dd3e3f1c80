"""What the wrapped app sees of the person, and the small functions that read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Response

from nipo_auth_mw.models import Session, User
from nipo_auth_mw.parts.sessions import Live

USER = "nipo_auth_mw.user"
SESSION = "nipo_auth_mw.session"
SITE = "nipo_auth_mw.site"
AUTH_TYPE = "nipo_auth_mw"

Environ = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """What a host needs to know of us: the path of our pages, a text in the person's language, and the answer to
    whoever has to give their password again, None for a fresh session."""

    path_of: Callable[[Environ], str]
    text: Callable[[Environ, str], str]
    ask_again: Callable[[Environ, Session], Response | None]


def scrub(environ: Environ, site: Site) -> None:
    """Take away what a server or another middleware may have put where the app looks for an identity."""
    environ.pop("REMOTE_USER", None)
    environ.pop("AUTH_TYPE", None)
    environ[USER] = environ[SESSION] = None
    environ[SITE] = site


def put(environ: Environ, live: Live) -> None:
    # A host's ORM may give an id that is a subclass of str, or not latin-1; PEP 3333 wants the very type, and bytes.
    user_id = str(live.user.id)
    environ["REMOTE_USER"] = user_id if user_id.isascii() else user_id.encode().decode("latin-1")
    environ["AUTH_TYPE"] = AUTH_TYPE
    environ[USER] = live.user
    environ[SESSION] = live.session


def current_user(environ: Environ) -> User | None:
    """The signed-in person, or None for a visitor."""
    user = environ.get(USER)
    return user if isinstance(user, User) else None


def current_session(environ: Environ) -> Session | None:
    """This device's session, or None for a visitor."""
    session = environ.get(SESSION)
    return session if isinstance(session, Session) else None


def require_user(environ: Environ) -> User:
    """The signed-in person. Raises werkzeug's `Unauthorized`, which becomes the sign-in page for a visitor."""
    user = current_user(environ)
    if user is None:
        raise Unauthorized
    return user


def require_role(environ: Environ, role: str) -> User:
    """The signed-in person, who must have this role. Raises werkzeug's `Unauthorized` or `Forbidden`."""
    user = require_user(environ)
    if user.role != role:
        raise Forbidden
    return user


def require_fresh(environ: Environ) -> User:
    """The signed-in person, whose password was given within `session.reauth_within`: for what is delicate.

    Raises werkzeug's `Unauthorized` for a visitor, and a `Forbidden` that carries the answer: a navigation is asked for
    the password and comes back, a form that was sent stays in the browser, a program gets `fresh_sign_in_required`.
    Frameworks that do not know werkzeug's exceptions may call it as a WSGI app. ASVS 5 7.5.3.
    """
    user = require_user(environ)
    session = current_session(environ)
    answer = _site(environ).ask_again(environ, session) if session else None
    if answer is not None:
        raise Forbidden(response=answer)
    return user


def auth_url(environ: Environ, route: str, *, next: str | None = None) -> str:
    """The path of one of our pages, such as `logout`, as people see it. Raises LookupError outside the middleware."""
    path = f"{_site(environ).path_of(environ)}/{route}"
    return f"{path}?{urlencode({'next': next})}" if next else path


def sign_out_form(environ: Environ) -> Markup:
    """A sign-out button for any template; "" for a visitor. It needs no script and no form token."""
    if current_user(environ) is None:
        return Markup("")
    form = Markup('<form method="post" action="{}" id="sign-out"><button type="submit">{}</button></form>')
    return form.format(auth_url(environ, "logout"), _site(environ).text(environ, "logout.button"))


def _site(environ: Environ) -> Site:
    site = environ.get(SITE)
    if not isinstance(site, Site):
        raise LookupError("this request did not come through AuthMiddleware")
    return site
