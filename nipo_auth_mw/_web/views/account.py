"""The account page of a user, and the same facts as JSON."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.account import overview
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.requirements import first_unmet
from nipo_auth_mw._web.serializers import SessionData, UserData, session_data, user_data


@takes(gives={"user": UserData, "sessions": list[SessionData]})
def show(web: WebContext, request: Request) -> Response:
    """Show the user, the devices that are signed in, and the newest events."""
    shown = facts(web, request)
    if request.wants_json:
        sessions = [session_data(session) for session in shown["sessions"]]
        return web.answers.data({"user": user_data(request.signed_in.user), "sessions": sessions})
    return web.answers.page(request, "account.html", **shown, problem=None)


def facts(web: WebContext, request: Request) -> dict[str, Any]:
    """The facts that the page shows, and shows again after a refused change."""
    session = request.signed_in
    found = overview(web.services, session)
    return {
        "session": session.public,
        "sessions": found.sessions,
        "events": found.events,
        "typed": session.user.notify_email or "",
        "can_change_email": found.can_change_email,
        "pending": found.pending,
    }


@takes(gives={"user": UserData, "session": SessionData})
def session(web: WebContext, request: Request) -> Response:
    """The current user and session, always as JSON; 401 for a visitor."""
    session = request.session
    if session is None:
        return web.answers.refuse(request, Refused("sign_in_required"), as_json=True)
    if unmet := first_unmet(session.user, session.state, web.config):
        return web.answers.refuse(request, Refused(unmet.code), as_json=True)
    return web.answers.data({"user": user_data(session.user), "session": session_data(session.public)})
