"""Sign-out: the question, and the end of this device's session."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.logout import sign_out
from nipo_auth_mw._web.answers import SIGNED_OUT, SIGNED_OUT_SHARED
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes("next")
def show(web: WebContext, request: Request) -> Response:
    """Ask first: a link to `logout` must not sign a user out."""
    wanted = web.redirect_target(request, request.wanted, default="")
    return web.answers.page(request, "logout.html", next=wanted)


@takes("next", gives={"next": str})
def submit(web: WebContext, request: Request) -> Response:
    """Sign out, of the host app's own session too. In an outage the answer is 503, since the session has not ended."""
    to = web.redirect_target(request, request.text("next"), default=web.path(request, "login"))
    if request.session is not None:
        sign_out(web.services, request.session, client=request.client)
    ended = web.host_session.end(request.environ, request.session.user if request.session else None)
    kept = request.session is None or request.session.stored.persistent
    flash = SIGNED_OUT if kept else SIGNED_OUT_SHARED
    cookies = [web.session_cookie.delete(), *web.forget_pending(request), *ended]
    return web.answers.done(request, to, cookies, flash=flash)


def forget(web: WebContext, request: Request) -> Response:
    """An empty image that makes the browser forget the pages it keeps for Back, and the copies in its cache.

    The page after sign-out loads it, since a browser keeps the page before only when the next one is there: the header
    on the answer to sign-out itself comes too early. It clears neither cookies nor storage, which are the host app's.
    Clearing a large cache takes Chrome a second, so no other site may cause it.
    """
    response = web.answers.blank_image()
    if request.environ.get("HTTP_SEC_FETCH_SITE") == "same-origin":
        response.headers["Clear-Site-Data"] = '"cache"'
    return response
