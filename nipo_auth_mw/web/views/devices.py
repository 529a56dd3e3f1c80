"""Signing other devices out."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.devices import end_other_sessions, end_session
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def submit(site: Site, request: Request) -> Response:
    live, to = request.signed_in, site.path(request, "account")
    if request.given_flag("all"):
        end_other_sessions(site.services, live)
        return site.answers.done(request, to, said="other_devices_ended", ended="others")
    stored = end_session(site.services, live, request.text("session"))
    if stored is None:
        return site.answers.refuse(request, "no_such_session", 404)
    if stored.key == live.stored.key:
        login = site.path(request, "login")
        return site.answers.done(request, login, [site.session_cookie.delete()], ended=request.text("session"))
    return site.answers.done(request, to, said="device_ended", ended=request.text("session"))
