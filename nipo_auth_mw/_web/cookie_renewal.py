"""The renewal of a persistent session's cookie on the host app's answer: browsers drop any cookie after 400 days."""

from __future__ import annotations

import re
from typing import Any

from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.intercept_401 import StartResponse, Write

_SHARED = re.compile(r"(?:\A|,)\s*(?:public\s*(?:,|\Z)|s-maxage\s*=)", re.IGNORECASE)


def renewing(web: WebContext, value: str, session: ActiveSession, start_response: StartResponse) -> StartResponse:
    """`start_response` with the session cookie added, which has the same value as in the request.

    The cookie is left out if shared caches may store the answer (CVE-2023-30861), or if the session has ended while the
    app was at work (CVE-2025-46336).
    """

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        rest = (exc_info,) if exc_info else ()
        cache = ", ".join(text for name, text in headers if name.lower() == "cache-control")
        if _SHARED.search(cache) or not _still_lives(web, session):
            return start_response(status, headers, *rest)
        added = [*headers, ("Set-Cookie", web.session_cookie.set(value))]
        return start_response(status, _privately(added, cache), *rest)

    return start


def _still_lives(web: WebContext, session: ActiveSession) -> bool:
    """Whether the session is still active, best effort: an outage must not fail an answer of the host app."""
    try:
        return web.services.sessions.send_again(session.stored)
    except Exception:
        return False


def _privately(headers: list[tuple[str, str]], cache: str) -> list[tuple[str, str]]:
    """The headers with `Vary: Cookie`, and with `Cache-Control: private` if the app sends no Cache-Control."""
    varies = [text for name, text in headers if name.lower() == "vary"]
    named = {part.strip().lower() for text in varies for part in text.split(",")}
    if not named & {"cookie", "*"}:
        others = [pair for pair in headers if pair[0].lower() != "vary"]
        headers = [*others, ("Vary", ", ".join([*varies, "Cookie"]))]
    return headers if cache else [*headers, ("Cache-Control", "private")]
