"""The change of the address people sign in with."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.flows import email_change
from nipo_auth_mw.flows.signin import Refused
from nipo_auth_mw.parts.links import EMAIL_LASTS
from nipo_auth_mw.web.own_password import refuse
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site

_STATUS = {"email_rejected": 422, "email_unchanged": 422, "too_many_mails": 429}
_LASTS = int(EMAIL_LASTS.total_seconds())


def show(site: Site, request: Request) -> Response:
    if not email_change.offered(site.services):
        return site.answers.refuse(request, "not_found", 404)
    return site.answers.page(request, "email.html", **_form(""), problem=None)


def submit(site: Site, request: Request) -> Response:
    """One and the same answer whether the address is free or not."""
    if not email_change.offered(site.services):
        return site.answers.refuse(request, "not_found", 404)
    typed = request.text("email")
    outcome = email_change.request_change(
        site.services,
        request.signed_in,
        typed,
        request.text("password"),
        client=request.client,
        device_cookie=site.device_cookie.read(request.cookies),
    )
    if outcome is None:
        to = site.path(request, "account")
        return site.answers.done(request, to, said="email_change_requested", requested=True, lasts=_LASTS)
    if outcome.reason in _STATUS:
        status, wait = _STATUS[outcome.reason], outcome.retry_after
        return site.answers.refuse(
            request, outcome.reason, status, template="email.html", context=_form(typed), retry_after=wait
        )
    return refuse(site, request, outcome, template="email.html", context=_form(typed))


def show_confirm(site: Site, request: Request) -> Response:
    change = email_change.find_change(site.services, request.arguments["token"], client=request.client)
    if change is None:
        return _refuse(site, request, Refused("link_expired"))
    if request.wants_json:
        return site.answers.data({"email": change.new_email})
    return site.answers.page(request, "email-confirm.html", change=change)


def submit_confirm(site: Site, request: Request) -> Response:
    outcome = email_change.confirm_change(site.services, request.arguments["token"], client=request.client)
    if isinstance(outcome, Refused):
        return _refuse(site, request, outcome)
    return site.answers.done(request, site.path(request, "login"), said="email_changed", email=outcome.new_email)


def show_cancel(site: Site, request: Request) -> Response:
    change = email_change.find_cancellable(site.services, request.arguments["token"], client=request.client)
    if change is None:
        return _refuse(site, request, Refused("link_expired"))
    if request.wants_json:
        return site.answers.data({"email": change.old_email, "instead_of": change.new_email})
    return site.answers.page(request, "email-cancel.html", change=change)


def submit_cancel(site: Site, request: Request) -> Response:
    outcome = email_change.cancel_change(site.services, request.arguments["token"], client=request.client)
    if isinstance(outcome, Refused):
        return _refuse(site, request, outcome)
    said = "email_change_cancelled"
    return site.answers.done(request, site.path(request, "forgot"), said=said, email=outcome.old_email)


def _form(typed: str) -> dict[str, Any]:
    return {"typed": typed[:254], "lasts": _LASTS}


def _refuse(site: Site, request: Request, refused: Refused) -> Response:
    if refused.reason == "email_taken":
        return site.answers.refuse(request, "email_taken", 409, text="email_taken_back")
    return site.answers.refuse(request, "link_expired", 410, text="email_link_expired", template="email-link.html")
