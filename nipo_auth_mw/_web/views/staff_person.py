"""The page of one account, its devices, and the small pages for each change."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from werkzeug.wrappers import Response

from nipo_auth_mw._flows import staff, staff_devices, staff_list, staff_person, staff_undo
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.serializers import KnownData, SessionData, known_data, session_data
from nipo_auth_mw._web.views import staff as actions
from nipo_auth_mw._web.views.staff_list import PLACE


@takes(gives={"user": KnownData, "sessions": list[SessionData]})
def show(web: WebContext, request: Request) -> Response:
    """Show what is known of an account, and where it is signed in."""
    person, row = staff_person.look_at(web.services, _id(request)), staff_list.row(web.services, _id(request))
    if request.wants_json:
        sessions = [session_data(one) for one in row.sessions]
        return web.answers.data({"user": known_data(person, row), "sessions": sessions})
    by = actions.actor(request)
    before = "" if person.user.id == by.name else staff_undo.role_before(web.services, person.user.id, actor=by)
    return web.answers.page(
        request,
        "staff-person.html",
        **actions.facts(web, request, person),
        problem=None,
        role_before=before if before != person.user.role else "",
        toggled=request.query.get("changed", "") == "active",
    )


def show_form(web: WebContext, request: Request) -> Response:
    """Show the small page for one change of an account; the route ends in its name."""
    return _form(web, request, request.route.rpartition("/")[2])


@takes("role")
def show_role(web: WebContext, request: Request) -> Response:
    """Show the choice of a role, or with one that was chosen the question whether to set it."""
    return _form(web, request, "role", chosen=request.query.get("role", ""))


def _form(web: WebContext, request: Request, what: str, **more: str) -> Response:
    """The small page for one change."""
    person = staff_person.look_at(web.services, _id(request))
    shown = actions.facts(web, request, person, **more)
    return web.answers.page(request, actions.page_of(what), **shown, problem=None)


@takes(*PLACE, "from")
def ask_active(web: WebContext, request: Request) -> Response:
    """Ask before an account is disabled that is signed in now. One that is disabled already has nothing to ask."""
    person = staff_person.look_at(web.services, _id(request))
    if not person.user.active:
        return web.answers.redirect(actions.path_of(web, request, person.user.id))
    place = {name: request.query.get(name, "") for name in (*PLACE, "from")}
    return web.answers.page(request, "staff-active.html", **actions.facts(web, request, person), place=place)


@takes("active", *PLACE, "from", gives={"next": str, "active": bool})
def submit_active(web: WebContext, request: Request) -> Response:
    """Enable or disable an account, and return to its row in the list, or to its page."""
    user_id, given = _id(request), request.fields.get("active", "")
    if given not in {"0", "1", True, False}:
        return web.answers.refuse(request, Refused("bad_request"))
    active = given in {"1", True}
    staff.set_active(web.services, user_id, active, actor=actions.actor(request))
    if request.text("from") == "person":
        return web.answers.done(request, f"{actions.path_of(web, request, user_id)}?changed=active", active=active)
    back = {"changed": user_id, **{name: request.text(name)[:254] for name in PLACE}}
    query = urlencode({name: value for name, value in back.items() if value})
    return web.answers.done(request, f"{web.path(request, 'staff')}?{query}#u-{quote(user_id, safe='')}", active=active)


@takes("session", "all", gives={"next": str, "ended": int})
def submit_sessions(web: WebContext, request: Request) -> Response:
    """Sign the account out on one device, or on all."""
    user_id, by = _id(request), actions.actor(request)
    one = None if request.given_flag("all") else request.text("session")
    ended = staff_devices.end_sessions(web.services, user_id, one, actor=by)
    if not ended and one is not None:
        return web.answers.refuse(request, Refused("no_such_session"))
    return web.answers.done(request, actions.path_of(web, request, user_id), flash="staff_devices", ended=ended)


def _id(request: Request) -> str:
    return actions.id_of(request)
