"""The page for re-authentication before a sensitive action."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.reauthenticate import reauthenticate
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes("next")
def show(web: WebContext, request: Request) -> Response:
    """Show the form."""
    wanted = web.redirect_target(request, request.wanted, default="")
    return web.answers.page(request, "reauthenticate.html", next=wanted, problem=None)


@takes("password", "next", gives={"next": str, "fresh": bool})
def submit(web: WebContext, request: Request) -> Response:
    """Make the session fresh, and redirect to the page that asked for it."""
    wanted = request.text("next")
    refused = reauthenticate(
        web.services,
        request.signed_in,
        request.text("password"),
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    if refused is not None:
        request.wanted = target = web.redirect_target(request, wanted, default="")
        return web.answers.refuse(request, refused, "reauthenticate.html", next=target)
    to = web.redirect_target(request, wanted, default=web.path(request, "account"))
    return web.answers.done(request, to, fresh=True)
