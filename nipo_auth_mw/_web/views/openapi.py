"""The description of the routes for programs, as OpenAPI 3.1."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes(gives={})
def show(web: WebContext, _request: Request) -> Response:
    """Describe every route, its fields and its answers in JSON."""
    return web.answers.data(web.describe(web))
