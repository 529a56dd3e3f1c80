"""The forgotten password: asking for the mail, and the page its link leads to."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.password_reset import Reset, Unfit, find_reset, request_reset, reset_password
from nipo_auth_mw.flows.signin import Refused
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site

_STATUS = {"link_expired": 410, "busy": 503}


def show_request(site: Site, request: Request) -> Response:
    return site.answers.page(request, "forgot.html", mails=site.services.outbox.sends, problem=None)


def submit_request(site: Site, request: Request) -> Response:
    """One and the same answer for every address, so that it tells nobody who has an account."""
    outbox = site.services.outbox
    if not outbox.sends:
        return site.answers.refuse(request, "mail_unavailable", 404)
    refused = request_reset(site.services, request.text("email"), client=request.client)
    if refused is not None:
        context = {"mails": True}
        wait = refused.retry_after
        return site.answers.refuse(
            request, refused.reason, 429, template="forgot.html", context=context, retry_after=wait
        )
    lasts = int(site.services.reset_links.lasts.total_seconds())
    if request.wants_json:
        return site.answers.data({"requested": True, "sender": outbox.sender, "lasts": lasts})
    return site.answers.page(request, "sent.html", sender=outbox.sender, lasts=lasts)


def show(site: Site, request: Request) -> Response:
    account = find_reset(site.services, request.arguments["token"], client=request.client)
    if account is None:
        return _refuse(site, request, Refused("link_expired"))
    if request.wants_json:
        return site.answers.data({"email": account.email})
    return site.answers.page(request, "reset.html", **_form(site, request, account.email), problem=None)


def submit(site: Site, request: Request) -> Response:
    outcome = reset_password(site.services, request.arguments["token"], request.text("password"), client=request.client)
    match outcome:
        case Reset():
            return site.answers.done(request, site.path(request, "login"), said="password_reset", password_reset=True)
        case Unfit():
            return site.answers.reject_password(
                request,
                outcome.why,
                template="reset.html",
                context=_form(site, request, outcome.account.email),
            )
        case Refused():
            return _refuse(site, request, outcome)


def _form(site: Site, request: Request, email: str) -> dict[str, Any]:
    # After a refusal too the form, and the language switch, lead to where the link did.
    here = site.path(request, request.route)
    return {"email": email, "min_length": site.config.passwords.min_length, "here": here}


def _refuse(site: Site, request: Request, refused: Refused) -> Response:
    return site.answers.refuse(
        request,
        refused.reason,
        _STATUS[refused.reason],
        template="link.html" if refused.reason == "link_expired" else "refusal.html",
        retry_after=refused.retry_after,
    )
