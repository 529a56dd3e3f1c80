"""The pages for the change of a user's password."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_change import PASSWORD_CHANGE, asks_for_current, change_password
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes("next")
def show(web: WebContext, request: Request) -> Response:
    """Show the form. A user with a temporary password is redirected here."""
    return web.answers.page(request, "password_change.html", **_form(web, request, request.wanted))


@takes("current_password", "password", "next", gives={"next": str, "password_changed": bool})
def submit(web: WebContext, request: Request) -> Response:
    """Set the new password and renew this browser's cookies."""
    wanted = request.text("next")
    outcome = change_password(
        web.services,
        request.signed_in,
        request.text("current_password"),
        request.text("password"),
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    if isinstance(outcome, Refused):
        request.wanted = web.redirect_target(request, wanted, default="")
        form = _form(web, request, wanted)
        return web.answers.refuse(request, outcome, "password_change.html", **form)
    cookies = web.session_cookies(outcome.session, outcome.device, persistent=outcome.stored.persistent)
    to = web.redirect_target(request, wanted, default=web.path(request, "account"))
    return web.answers.done(request, to, cookies, flash="password_changed", password_changed=True)


def _form(web: WebContext, request: Request, wanted: str) -> dict[str, Any]:
    """The facts of the form."""
    session = request.signed_in
    return {
        "email": session.user.email,
        "temporary": PASSWORD_CHANGE.is_pending(session.user, session.state, web.config),
        "asks_for_current": asks_for_current(web.services, session),
        "min_length": web.config.passwords.min_length,
        "next": web.redirect_target(request, wanted, default=""),
        "problem": None,
        "advice": [],
    }
