"""Sending a kept session's cookie again, on the app's own answer: browsers drop any cookie after 400 days."""

from __future__ import annotations

import re
from typing import Any

from nipo_auth_mw.parts.sessions import Live
from nipo_auth_mw.web.challenge import Environ, StartResponse, Write
from nipo_auth_mw.web.site import Site

_SHARED = re.compile(r"(?:\A|,)\s*(?:public\s*(?:,|\Z)|s-maxage\s*=)", re.IGNORECASE)


def sending_again(site: Site, environ: Environ, live: Live, start_response: StartResponse) -> StartResponse:
    """`start_response` with our cookie added, unless the answer is one that shared caches keep (CVE-2023-30861) or
    the session has ended while the app was at work (CVE-2025-46336)."""
    value = site.session_cookie.read(environ.get("HTTP_COOKIE", "")) or ""

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        rest = (exc_info,) if exc_info else ()
        cache = ", ".join(text for name, text in headers if name.lower() == "cache-control")
        if _SHARED.search(cache) or not _still_lives(site, live):
            return start_response(status, headers, *rest)
        added = [*headers, ("Set-Cookie", site.session_cookie.set(value))]
        return start_response(status, _privately(added, cache), *rest)

    return start


def _still_lives(site: Site, live: Live) -> bool:
    """Best effort: an answer of the app does not fail because its cookie could not be renewed."""
    try:
        return site.services.sessions.send_again(live.stored)
    except Exception:
        return False


def _privately(headers: list[tuple[str, str]], cache: str) -> list[tuple[str, str]]:
    varies = [text for name, text in headers if name.lower() == "vary"]
    named = {part.strip().lower() for text in varies for part in text.split(",")}
    if not named & {"cookie", "*"}:
        others = [pair for pair in headers if pair[0].lower() != "vary"]
        headers = [*others, ("Vary", ", ".join([*varies, "Cookie"]))]
    return headers if cache else [*headers, ("Cache-Control", "private")]
