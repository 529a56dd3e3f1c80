"""The parts of a request that the middleware reads. The sender controls all of them, so each reader is strict."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._web.body import BadRequest, Body, Query, body_of, is_json
from nipo_auth_mw._web.client_address import client_address, is_private
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import Client

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NO = frozenset({"", "0", "no", "off", "false"})
_LONGEST_ACCEPT = 1024
_XHTML = "application/xhtml+xml"
_HTML = frozenset({"text/html", _XHTML})

Environ = dict[str, Any]
MOUNT = "nipo_auth_mw.mount"
"""The key of SCRIPT_NAME as the server gave it. An app that mounts others, such as werkzeug's `DispatcherMiddleware`,
adds their mounts to SCRIPT_NAME, in the environ that the middleware has, too."""


class Request:
    """One request below the prefix. `arguments` are the values of a route's `<...>` segments.

    `session` is the active session of the sender, None for a visitor.
    """

    def __init__(self, environ: Environ, config: AuthConfig) -> None:
        self.environ = environ
        self.method: str = environ.get("REQUEST_METHOD", "GET")
        self.route = environ.get("PATH_INFO", "")[len(config.prefix) + 1 :]
        self.root = root_of(environ, config)
        self.cookies: str = environ.get("HTTP_COOKIE", "")
        self.session: ActiveSession | None = None
        self.language = config.default_language
        self.arguments: dict[str, str] = {}
        # What `OneTimeForms` knows the form by that is sent, and its one-time id; empty for a form without one.
        self.one_time_form: tuple[str, ...] = ()
        # The name of a flash message for the page that answers this request.
        self.note = ""
        # Not a cached_property: before Python 3.12 all requests share its lock, so one request with a slow body would
        # hold up every other request.
        self._query: Query | None = None
        self._wanted: str | None = None
        self._body: Body | BadRequest | None = None

    @property
    def client(self) -> Client:
        """The peer that the server names, behind `trusted_proxies`. No other header is trusted."""
        user_agent = str(self.environ.get("HTTP_USER_AGENT") or "")[:1000]
        return Client(client_address(self.environ)[:64], user_agent, self.language, self.is_front_end)

    @property
    def is_front_end(self) -> bool:
        """Whether the sender may be a program that signs in for others: it sends JSON from a private network."""
        by_program = self.sends_json and "HTTP_SEC_FETCH_SITE" not in self.environ
        return by_program and is_private(client_address(self.environ))

    @property
    def signed_in(self) -> ActiveSession:
        """The active session, on a route that needs one. Raises LookupError for a visitor."""
        if self.session is None:
            raise LookupError("this route does not ask for a session")
        return self.session

    @property
    def query(self) -> Query:
        """The fields of the query."""
        if self._query is None:
            self._query = Query(self.environ.get("QUERY_STRING", ""))
        return self._query

    @property
    def wanted(self) -> str:
        """`next`: the path that the sender wants to reach, not checked yet. "" if there is none, or more than one."""
        if self._wanted is None:
            try:
                return self.query.get("next")
            except BadRequest:
                return ""
        return self._wanted

    @wanted.setter
    def wanted(self, path: str) -> None:
        """Replace the `next` of the query, for a page that is shown in place of another."""
        self._wanted = path

    @property
    def keeps_wanted(self) -> bool:
        """Whether GET of this request's route, with `next`, shows the same page."""
        return self.method in {"GET", "HEAD"} or self._wanted is not None

    @property
    def fields(self) -> dict[str, str | bool]:
        """The fields of the body, read once. Raises `BadRequest`."""
        return self.require_body().fields

    def receive(self, *, upload: bool = False) -> Body | BadRequest:
        """Read the body, or return why it cannot be read. With `upload` it may be a form with files.

        A sender can hold the body back for hours, so the session and its rights are looked up afterwards.
        """
        if self._body is None:
            try:
                self._body = body_of(self.environ, upload=upload)
            except BadRequest as bad:
                self._body = bad
        return self._body

    def require_body(self) -> Body:
        """The body. Raises `BadRequest` if it cannot be read."""
        found = self.receive()
        if isinstance(found, BadRequest):
            raise found
        return found

    def file(self, name: str) -> bytes:
        """The content of a file, b"" if none is sent. Raises `BadRequest`."""
        return self.require_body().files.get(name, b"")

    def text(self, name: str) -> str:
        """The text of a field; "" if it is absent or a boolean. Raises `BadRequest`."""
        value = self.fields.get(name, "")
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """A check box. If it is absent, a form means no, and JSON the default, yes."""
        value = self.fields.get(name, self.sends_json)
        return value if isinstance(value, bool) else value.lower() not in _NO

    def given_flag(self, name: str) -> bool:
        """A switch. If it is absent, both a form and JSON mean no."""
        return name in self.fields and self.flag(name)

    @property
    def sends_json(self) -> bool:
        """Whether the body is JSON."""
        return is_json(self.environ)

    @property
    def wants_json(self) -> bool:
        """Whether the answer should be JSON: for a JSON body, and for an Accept that prefers JSON to HTML.

        `*/*` prefers neither.
        """
        if self.sends_json:
            return True
        if "json" not in str(self.environ.get("HTTP_ACCEPT") or "").lower():
            return False
        wanted = _accepted(self.environ)
        as_json = max((q for kind, q in wanted if _is_json(kind)), default=0.0)
        as_html = max((q for kind, q in wanted if kind in _HTML), default=0.0)
        return as_json > as_html


def root_of(environ: Environ, config: AuthConfig) -> str:
    """The path that the app is mounted at, as users see it: the path of `base_url`, else SCRIPT_NAME.

    A server that cuts SCRIPT_NAME out of the requested path may leave it two slashes, and a Location that starts with
    two slashes names another host.
    """
    mount = str(environ.get(MOUNT, environ.get("SCRIPT_NAME", ""))).strip("/")
    return config.mount or (_quoted(f"/{mount}") if mount else "")


def path_info(environ: Environ) -> str:
    """PATH_INFO as the server gave it, also where the host app has moved a part of it to SCRIPT_NAME."""
    script: str = environ.get("SCRIPT_NAME", "")
    path: str = environ.get("PATH_INFO", "")
    return script.removeprefix(environ.get(MOUNT, script)) + path


def path_of(environ: Environ, config: AuthConfig) -> str:
    """The requested path and query as users see them, ready for `next`."""
    path = root_of(environ, config) + _quoted(path_info(environ))
    query = environ.get("QUERY_STRING", "")
    return f"{path}?{quoted_url(query)}" if query else path


def quoted_url(text: str) -> str:
    """A part of a URL as a client sent it. What no URL contains is percent-encoded, and what is encoded stays so."""
    return quote(text, safe="%/?:@!$&'()*+,;=-._~[]", encoding="latin-1", errors="replace")


def _quoted(path: str) -> str:
    """The path, percent-encoded. WSGI holds its bytes as latin-1 characters (PEP 3333)."""
    return quote(path, safe="/:@!$&'()*+,=~-._", encoding="latin-1", errors="replace")


def is_navigation(environ: Environ) -> bool:
    """Whether the answer becomes the page of a browser's tab, by Fetch Metadata or else by Accept.

    A service worker turns the navigations of its pages into fetches, whose mode is `same-origin` or `cors` and whose
    Accept still asks for a page. A script that fetches a part of a page asks for text/html alone. A sender without
    Accept is a program (every browser sends it), unless it sends no User-Agent either: test clients send neither.
    """
    if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
        return False
    mode = environ.get("HTTP_SEC_FETCH_MODE")
    if mode == "navigate":
        return True
    if str(environ.get("HTTP_X_REQUESTED_WITH")).lower() == "xmlhttprequest":
        return False
    if mode == "cors":
        return _prefers_html(environ) and any(kind == _XHTML and q > 0 for kind, q in _accepted(environ))
    if mode is None and not environ.get("HTTP_ACCEPT"):
        return not environ.get("HTTP_USER_AGENT")
    return mode in {None, "same-origin"} and _prefers_html(environ)


def is_framed(environ: Environ) -> bool:
    """Whether another page shows the answer in a frame."""
    return environ.get("HTTP_SEC_FETCH_DEST") in {"iframe", "frame", "embed", "object"}


def is_preflight(environ: Environ) -> bool:
    """Whether a browser asks, before a script's request to another origin, what the app allows (Fetch, CORS-preflight).

    Browsers send no cookie with it, so the app answers it without a session.
    """
    asks = environ.get("HTTP_ORIGIN") and environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    return bool(asks) and environ.get("REQUEST_METHOD") == "OPTIONS"


def accepts_html(environ: Environ) -> bool:
    """Whether Accept names HTML."""
    return any(kind in _HTML and q > 0 for kind, q in _accepted(environ))


def _prefers_html(environ: Environ) -> bool:
    """Whether Accept names HTML, and neither JSON nor `*/*` above it: pip's `text/html; q=0.01` asks for no page."""
    wanted = _accepted(environ)
    html = max((q for kind, q in wanted if kind in _HTML), default=0.0)
    return html > 0 and all(q <= html for kind, q in wanted if kind == "*/*" or _is_json(kind))


def _is_json(kind: str) -> bool:
    """Whether the media type is JSON."""
    return kind == "application/json" or kind.endswith("+json")


def _accepted(environ: Environ) -> list[tuple[str, float]]:
    """Accept as pairs of media type and quality (RFC 9110, section 12.5.1). Unreadable parts are left out."""
    found = []
    for part in str(environ.get("HTTP_ACCEPT") or "")[:_LONGEST_ACCEPT].split(","):
        kind, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        if re.fullmatch(r"[01](\.[0-9]{0,3})?", quality):
            found.append((kind, float(quality)))
    return found
