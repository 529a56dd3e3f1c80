"""Sign-out: the question, and the end of this device's session."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.logout import sign_out
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.request import Request


def show(web: WebContext, request: Request) -> Response:
    """Ask first: a link to `logout` must not sign a user out."""
    wanted = web.redirect_target(request, request.wanted, default="")
    return web.answers.page(request, "logout.html", next=wanted)


def submit(web: WebContext, request: Request) -> Response:
    """Sign out. In an outage the answer is 503, since the session has not ended."""
    to = web.redirect_target(request, request.text("next"), default=web.path(request, "login"))
    if request.session is not None:
        sign_out(web.services, request.session, client=request.client)
    return web.answers.done(request, to, [web.session_cookie.delete()])
