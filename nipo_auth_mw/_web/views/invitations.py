"""The pages of an invitation: the one that its link opens, and an administrator's new link."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.accept_link import Accepted, Unfit
from nipo_auth_mw._flows.invitations import (
    accept_invitation,
    find_invitation,
    invite,
    invited_now,
    revoke_invitation,
)
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.views import staff, staff_handover
from nipo_auth_mw.protocols import Account


@takes(gives={"email": str, "name": str})
def show(web: WebContext, request: Request) -> Response:
    """Show the form for the first password. This spends nothing."""
    account = find_invitation(web.services, request.arguments["token"], client=request.client)
    if account is None:
        return _refuse(web, request, Refused("link_expired", detail="invitation"))
    if request.wants_json:
        return web.answers.data({"email": account.email, "name": account.name or ""})
    return web.answers.page(
        request, "invitations.html", **_form(web, request, account, account.name or ""), problem=None
    )


@takes("password", "name", gives={"next": str, "invitation_accepted": bool})
def submit(web: WebContext, request: Request) -> Response:
    """Set the first password with the link, and make this browser a known device."""
    web.identify(request)
    name = staff.line(request.text("name"))
    outcome = accept_invitation(
        web.services,
        request.arguments["token"],
        request.text("password"),
        name=name,
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    match outcome:
        case Accepted():
            to, flash = web.after_link(request, outcome.account.id, "invitation_accepted")
            cookies = [web.device_cookie.set(outcome.device)] if outcome.device else []
            return web.answers.done(request, to, cookies, flash=flash, invitation_accepted=True)
        case Unfit():
            form = _form(web, request, outcome.account, name)
            return web.answers.refuse(request, outcome.refused, "invitations.html", **form)
        case Refused():
            return _refuse(web, request, outcome)


def show_again(web: WebContext, request: Request) -> Response | None:
    """The page of `submit_invite` for a second press; None if that has ended an invitation."""
    account = web.services.users.get(staff.id_of(request))
    if account is None or request.given_flag("revoke"):
        return None
    invited = invited_now(web.services, account, actor=staff.actor(request))
    return staff_handover.show(web, request, account, invited=invited) if invited else None


@takes("revoke", "as_of", gives={"next": str, **staff_handover.INVITED}, again=show_again)
def submit_invite(web: WebContext, request: Request) -> Response:
    """Make a new link for an account, which ends the older one; with `revoke` only end it."""
    user_id, by = staff.id_of(request), staff.actor(request)
    if request.given_flag("revoke"):
        revoke_invitation(web.services, user_id, actor=by)
        to, nothing = staff.path_of(web, request, user_id), staff_handover.invited_data(web, None)
        return web.answers.done(request, to, flash="revoked", **nothing)
    if gone := staff_handover.refuse_stale(web, request, user_id, request.text("as_of")):
        return gone
    outcome = invite(web.services, user_id, actor=by)
    if isinstance(outcome, Refused):
        return web.answers.refuse(request, outcome)
    if request.wants_json:
        to = staff.path_of(web, request, user_id)
        return web.answers.done(request, to, **staff_handover.invited_data(web, outcome))
    return staff_handover.show(web, request, outcome.account, invited=outcome)


def _form(web: WebContext, request: Request, account: Account, name: str) -> dict[str, Any]:
    """The facts of the form. After a refusal too, the form and the language switch lead to the link."""
    here = web.path(request, request.route)
    facts = {"email": account.email, "name": name, "can_name": web.services.directory is not None}
    return {**facts, "here": here, "min_length": web.config.passwords.min_length, "advice": []}


def _refuse(web: WebContext, request: Request, refused: Refused) -> Response:
    """The refusal; an invalid link has a page of its own."""
    template = "invitations-link.html" if refused.code == "link_expired" else "problem.html"
    return web.answers.refuse(request, refused, template)
