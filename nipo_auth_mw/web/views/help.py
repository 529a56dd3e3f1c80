"""Answers for the people who sign in."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.parts.help import topics
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def show(site: Site, request: Request) -> Response:
    found = topics(site.pages.texts, request.language, site.config, site.services.outbox.sender)
    return site.answers.page(request, "help.html", topics=found)
