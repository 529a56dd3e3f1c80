"""Many accounts at once."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.flows.signin import Refused
from nipo_auth_mw.flows.staff_bulk import MOST, create_many
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.site import Site
from nipo_auth_mw.web.views import staff


@staff.offered
def show(site: Site, request: Request) -> Response:
    return site.answers.page(request, "staff-bulk.html", **staff.form(site, request), most=MOST, problem=None)


@staff.offered
def submit(site: Site, request: Request) -> Response:
    role = request.text("role") or "staff"
    context = {**staff.form(site, request), "most": MOST}
    try:
        outcome = create_many(
            site.services,
            request.text("emails"),
            role=role,
            password=request.text("password"),
            must_change=request.flag("must_change"),
            actor=staff.actor(request),
        )
    except PasswordRejected as refused:
        return staff.refuse(site, request, refused, template="staff-bulk.html", context=context)
    if isinstance(outcome, Refused):
        return site.answers.refuse(
            request, outcome.reason, 422, template="staff-bulk.html", context=context, most=str(MOST)
        )
    if request.wants_json:
        lines = [{"email": one.text, "id": one.user.id if one.user else None, "code": one.code} for one in outcome]
        return site.answers.data({"lines": lines})
    return site.answers.page(request, "staff-report.html", lines=outcome, made=sum(not one.code for one in outcome))
