"""The password asked for once more, before what is delicate."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.signin import Refused, confirm_password
from nipo_auth_mw.web.own_password import refuse
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def show(site: Site, request: Request) -> Response:
    wanted = site.landing(request, request.query.get("next", ""), default="")
    return site.answers.page(request, "confirm.html", next=wanted, problem=None)


def submit(site: Site, request: Request) -> Response:
    wanted = request.text("next")
    outcome = confirm_password(
        site.services,
        request.signed_in,
        request.text("password"),
        client=request.client,
        device_cookie=site.device_cookie.read(request.cookies),
    )
    if isinstance(outcome, Refused):
        context = {"next": site.landing(request, wanted, default="")}
        return refuse(site, request, outcome, template="confirm.html", context=context)
    return site.answers.done(request, site.landing(request, wanted, default=site.path(request, "account")), fresh=True)
