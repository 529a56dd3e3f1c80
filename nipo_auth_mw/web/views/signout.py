"""Sign-out: this device's session ends on the server; other devices stay signed in."""

from __future__ import annotations

import time

from werkzeug.wrappers import Response

from nipo_auth_mw.models import public_id
from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.parts.sessions import Live
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def show(site: Site, request: Request) -> Response:
    wanted = site.landing(request, request.query.get("next", ""), default="")
    return site.answers.page(request, "logout.html", next=wanted)


def submit(site: Site, request: Request) -> Response:
    """Told as done only when the store has it written (`StoreUnavailable` otherwise)."""
    to = site.landing(request, request.text("next"), default=site.path(request, "login"))
    if request.live is not None:
        _end(site, request, request.live)
    return site.answers.done(request, to, [site.session_cookie.delete()])


def _end(site: Site, request: Request, live: Live) -> None:
    stored, user = live.stored, live.user
    if site.services.session_store.end_session(stored.key) is None:
        return
    site.services.recorder.record(
        event(
            "signed_out",
            time=time.time(),
            client=request.client,
            user_id=user.id,
            email=user.email,
            session=public_id(stored),
        )
    )
