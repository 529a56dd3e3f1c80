"""The renewal of a persistent session's cookie on the host app's answer: browsers drop any cookie after 400 days."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.intercept_401 import StartResponse, Write
from nipo_auth_mw._web.private_answers import may_carry_the_cookie


def renewing(web: WebContext, value: str, session: ActiveSession, start_response: StartResponse) -> StartResponse:
    """`start_response` with the session cookie added, which has the same value as in the request.

    The cookie is left out if shared caches may store the answer (CVE-2023-30861), or if the session has ended while the
    app was at work (CVE-2025-46336).
    """

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        rest = (exc_info,) if exc_info else ()
        if not may_carry_the_cookie(headers) or not _still_lives(web, session):
            return start_response(status, headers, *rest)
        added = [*headers, ("Set-Cookie", web.session_cookie.set(value))]
        return start_response(status, added, *rest)

    return start


def _still_lives(web: WebContext, session: ActiveSession) -> bool:
    """Whether the session is still active, best effort: an outage must not fail an answer of the host app."""
    try:
        return web.services.sessions.send_again(session.stored)
    except Exception:
        return False
