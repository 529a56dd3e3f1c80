"""The flash message for a page of the host app's: shown to the app, and taken from the browser with the answer."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.guard import Guard
from nipo_auth_mw._web.host_api import FLASH
from nipo_auth_mw._web.intercept_401 import StartResponse, Write
from nipo_auth_mw._web.private_answers import privately
from nipo_auth_mw._web.request import root_of

Environ = dict[str, Any]


def hand_over(web: WebContext, environ: Environ, start_response: StartResponse, guard: Guard) -> StartResponse:
    """The `start_response` that the app gets, after its message, if there is one, was put into the environ. The Cookie
    header holds the name of the cookie of messages.

    With a message the answer becomes private, since it may show it, and the browser drops the cookie whether the app
    shows it or not.
    """
    flashes, header = web.answers.flashes, environ["HTTP_COOKIE"]
    path = str(environ.get("PATH_INFO", ""))
    shown = root_of(environ, web.config) + path.encode("latin-1", "replace").decode("utf-8", "replace")
    word = flashes.read(header, environ.get("REQUEST_METHOD", ""), shown)
    if not word:
        return start_response
    environ[FLASH] = word

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        rest = (exc_info,) if exc_info else ()
        added = [*privately(status, headers, guard, path), ("Set-Cookie", flashes.drop())]
        return start_response(status, added, *rest)

    return start
