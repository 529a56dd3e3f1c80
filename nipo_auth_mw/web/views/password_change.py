"""The change of one's own password."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.password_change import Changed, Unfit, change_password
from nipo_auth_mw.flows.signin import Refused
from nipo_auth_mw.web.own_password import refuse
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site


def show(site: Site, request: Request) -> Response:
    wanted = request.query.get("next", "")
    return site.answers.page(request, "password.html", **_form(site, request, wanted), problem=None)


def submit(site: Site, request: Request) -> Response:
    wanted = request.text("next")
    outcome = change_password(
        site.services,
        request.signed_in,
        request.text("current_password"),
        request.text("password"),
        client=request.client,
        device_cookie=site.device_cookie.read(request.cookies),
    )
    match outcome:
        case Changed():
            cookies = [site.session_cookie.set(outcome.session, kept=outcome.stored.kept)]
            if outcome.device is not None:
                cookies.append(site.device_cookie.set(outcome.device))
            to = site.landing(request, wanted, default=site.path(request, "account"))
            return site.answers.done(request, to, cookies, said="password_changed", password_changed=True)
        case Unfit():
            form = _form(site, request, wanted)
            return site.answers.reject_password(request, outcome.why, template="password.html", context=form)
        case Refused():
            return refuse(site, request, outcome, template="password.html", context=_form(site, request, wanted))


def _form(site: Site, request: Request, wanted: str) -> dict[str, Any]:
    return {
        "email": request.signed_in.user.email,
        "must_change": request.signed_in.must_change,
        "min_length": site.config.passwords.min_length,
        "next": site.landing(request, wanted, default=""),
        "advice": [],
    }
