"""The page of the second step at sign-in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials.typed_codes import plain
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import own_options
from nipo_auth_mw._flows.second_check import kinds_of
from nipo_auth_mw._flows.second_step import EXPIRED, Pending, find_pending, finish_with_code, finish_with_passkey
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.redirects import for_link
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.serializers import PROOFS, UserData, proofs_data
from nipo_auth_mw._web.views.login import opened


@takes("next", gives=PROOFS)
def show(web: WebContext, request: Request) -> Response:
    """Show the form. A user who is signed in, such as one who goes back to this page, is redirected."""
    pending = _pending(web, request)
    if pending is not None:
        page = _page(web, request, pending, request.wanted)
        if request.wants_json:
            return web.answers.data(proofs_data(page["kinds"], page["passkey"]))
        return web.answers.page(request, "second_step.html", **page)
    if request.session is not None and request.wants_json:
        return web.answers.data(proofs_data((), None))
    if request.session is not None:
        return web.answers.lead_on(request, web.redirect_target(request, request.wanted))
    return _expired(web, request, request.wanted)


@takes("code", "credential", "next", gives={"next": str, "user": UserData})
def submit(web: WebContext, request: Request) -> Response:
    """Check the code, or the passkey, and open the session."""
    wanted, pending, credential = request.text("next"), _pending(web, request), request.text("credential")
    if pending is None:
        return _expired(web, request, wanted)
    with_passkey = credential and web.services.passkeys is not None
    outcome = (finish_with_passkey if with_passkey else finish_with_code)(
        web.services,
        pending,
        credential if with_passkey else request.text("code"),
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
        over=request.session,
    )
    if isinstance(outcome, Refused):
        return refused(web, request, outcome, pending, wanted)
    return opened(web, request, outcome, wanted)


def refused(web: WebContext, request: Request, outcome: Refused, pending: Pending, wanted: str) -> Response:
    """The refusal on the page of the second step; on a page of its own if the sign-in has to begin again."""
    if outcome == EXPIRED:
        return _expired(web, request, wanted)
    if outcome.code == "account_disabled":
        return web.answers.refuse(request, Refused(outcome.code, values={"email": pending.account.email}))
    request.wanted = web.redirect_target(request, wanted, default="")
    return web.answers.refuse(request, outcome, "second_step.html", **_page(web, request, pending, wanted))


def _expired(web: WebContext, request: Request, wanted: str) -> Response:
    """The refusal of a second step whose first one has to be taken again, with the way to sign-in and to `wanted`.

    A user who is signed in, such as by another tab, reads so, and as whom: it may be another account.
    """
    refused, session = EXPIRED, request.session
    if session is not None:
        refused = replace(EXPIRED, detail="signed_in", values={"email": web.config.login_id(session.user.email)})
    return web.answers.refuse(request, refused, next=for_link(web.redirect_target(request, wanted, default="")))


def _pending(web: WebContext, request: Request) -> Pending | None:
    """The sign-in of this browser that waits for its second step."""
    return find_pending(web.services, web.second_cookie.read(request.cookies))


def _page(web: WebContext, request: Request, pending: Pending, wanted: str) -> dict[str, Any]:
    """The facts of the page. After a wrong backup code the field for one is open."""
    typed = plain(request.text("code")) if request.method == "POST" else ""
    return {
        "email": pending.account.email,
        "kinds": kinds_of(web.services, pending.account.id),
        "passkey": own_options(web.services, "second", pending.account.id),
        "backup": bool(typed) and not typed.isdigit(),
        "next": web.redirect_target(request, wanted, default=""),
        "problem": None,
    }
