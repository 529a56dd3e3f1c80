"""The language switch."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def submit(site: Site, request: Request) -> Response:
    language = request.text("lang")
    if language not in site.config.languages:
        return site.answers.refuse(request, "unknown_language", 422)
    own = site.path(request, "login")
    wanted = request.text("next")
    # The switch stands on our own pages too, so it alone may come back to one of them.
    path = wanted.split("?", 1)[0]
    to = wanted if path == own else site.landing(request, wanted, default=own)
    return site.answers.done(request, to, [site.language_cookie.set(language)], language=language)
