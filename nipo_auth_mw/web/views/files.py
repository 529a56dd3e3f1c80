"""Static files of our pages."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def show(site: Site, request: Request) -> Response:
    found = site.pages.assets.find(request.arguments["name"])
    if found is None:
        return site.answers.refuse(request, "not_found", 404)
    return site.answers.file(found.body, found.content_type)
