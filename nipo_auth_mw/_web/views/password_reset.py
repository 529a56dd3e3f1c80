"""The pages for a forgotten password: the request, and the page that the mailed link opens."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.accept_link import Accepted, Unfit
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_reset import find_reset, request_reset, reset_password
from nipo_auth_mw._flows.two_step import proofs_of
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw.protocols import Account


def show_request(web: WebContext, request: Request) -> Response:
    """Show the form for an address. Without a mailer the page refers the user to an administrator."""
    mails = web.services.outbox.sends
    return web.answers.page(request, "password_reset-request.html", mails=mails, problem=None, email="")


@takes("email", gives={"requested": bool, "sender": str, "lasts": int})
def submit_request(web: WebContext, request: Request) -> Response:
    """Request the mail. The answer is the same for every address, so an attacker learns of no account."""
    outbox = web.services.outbox
    if not outbox.sends:
        return web.answers.refuse(request, Refused("mail_unavailable"))
    email = request.text("email")
    refused = request_reset(web.services, email, client=request.client)
    if refused is not None:
        return web.answers.refuse(request, refused, "password_reset-request.html", mails=True, email=email[:254])
    lasts = int(web.services.reset_links.lasts.total_seconds())
    if request.wants_json:
        return web.answers.data({"requested": True, "sender": outbox.sender, "lasts": lasts})
    email = email.strip()[:254]
    return web.answers.page(request, "password_reset-sent.html", sender=outbox.sender, lasts=lasts, email=email)


@takes(gives={"email": str})
def show(web: WebContext, request: Request) -> Response:
    """Show the form for a new password. This spends nothing."""
    account = find_reset(web.services, request.arguments["token"], client=request.client)
    if account is None:
        return _refuse(web, request, Refused("link_expired"))
    if request.wants_json:
        return web.answers.data({"email": account.email})
    return web.answers.page(request, "password_reset.html", **_form(web, request, account), problem=None)


@takes("password", gives={"next": str, "password_reset": bool})
def submit(web: WebContext, request: Request) -> Response:
    """Set the new password with the link, and make this browser a known device."""
    web.identify(request)
    outcome = reset_password(
        web.services,
        request.arguments["token"],
        request.text("password"),
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    match outcome:
        case Accepted():
            to, flash = web.after_link(request, outcome.account.id, "password_reset")
            cookies = [web.device_cookie.set(outcome.device)] if outcome.device else []
            return web.answers.done(request, to, cookies, flash=flash, password_reset=True)
        case Unfit():
            form = _form(web, request, outcome.account)
            return web.answers.refuse(request, outcome.refused, "password_reset.html", **form)
        case Refused():
            return _refuse(web, request, outcome)


def _form(web: WebContext, request: Request, account: Account) -> dict[str, Any]:
    """The facts of the form. After a refusal too, the form and the language switch lead to the mailed link. `proofs`
    are those of the second step, which a reset does not touch."""
    here = web.path(request, request.route)
    proofs = proofs_of(web.services, account.id)
    limits = web.config.passwords
    return {"email": account.email, "proofs": proofs, "min_length": limits.min_length, "here": here, "advice": []}


def _refuse(web: WebContext, request: Request, refused: Refused) -> Response:
    """The refusal; an invalid link has a page of its own."""
    template = "password_reset-link.html" if refused.code == "link_expired" else "problem.html"
    return web.answers.refuse(request, refused, template)
