"""The person's own page, and the same as data."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.models import Session
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.shapes import session_data, user_data
from nipo_auth_mw.web.site import Site

_RECENT = 20


def show(site: Site, request: Request) -> Response:
    live = request.signed_in
    services = site.services
    sessions = [Session(stored) for stored in services.sessions.of(live.user.id)]
    events = services.audit.events(user_id=live.user.id, limit=_RECENT)
    if request.wants_json:
        return site.answers.data({"user": user_data(live.user), "sessions": [session_data(s) for s in sessions]})
    return site.answers.page(request, "account.html", session=live.session, sessions=sessions, events=events)


def session(site: Site, request: Request) -> Response:
    """Who is signed in, as JSON whatever is accepted; 401 for a visitor."""
    live = request.live
    if live is None:
        return site.answers.refuse(request, "sign_in_required", 401, as_json=True)
    return site.answers.data({"user": user_data(live.user), "session": session_data(live.session)})
