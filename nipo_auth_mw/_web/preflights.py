"""CORS preflights.

A browser sends no cookie with a preflight (Fetch, CORS-preflight), so the app answers it as a visitor's request, on
paths that require a session too. Any program can send one, and many apps answer every method with their page: a view
function of Django, a view of Pyramid, a bare WSGI app. So on such a path the app gets neither a body nor a query, which
may tell a page what to do or name another method. Nothing of its answer leaves except what a browser reads of a
preflight. If the app grants no origin anything, the answer is the challenge.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from nipo_auth_mw._web.cookies import Cookie, take_out
from nipo_auth_mw._web.host_api import PREFLIGHT
from nipo_auth_mw._web.intercept_401 import StartResponse, Write, WSGIApp, close

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

_OVERRIDES = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE")
_BODY = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"})
# Where servers keep the query besides QUERY_STRING: waitress, gunicorn and others the path with it, a2wsgi the request.
_QUERY = frozenset({"REQUEST_URI", "RAW_URI", "asgi.scope"})
_GRANT = "access-control-allow-origin"


def make_visitors(environ: Environ, *cookies: Cookie) -> None:
    """Make a preflight a visitor's request: without these cookies, and without a method override, by which an app could
    take it for a GET."""
    for key in _OVERRIDES:
        environ.pop(key, None)
    if "HTTP_COOKIE" in environ:
        take_out(environ, *cookies)


def call(app: WSGIApp, environ: Environ, start_response: StartResponse, instead: WSGIApp) -> Iterable[bytes]:
    """The status and the CORS headers of the app's answer; the answer of `instead` if they grant nothing."""
    started: list[tuple[str, Headers]] = []

    def start(status: str, headers: Headers, _: Any = None) -> Write:
        started.append((status, headers))
        return lambda _: None

    asked = {key: value for key, value in environ.items() if key not in _BODY | _QUERY}
    body = app(asked | {"QUERY_STRING": "", "wsgi.input": io.BytesIO(), PREFLIGHT: True}, start)
    try:
        if not started:
            # A lazy app, such as a generator, starts its answer with its first step.
            next(iter(body), None)
    finally:
        close(body)
    status, headers = started[-1] if started else ("", [])
    kept = [pair for pair in headers if _is_of_preflight(pair[0].lower())]
    if not any(name.lower() == _GRANT for name, _ in kept):
        return instead(environ, start_response)
    start_response(status, kept)
    return [b""]


def _is_of_preflight(name: str) -> bool:
    """Whether a browser, or a cache before it, reads this header of the answer to a preflight."""
    return name.startswith("access-control-") or name in {"vary", "allow"}
