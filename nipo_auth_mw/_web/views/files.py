"""The static files of the pages."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.request import Request


def show(web: WebContext, request: Request) -> Response:
    """Send a static file. Its name is looked up in a fixed table, so no path can leave it (path traversal)."""
    found = web.pages.assets.find(request.arguments["name"])
    if found is None:
        return web.answers.refuse(request, Refused("not_found"))
    return web.answers.file(found.body, found.content_type)
