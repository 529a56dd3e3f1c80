"""The person's own page, and the same as data."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.flows import email_change
from nipo_auth_mw.models import Session
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.shapes import session_data, user_data
from nipo_auth_mw.web.site import Site

_RECENT = 20


def show(site: Site, request: Request) -> Response:
    shown = facts(site, request)
    if request.wants_json:
        sessions = [session_data(session) for session in shown["sessions"]]
        return site.answers.data({"user": user_data(request.signed_in.user), "sessions": sessions})
    return site.answers.page(request, "account.html", **shown, problem=None)


def facts(site: Site, request: Request) -> dict[str, Any]:
    """What the page shows, after a refused change too."""
    live, services = request.signed_in, site.services
    return {
        "session": live.session,
        "sessions": [Session(stored) for stored in services.sessions.of(live.user.id)],
        "events": services.audit.events(user_id=live.user.id, limit=_RECENT),
        "typed": live.user.notify_email or "",
        "can_change_email": email_change.offered(services),
    }


def session(site: Site, request: Request) -> Response:
    """Who is signed in, as JSON whatever is accepted; 401 for a visitor."""
    live = request.live
    if live is not None and live.must_change:
        return site.answers.refuse(request, "password_change_required", 403, as_json=True)
    if live is None:
        return site.answers.refuse(request, "sign_in_required", 401, as_json=True)
    return site.answers.data({"user": user_data(live.user), "session": session_data(live.session)})
