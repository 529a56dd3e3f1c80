"""Sign-in by a passkey, from the sign-in page."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import login_options
from nipo_auth_mw._flows.passkeys_login import sign_in_with_passkey
from nipo_auth_mw._web import challenges
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request, is_navigation
from nipo_auth_mw._web.serializers import UserData
from nipo_auth_mw._web.views.login import form_of, opened


@takes("next", gives={"options": dict[str, Any]})
def show(web: WebContext, request: Request) -> Response:
    """Give a script the options of a passkey, always as JSON. A browser that opens the path goes on to sign-in."""
    if is_navigation(request.environ):
        return web.answers.redirect(challenges.page(web, request, "login", request.wanted))
    return web.answers.data({"options": login_options(web.services)})


@takes("credential", "remember", "next", gives={"next": str, "user": UserData})
def submit(web: WebContext, request: Request) -> Response:
    """Verify the passkey and open the session."""
    wanted, remember = request.text("next"), request.flag("remember")
    outcome = sign_in_with_passkey(
        web.services,
        request.text("credential"),
        remember=remember,
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
        over=request.session,
    )
    if not isinstance(outcome, Refused):
        return opened(web, request, outcome, wanted)
    # The page that is shown is that of sign-in, where the language switch returns to.
    request.route, request.wanted = "login", web.redirect_target(request, wanted, default="")
    form = form_of(web, request, "", wanted, remember)
    return web.answers.refuse(request, outcome, "login.html", **form | {"unknown": outcome.values.get("unknown", "")})
