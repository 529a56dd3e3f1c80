"""Sign-out of the user's other devices."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.devices import end_other_sessions, end_session
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request


@takes("session", "all", gives={"next": str, "ended": str})
def submit(web: WebContext, request: Request) -> Response:
    """End one session of the user by its public id, or all of them except this one (ASVS 5 7.4.4)."""
    session, to = request.signed_in, web.path(request, "account")
    if request.given_flag("all"):
        end_other_sessions(web.services, session)
        return web.answers.done(request, to, flash="other_devices_ended", ended="others")
    stored = end_session(web.services, session, request.text("session"))
    if stored is None:
        return web.answers.refuse(request, Refused("no_such_session"))
    if stored.key == session.stored.key:
        login = web.path(request, "login")
        return web.answers.done(request, login, [web.session_cookie.delete()], ended=request.text("session"))
    return web.answers.done(request, to, flash="device_ended", ended=request.text("session"))
