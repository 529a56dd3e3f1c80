"""The host app behind the middleware: its refusals that are exceptions, its layers, its pages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from inspect import iscoroutinefunction
from types import GeneratorType
from typing import Any

from werkzeug.exceptions import HTTPException

from nipo_auth_mw._web.host_api import HOOKS
from nipo_auth_mw._web.intercept_401 import StartResponse, WSGIApp

Environ = dict[str, Any]
Refusals = Callable[[Environ, HTTPException], WSGIApp]

_MAX_LAYERS = 20
_log = logging.getLogger("nipo_auth_mw")


def answering(app: WSGIApp, refused: Refusals) -> WSGIApp:
    """The app, with an answer for each of werkzeug's exceptions that it lets through.

    Flask answers them itself. Bare apps and other frameworks let them pass, and the server would answer 500. An
    exception after the first step of the answer goes on to the server: part of the answer is sent.
    """

    def answered(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            body = app(environ, start_response)
        except HTTPException as refusal:
            return refused(environ, refusal)(environ, _replacing(start_response))
        # A generator has not run yet.
        return _answered(body, environ, start_response, refused) if isinstance(body, GeneratorType) else body

    return answered


def _answered(
    body: Generator[bytes], environ: Environ, start_response: StartResponse, refused: Refusals
) -> Iterator[bytes]:
    """The steps of a generator, or the answer to the exception that its first step raised."""
    try:
        try:
            first = next(body, None)
        except HTTPException as refusal:
            yield from refused(environ, refusal)(environ, _replacing(start_response))
            return
        if first is not None:
            yield first
            yield from body
    finally:
        body.close()


def _replacing(start_response: StartResponse) -> StartResponse:
    """`start_response` for an answer that may replace one that the app has begun (PEP 3333)."""
    problem = sys.exc_info()
    return lambda status, headers, _=None: start_response(status, headers, problem)


def layers(app: object) -> Iterator[object]:
    """The app and what it wraps, from the outside, by the names under which apps keep what they wrap."""
    layer: object | None = app
    for _ in range(_MAX_LAYERS):
        if layer is None:
            return
        yield layer
        inner = (getattr(layer, name, None) for name in ("wsgi_app", "application", "app", "__self__"))
        layer = next((one for one in inner if callable(one) and one is not layer), None)


def is_asgi(app: Callable[..., object]) -> bool:
    """Whether the app is one of ASGI, such as Starlette, FastAPI and Django's `get_asgi_application()`."""
    return iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__)


def root_path(app: object) -> str:
    """The mount that an ASGI app was told, such as `FastAPI(root_path="/api")`; "" for none.

    The app cuts it off a path that begins with it, so `/api/admin` is the page `/admin` by another name.
    """
    found = (getattr(layer, "root_path", "") for layer in layers(app) if callable(layer) and is_asgi(layer))
    return next((str(root).rstrip("/") for root in found if root), "")


def page_below(app: object, prefix: str) -> str | None:
    """A page of the app that no request reaches, since it lies below `prefix`.

    None if there is none, and for an app whose pages cannot be listed as those of a Flask app can.
    """
    url_map = getattr(getattr(app, "__self__", app), "url_map", None)
    rules = getattr(url_map, "iter_rules", None)
    found = (str(rule) for rule in rules()) if rules is not None else ()
    return next((rule for rule in found if rule == prefix or rule.startswith(prefix + "/")), None)


def warn_at_first(app: object, prefix: str, environ: Environ, *, in_memory: bool) -> None:
    """Log, at the first request, what construction cannot see.

    A Flask app may get its pages after it was wrapped, an app of no known kind may hold a second middleware, and the
    server says only now that it has several processes.
    """
    if covered := page_below(app, prefix):
        _log.warning("the app's page %s lies below prefix=%r, so no request reaches it", covered, prefix)
    if HOOKS in environ:
        _log.warning("the app is behind two AuthMiddlewares, and sees the users of the inner one alone")
    if in_memory and environ.get("wsgi.multiprocess"):
        _log.warning("MemoryStore is of one process, so users are signed in now and then: use SQLStore")
