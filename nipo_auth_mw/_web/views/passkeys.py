"""The page that adds a passkey to the user's account."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys import add_passkey, begin_passkey
from nipo_auth_mw._web import challenges
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes("next", gives={"options": dict[str, Any]})
def show(web: WebContext, request: Request) -> Response:
    """Show the button that makes a passkey. Nothing is stored yet."""
    options = begin_passkey(web.services, request.signed_in)
    if isinstance(options, Refused):
        return web.answers.refuse(request, options)
    if request.wants_json:
        return web.answers.data({"options": options})
    return web.answers.page(request, "passkeys.html", **_page(web, request, options, request.wanted))


@takes("credential", "name", "next", gives={"next": str, "factor": str, "name": str})
def submit(web: WebContext, request: Request) -> Response:
    """Store the passkey that the browser has made."""
    wanted = request.text("next")
    outcome = add_passkey(
        web.services,
        request.signed_in,
        request.text("credential"),
        request.text("name"),
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    if isinstance(outcome, Refused):
        options = begin_passkey(web.services, request.signed_in)
        if isinstance(options, Refused):
            return web.answers.refuse(request, options)
        return web.answers.refuse(request, outcome, "passkeys.html", **_page(web, request, options, wanted))
    renewed = outcome.renewed
    cookies = web.session_cookies(renewed.session, renewed.device, persistent=renewed.persistent) if renewed else []
    to = challenges.page(web, request, "account/security", wanted)
    return web.answers.done(request, to, cookies, flash="passkey_added", factor=outcome.key, name=outcome.name)


def _page(web: WebContext, request: Request, options: dict[str, Any], wanted: str) -> dict[str, Any]:
    """The facts of the page."""
    return {"passkey": options, "next": web.redirect_target(request, wanted, default=""), "problem": None}
