"""The staff page that creates many accounts from a pasted list."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.staff_bulk import MOST, create_many
from nipo_auth_mw._web import staff_form
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.views import staff
from nipo_auth_mw.errors import PasswordRejected


def show(web: WebContext, request: Request) -> Response:
    """Show the form."""
    return web.answers.page(request, "staff-bulk.html", **staff_form.facts(web, request), most=MOST, problem=None)


@takes("emails", "role", "password", "must_change", gives={"lines": list[dict[str, str | None]]})
def submit(web: WebContext, request: Request) -> Response:
    """Create an account for each line, and report the outcome of each line."""
    try:
        outcome = create_many(
            web.services,
            request.text("emails"),
            role=request.text("role") or "staff",
            password=request.text("password"),
            must_change=request.flag("must_change"),
            actor=staff.actor(request),
        )
    except PasswordRejected as error:
        outcome = refusal(error)
    if isinstance(outcome, Refused):
        return web.answers.refuse(request, outcome, "staff-bulk.html", **staff_form.facts(web, request), most=MOST)
    if request.wants_json:
        lines = [{"email": one.text, "id": one.user.id if one.user else None, "code": one.code} for one in outcome]
        return web.answers.data({"lines": lines})
    return web.answers.page(request, "staff-report.html", lines=outcome, made=sum(not one.code for one in outcome))
