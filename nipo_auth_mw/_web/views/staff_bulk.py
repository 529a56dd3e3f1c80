"""The staff page that creates many accounts from a pasted list."""

from __future__ import annotations

from typing import Any, TypedDict

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.staff_bulk import MOST, Line, create_many
from nipo_auth_mw._web import staff_form
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.views import staff, staff_handover


class LineData(TypedDict):
    """The outcome of one line. The password or the link is in this answer alone."""

    email: str
    id: str | None
    code: str
    password: str | None
    link: str | None


def show(web: WebContext, request: Request) -> Response:
    """Show the form."""
    return web.answers.page(request, "staff-bulk.html", **_form(web, request), problem=None)


@takes("emails", "role", "invite", "must_change", gives={"lines": list[LineData]})
def submit(web: WebContext, request: Request) -> Response:
    """Create an account for each line. The answer shows once what each user gets, and first the lines to correct."""
    must_change = request.flag("must_change")
    outcome = create_many(
        web.services,
        request.text("emails"),
        role=request.text("role") or "staff",
        roles=_roles(web),
        invite=request.given_flag("invite"),
        must_change=must_change,
        actor=staff.actor(request),
    )
    if isinstance(outcome, Refused):
        return web.answers.refuse(request, outcome, "staff-bulk.html", **_form(web, request))
    if request.wants_json:
        return web.answers.data({"lines": [_data(web, one) for one in outcome]})
    refused = [one for one in outcome if one.user is None]
    slips = [
        staff_handover.slip_of(web, one.user, password=one.password, temporary=must_change, invited=one.invited)
        for one in outcome
        if one.user is not None
    ]
    form, headings = _form(web, request), {one.heading for one in refused if one.heading}
    form["typed"] = {**form["typed"], "emails": "\n".join([*headings, *(one.text for one in refused)])}
    return web.answers.page(
        request,
        "staff-report.html",
        **form,
        problem=None,
        refused=refused,
        slips=slips,
        shown=[slip for slip in slips if slip.password or slip.link],
        login_url=web.url("login"),
    )


def _form(web: WebContext, request: Request) -> dict[str, Any]:
    """The facts of the form."""
    return {**staff_form.facts(web, request), "most": MOST}


def _roles(web: WebContext) -> dict[str, str]:
    """The roles by their codes and by their names in every language."""
    named = {
        web.pages.catalogues.name(language, "role", role).casefold().replace(" ", ""): role
        for language in web.config.languages
        for role in web.config.roles
    }
    return named | {role.casefold(): role for role in web.config.roles}


def _data(web: WebContext, line: Line) -> LineData:
    """A line as JSON."""
    handed = staff_handover.invited_data(web, line.invited)
    return {
        "email": line.user.email if line.user else line.text[:254],
        "id": line.user.id if line.user else None,
        "code": line.code,
        "password": line.password or None,
        "link": handed["link"],
    }
