"""The pages for the change of a user's address."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials.email_links import EMAIL_LASTS
from nipo_auth_mw._flows import email_change
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request

_LASTS = int(EMAIL_LASTS.total_seconds())
_EXPIRED = Refused("link_expired", detail="email")


def show(web: WebContext, request: Request) -> Response:
    """Show the form. It holds the address that waits for its confirmation, so the mail can be sent again."""
    waiting = email_change.pending(web.services, request.signed_in)
    form = _form(web, request, waiting.email if waiting else "")
    return web.answers.page(request, "email_change.html", **form, problem=None)


@takes("email", "password", gives={"next": str, "requested": bool, "lasts": int})
def submit(web: WebContext, request: Request) -> Response:
    """Request the change. The answer is the same whether another account has the address or not."""
    typed = request.text("email")
    refused = email_change.request_change(
        web.services,
        request.signed_in,
        typed,
        request.text("password"),
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    if refused is not None:
        return web.answers.refuse(request, refused, "email_change.html", **_form(web, request, typed))
    to = web.path(request, "account")
    return web.answers.done(request, to, flash="email_change_requested", requested=True, lasts=_LASTS)


@takes(gives={"next": str, "withdrawn": bool})
def submit_withdraw(web: WebContext, request: Request) -> Response:
    """Withdraw the change that waits for its confirmation."""
    request.require_body()
    withdrawn = email_change.withdraw(web.services, request.signed_in, client=request.client)
    to = web.path(request, "account")
    return web.answers.done(request, to, flash="email_change_withdrawn", withdrawn=withdrawn)


@takes(gives={"email": str})
def show_confirm(web: WebContext, request: Request) -> Response:
    """Show the change that the link would make. This spends nothing."""
    change = email_change.find_change(web.services, request.arguments["token"], client=request.client)
    if change is None:
        return _refuse(web, request, _EXPIRED)
    if request.wants_json:
        return web.answers.data({"email": change.new_email})
    return web.answers.page(request, "email_change-confirm.html", change=change)


@takes(gives={"next": str, "email": str})
def submit_confirm(web: WebContext, request: Request) -> Response:
    """Make the new address the address of sign-in."""
    web.identify(request)
    outcome = email_change.confirm_change(web.services, request.arguments["token"], client=request.client)
    if isinstance(outcome, Refused):
        return _refuse(web, request, outcome)
    to, flash = web.after_link(request, outcome.user_id, "email_changed")
    return web.answers.done(request, to, flash=flash, email=outcome.new_email)


@takes(gives={"email": str, "instead_of": str})
def show_cancel(web: WebContext, request: Request) -> Response:
    """Show the change that the link would stop or undo. This spends nothing."""
    change = email_change.find_cancellable(web.services, request.arguments["token"], client=request.client)
    if change is None:
        return _refuse(web, request, _EXPIRED)
    if request.wants_json:
        return web.answers.data({"email": change.old_email, "instead_of": change.new_email})
    return web.answers.page(request, "email_change-cancel.html", change=change)


@takes(gives={"next": str, "email": str})
def submit_cancel(web: WebContext, request: Request) -> Response:
    """Stop or undo the change, and lead to a password reset, since an attacker may know the password."""
    outcome = email_change.cancel_change(web.services, request.arguments["token"], client=request.client)
    if isinstance(outcome, Refused):
        return _refuse(web, request, outcome)
    to = web.path(request, "forgot")
    return web.answers.done(request, to, flash="email_change_cancelled", email=outcome.old_email)


def _form(web: WebContext, request: Request, typed: str) -> dict[str, Any]:
    """The facts of the form."""
    has_mailbox = not web.services.addresses.without_mailbox(request.signed_in.user.email)
    return {"typed": typed[:254], "lasts": _LASTS, "has_mailbox": has_mailbox}


def _refuse(web: WebContext, request: Request, refused: Refused) -> Response:
    """The refusal; an invalid link has a page of its own."""
    template = "email_change-link.html" if refused.code == "link_expired" else "problem.html"
    return web.answers.refuse(request, refused, template)
