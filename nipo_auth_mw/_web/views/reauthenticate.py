"""The page for re-authentication before a sensitive action."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import own_options
from nipo_auth_mw._flows.reauthenticate import reauthenticate, reauthenticate_with_passkey
from nipo_auth_mw._flows.second_check import kinds_of
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.serializers import PROOFS, proofs_data


@takes("next", gives=PROOFS)
def show(web: WebContext, request: Request) -> Response:
    """Show the form: the password, and a code where the account has two steps."""
    form = _form(web, request, request.wanted)
    if request.wants_json:
        return web.answers.data(proofs_data(form["kinds"], form["passkey"]))
    return web.answers.page(request, "reauthenticate.html", **form)


@takes("password", "code", "credential", "next", gives={"next": str, "fresh": bool})
def submit(web: WebContext, request: Request) -> Response:
    """Make the session fresh, and redirect to the page that asked for it."""
    wanted, refused = request.text("next"), _proved(web, request)
    if refused is not None:
        request.wanted = web.redirect_target(request, wanted, default="")
        return web.answers.refuse(request, refused, "reauthenticate.html", **_form(web, request, wanted))
    to = web.redirect_target(request, wanted, default=web.path(request, "account"))
    # Without a page to return to, it is a form in another tab that was refused.
    return web.answers.done(request, to, flash="" if wanted else "confirmed", fresh=True)


def _proved(web: WebContext, request: Request) -> Refused | None:
    """The refusal of the passkey, or of the password and the code."""
    services, session, credential = web.services, request.signed_in, request.text("credential")
    client, device = request.client, web.device_cookie.read(request.cookies)
    if credential and services.passkeys is not None:
        return reauthenticate_with_passkey(services, session, credential, client=client, device_cookie=device)
    password, code = request.text("password"), request.text("code")
    return reauthenticate(services, session, password, code, client=client, device_cookie=device)


def _form(web: WebContext, request: Request, wanted: str) -> dict[str, Any]:
    """The facts of the form."""
    session = request.signed_in
    kinds = kinds_of(web.services, session.user.id) if session.state.two_step is not None else ()
    passkey = own_options(web.services, "confirm", session.user.id)
    target = web.redirect_target(request, wanted, default="")
    return {"next": target, "kinds": kinds, "passkey": passkey, "problem": None}
