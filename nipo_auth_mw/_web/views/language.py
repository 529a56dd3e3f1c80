"""The language switch."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes("lang", "next", gives={"next": str, "language": str})
def submit(web: WebContext, request: Request) -> Response:
    """Remember the language in a cookie, and return to the page that the switch is on."""
    language = request.text("lang")
    if language not in web.config.languages:
        return web.answers.refuse(request, Refused("unknown_language"))
    to = web.page_target(request, request.text("next"), web.path(request, "login"))
    return web.answers.done(request, to, [web.language_cookie.set(language)], language=language)
