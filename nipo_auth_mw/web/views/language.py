"""The language switch."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.parts import redirects
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site

_PAGES = ("login", "forgot", "reset/", "email/", "help", "account/", "staff/", "history")


def submit(site: Site, request: Request) -> Response:
    language = request.text("lang")
    if language not in site.config.languages:
        return site.answers.refuse(request, "unknown_language", 422)
    # The switch stands on our own pages too, and comes back to them.
    own = request.root + site.config.prefix
    to = redirects.safe_next(request.text("next"), own=own, default=f"{own}/login", but=_PAGES)
    return site.answers.done(request, to, [site.language_cookie.set(language)], language=language)
