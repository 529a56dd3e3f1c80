"""The renewal of cookies on the host app's answer: browsers drop any cookie after 400 days, and secret keys change."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.intercept_401 import StartResponse, Write
from nipo_auth_mw._web.private_answers import may_carry_the_cookie


def renewing(
    web: WebContext, value: str, device: str | None, session: ActiveSession, start_response: StartResponse
) -> StartResponse:
    """`start_response` with the session cookie added, which holds the same secret as in the request.

    `device` is the value of the device cookie; it is added too if it depends on an older secret key. Both are left out
    if shared caches may store the answer (CVE-2023-30861), or if the session has ended while the app was at work
    (CVE-2025-46336).
    """

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        rest = (exc_info,) if exc_info else ()
        if not may_carry_the_cookie(headers):
            return start_response(status, headers, *rest)
        added = [*headers, *(("Set-Cookie", cookie) for cookie in cookies(web, value, device, session))]
        return start_response(status, added, *rest)

    return start


def cookies(web: WebContext, value: str, device: str | None, session: ActiveSession) -> list[str]:
    """The Set-Cookie values, none if the session has ended. Best effort: an outage fails no answer of the host app."""
    sessions, devices = web.services.sessions, web.services.known_devices
    try:
        owner = sessions.owner(session.stored) if device else None
        known = devices.renewed(device, owner, session.state) if owner else None
        if not sessions.send_again(session.stored):
            return []
        return web.session_cookies(sessions.renewed(value), known, persistent=session.stored.persistent)
    except Exception:
        return []
