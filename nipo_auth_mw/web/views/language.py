"""The language switch."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def submit(site: Site, request: Request) -> Response:
    language = request.text("lang")
    if language not in site.config.languages:
        return site.answers.refuse(request, "unknown_language", 422)
    # The switch stands on our own pages too: it comes back to the account page or to the sign-in form.
    login = site.landing(request, request.text("next"), default=site.path(request, "login"), but="login")
    to = site.landing(request, request.text("next"), default=login)
    return site.answers.done(request, to, [site.language_cookie.set(language)], language=language)
