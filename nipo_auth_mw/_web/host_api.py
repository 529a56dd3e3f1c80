"""The identity that the host app sees, and the functions that read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from operator import attrgetter
from typing import Any, ParamSpec
from urllib.parse import quote, urlencode

from markupsafe import Markup
from werkzeug.exceptions import Forbidden, HTTPException, ServiceUnavailable, Unauthorized
from werkzeug.wrappers import Response

from nipo_auth_mw._flows.account import LastSignIn
from nipo_auth_mw._pages.brand import initial_of
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._validation import header_key
from nipo_auth_mw._web.server_headers import replace_copies
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import Session, User

USER = "nipo_auth_mw.user"
SESSION = "nipo_auth_mw.session"
HOOKS = "nipo_auth_mw.site"
FLASH = "nipo_auth_mw.flash"
AUTH_TYPE = "nipo_auth_mw"
PREFLIGHT = "nipo_auth_mw.preflight"
"""The key of a CORS preflight on a path that requires a session."""

Environ = dict[str, Any]
Given = ParamSpec("Given")
_IN_HEADER = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class UnknownRole(ValueError):
    """The host app asks for a role that is not configured."""


class RoleMissing(Forbidden):
    """The account has none of the roles, which the middleware's own page says better than werkzeug's."""


@dataclass(frozen=True, slots=True)
class HostHooks:
    """The middleware's side of the host API.

    `path_of` gives the path of the middleware's own pages. `last_sign_in` looks up the sign-in before a session's.
    `text` gives a text in the user's language. `ask_again` gives the answer that asks for re-authentication, None for a
    fresh session; `ask_second` the one that asks for a second step, None for a session with two. `is_active` looks the
    session up again. `roles` are the configured ones. `has_page` tells whether a route is one of the middleware's.
    `end` ends the session of a request, which is a visitor's from then on. `login_id` is what the user of an address
    types to sign in.
    """

    path_of: Callable[[Environ], str]
    last_sign_in: Callable[[Session], LastSignIn | None]
    text: Callable[[Environ, str], str]
    ask_again: Callable[[Environ, Session], Response | None]
    ask_second: Callable[[Environ, Session], Response | None]
    is_active: Callable[[Session], bool]
    roles: frozenset[str]
    has_page: Callable[[str], bool]
    end: Callable[[Environ, Session], None]
    login_id: Callable[[str], str]


class Identity:
    """The identity in the environ, under the keys that the settings `remote_user` and `identity_headers` name."""

    def __init__(self, config: AuthConfig) -> None:
        self._remote_user = _reader(config.remote_user)
        self._headers = tuple((header_key(name), _reader(what)) for name, what in config.identity_headers.items())

    def clear(self, environ: Environ) -> None:
        """Remove any identity that a client, a server or another middleware put there: an attacker may have forged it.

        A key stands for every spelling of a header, since servers write `X-User` and `X_User` as HTTP_X_USER.
        """
        environ.pop("REMOTE_USER", None)
        environ.pop("AUTH_TYPE", None)
        for key, _ in self._headers:
            environ.pop(key, None)
        if self._headers:
            replace_copies(environ, dict(self._headers))
        environ[USER] = environ[SESSION] = None

    def put(self, environ: Environ, session: ActiveSession) -> None:
        """Show the session and its user to the host app, in the environ and as REMOTE_USER (RFC 3875).

        A name that is empty is left out. Raises TypeError if a function of the settings returns no text.
        """
        user = session.user
        if name := self._remote_user(user):
            environ["REMOTE_USER"] = name if type(name) is str and name.isalnum() and name.isascii() else _native(name)
        environ["AUTH_TYPE"] = AUTH_TYPE
        for key, read in self._headers:
            if text := _native(read(user)):
                environ[key] = text
        environ[USER] = user
        environ[SESSION] = session.public


def _reader(what: str | Callable[[User], str]) -> Callable[[User], object]:
    """The function that gives this attribute of a user."""
    return attrgetter(what) if isinstance(what, str) else what


def _native(value: object) -> str:
    """The text as an exact str of latin-1 characters without controls; "" for None (PEP 3333).

    The ORM of a host app may give a subclass of str, or text outside latin-1. An app that passes the text on in a
    header would pass a line feed on, too.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("an identity is not text")
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(" ", text).encode("utf-8", "replace").decode("latin-1")


def header_values(config: AuthConfig, user: User) -> Iterator[tuple[str, str]]:
    """The headers of `identity_headers` for an answer to a proxy. An empty value is left out.

    Everything outside printable ASCII, and `%`, is percent-encoded as UTF-8 (RFC 3986): servers decode other bytes in
    different ways, a line feed would begin another header, and no two users get one value. Raises TypeError if a
    function of the settings returns no text.
    """
    for name, what in config.identity_headers.items():
        value = _reader(what)(user)
        if value is not None and not isinstance(value, str):
            raise TypeError("an identity is not text")
        if text := quote((value or "").strip(), safe=_IN_HEADER, errors="replace"):
            yield name, text


def current_user(environ: Environ) -> User | None:
    """The user who is signed in, or None for a visitor. Costs no look-up."""
    user = environ.get(USER)
    return user if isinstance(user, User) else None


def current_session(environ: Environ) -> Session | None:
    """The session of this request, or None for a visitor. Costs no look-up."""
    session = environ.get(SESSION)
    return session if isinstance(session, Session) else None


def still_signed_in(environ: Environ) -> bool:
    """Whether the session of this request is still active now; for connections that stay open.

    Websockets and event streams outlive sign-out, so the host app asks again before it sends something, or once a
    minute. One look-up in the store, from any thread, also after the request. It does not prolong the session. False
    for a visitor and outside the middleware. Raises `StoreUnavailable` during an outage.
    """
    hooks, session = _hooks(environ), current_session(environ)
    return hooks is not None and session is not None and hooks.is_active(session)


def end_session(environ: Environ) -> None:
    """Sign the user of this request out, for a host app with a sign-out of its own; nothing for a visitor.

    The session ends on the server, so its cookie is worth nothing from now on, and the rest of the request is a
    visitor's: `current_user` is None, and no key of the environ names the user. The host app's own session is the host
    app's to end. The host app has to refuse cross-site requests to such a page. Raises `StoreUnavailable`: then the
    session may not have ended.
    """
    hooks, session = _hooks(environ), current_session(environ)
    if hooks is None or session is None:
        return
    hooks.end(environ, session)


def _refuses_errors(check: Callable[Given, User]) -> Callable[Given, User]:
    """A check whose errors refuse with 503: an app that catches KeyError around a view must not go on with the view."""

    @wraps(check)
    def checked(*args: Given.args, **named: Given.kwargs) -> User:
        try:
            return check(*args, **named)
        except (HTTPException, UnknownRole):
            raise
        except Exception as problem:
            raise ServiceUnavailable from problem

    return checked


@_refuses_errors
def require_user(environ: Environ) -> User:
    """The user who is signed in. Raises werkzeug's `Unauthorized`, which becomes the sign-in page for a visitor."""
    user = current_user(environ)
    if user is None:
        raise Unauthorized
    return user


@_refuses_errors
def require_role(environ: Environ, role: str, *others: str) -> User:
    """The user, if the account has one of these roles (ASVS 5 8.2.1).

    Raises werkzeug's `Unauthorized` or `Forbidden`. Raises ValueError for a role that the setting `roles` does not
    list: a misspelt role would refuse every user, or let an administrator think that it refuses some.
    """
    roles, hooks = {role, *others}, environ.get(HOOKS)
    if isinstance(hooks, HostHooks) and not roles <= hooks.roles:
        raise UnknownRole(f"{sorted(roles - hooks.roles)} not in the setting `roles`")
    user = require_user(environ)
    if user.role not in roles:
        raise RoleMissing
    return user


def check_for_roles(*roles: str) -> Callable[[Environ], User]:
    """`require_role` for these roles, for a decorator. Raises TypeError for none, and for a function: the decorator was
    written without its parentheses."""
    if not roles or not all(isinstance(role, str) for role in roles):
        raise TypeError('a view needs the names of its roles, as in @role_required("admin")')
    return lambda environ: require_role(environ, *roles)


@_refuses_errors
def require_fresh(environ: Environ) -> User:
    """The user, if the password was confirmed within `session.reauth_within`; for sensitive actions.

    Raises werkzeug's `Unauthorized` for a visitor. Raises `Forbidden` with the answer if the session is not fresh: a
    navigation is redirected to re-authentication and comes back, a form that was sent stays in the browser, and a
    program gets `fresh_sign_in_required`. A framework that does not know werkzeug's exceptions lets them pass to the
    middleware, which answers them. This stops an attacker with a stolen session cookie (ASVS 5 7.5.3).
    """
    return _require(environ, lambda hooks, session: hooks.ask_again(environ, session))


@_refuses_errors
def require_second(environ: Environ) -> User:
    """The user, if the session has proved two steps: by a password and a code, or by a passkey (ASVS 5 6.3.3).

    Raises werkzeug's `Unauthorized` for a visitor. Raises `Forbidden` with the answer for a session with one step: a
    navigation is redirected to the page that sets two steps up, a form that was sent stays in the browser, and a
    program gets `second_step_required`.
    """
    return _require(environ, lambda hooks, session: hooks.ask_second(environ, session))


def _require(environ: Environ, ask: Callable[[HostHooks, Session], Response | None]) -> User:
    """The user, if `ask` has no answer that comes first. Raises `Unauthorized` and `Forbidden`."""
    user = require_user(environ)
    hooks, session = _hooks(environ), current_session(environ)
    if hooks is None or session is None:
        raise Unauthorized
    answer = ask(hooks, session)
    if answer is not None:
        raise Forbidden(response=answer)
    return user


def auth_url(environ: Environ, route: str, *, next: str | None = None) -> str:
    """The path of one of the middleware's own pages, such as `logout`, as users see it; "" outside the middleware.

    `next` is the path to return to. Raises ValueError if no page has this name.
    """
    hooks = _hooks(environ)
    if hooks is None:
        return ""
    if not hooks.has_page(route):
        raise ValueError(f"the middleware has no page {route!r}; docs/reference/routes.md lists them")
    path = f"{hooks.path_of(environ)}/{route}"
    return f"{path}?{urlencode({'next': next})}" if next else path


def sign_out_form(environ: Environ, *, next: str = "", label: str = "", class_: str = "") -> Markup:
    """A sign-out button for any template; "" for a visitor and outside the middleware.

    `next` is the path that sign-out leads to: the sign-in page by default. `label` is the button's text instead of the
    one in the user's language, and `class_` its class. It needs no script and no form token.
    """
    hooks = _hooks(environ)
    if hooks is None or current_user(environ) is None:
        return Markup("")
    target = Markup('<input type="hidden" name="next" value="{}">').format(next) if next else ""
    look = Markup(' class="{}"').format(class_) if class_ else ""
    form = Markup('<form method="post" action="{}" id="sign-out">{}<button type="submit"{}>{}</button></form>')
    return form.format(auth_url(environ, "logout"), target, look, label or hooks.text(environ, "logout.button"))


def account_menu(environ: Environ) -> Markup:
    """A menu for any template of the host app; "" for a visitor and outside the middleware.

    It shows whose account it is, and leads to the account page, the help and sign-out: on a shared device a user sees
    at once as whom they write. It is a `<details>` element, so it needs no script and no form token. Its classes are
    `nipo-menu`, `nipo-initial`, `nipo-name` and `nipo-panel`; the host app gives them a style.
    """
    hooks, user = _hooks(environ), current_user(environ)
    if hooks is None or user is None:
        return Markup("")
    login_id = hooks.login_id(user.email)
    name = user.name or login_id
    links = Markup("").join(
        Markup('<a href="{}">{}</a>').format(auth_url(environ, route), hooks.text(environ, f"nav.{route}"))
        for route in ("account", "help")
    )
    menu = Markup(
        '<details class="nipo-menu"><summary><span class="nipo-initial" aria-hidden="true">{}</span> '
        '<span class="nipo-name">{}</span></summary><div class="nipo-panel"><p>{}</p>{}{}</div></details>'
    )
    return menu.format(initial_of(name), name, login_id, links, sign_out_form(environ))


def flash_message(environ: Environ) -> str:
    """What was just done, in the user's language, such as "You are signed out."; "" for nothing.

    The middleware leaves one for the path that sign-in, sign-out, a change of the password or another change leads to:
    `next`, or home. It lasts a minute, for one GET of that path, and no other page shows it. Plain text, so a template
    has to escape it. "" outside the middleware.
    """
    hooks, word = _hooks(environ), environ.get(FLASH)
    return hooks.text(environ, f"flash.{word}") if hooks is not None and word else ""


def last_sign_in(environ: Environ) -> LastSignIn | None:
    """The user's sign-in before this session's, for a line such as "Last sign-in: yesterday, Chrome (Windows)".

    A user who reads of a sign-in that was not theirs notices a stolen password (ASVS 5 6.3.5). None for a visitor,
    outside the middleware, and if the audit log holds no earlier one. Costs one look-up in the audit log. Raises
    `StoreUnavailable` during an outage.
    """
    hooks, session = _hooks(environ), current_session(environ)
    return hooks.last_sign_in(session) if hooks is not None and session is not None else None


def _hooks(environ: Environ) -> HostHooks | None:
    """The hooks that the middleware put into the environ; None outside the middleware."""
    hooks = environ.get(HOOKS)
    return hooks if isinstance(hooks, HostHooks) else None
