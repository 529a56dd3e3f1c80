"""The staff pages: an administrator's actions on one account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows import staff, staff_list, staff_person, staff_security
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._web import challenges, staff_form
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw.errors import AccountError

_PROFILE = ("name", "reading", "memo", "notify_email")


def page_of(what: str) -> str:
    """The template of the small page for one change of an account."""
    return {"password": "staff-set-password.html", "unlock": "staff-person.html"}.get(what, f"staff-{what}.html")


def actor(request: Request) -> Actor:
    """The administrator who sends the request."""
    return Actor(request.signed_in.user.id, request.client, request.signed_in)


@takes("email", gives={"next": str, "changed": str})
def submit_email(web: WebContext, request: Request) -> Response:
    """Change the address of the account."""
    return _act(
        web,
        request,
        "email",
        lambda user_id, by: staff.change_email(web.services, user_id, request.text("email"), actor=by),
    )


@takes("role", gives={"next": str, "changed": str})
def submit_role(web: WebContext, request: Request) -> Response:
    """Change the role of the account."""
    return _act(
        web,
        request,
        "role",
        lambda user_id, by: staff.set_role(web.services, user_id, request.text("role"), actor=by),
    )


@takes(*_PROFILE, gives={"next": str, "changed": str})
def submit_profile(web: WebContext, request: Request) -> Response:
    """Write the fields that are sent, out of name, memo and notification address."""
    given = {name: request.text(name) if name in request.fields else None for name in _PROFILE}
    return _act(
        web,
        request,
        "profile",
        lambda user_id, by: staff.change_profile(
            web.services,
            user_id,
            name=None if given["name"] is None else line(given["name"]),
            memo=None if given["memo"] is None else given["memo"].strip(),
            notify_email=given["notify_email"],
            reading=None if given["reading"] is None else line(given["reading"]),
            actor=by,
        ),
    )


@takes(gives={"next": str, "changed": str})
def submit_unlock(web: WebContext, request: Request) -> Response:
    """Lift the lock of the account's address."""
    return _act(web, request, "unlock", lambda user_id, by: staff.unlock(web.services, user_id, actor=by))


@takes("reset", gives={"next": str, "changed": str})
def submit_security(web: WebContext, request: Request) -> Response:
    """Remove the second step of the account."""
    if not request.given_flag("reset"):
        return web.answers.refuse(request, Refused("bad_request"))
    return _act(
        web, request, "security", lambda user_id, by: staff_security.reset_factors(web.services, user_id, actor=by)
    )


def show_delete(web: WebContext, request: Request) -> Response:
    """Ask first: deletion cannot be undone."""
    person = staff_person.look_at(web.services, id_of(request))
    return web.answers.page(request, "staff-delete.html", **facts(web, request, person))


@takes(gives={"next": str, "deleted": str})
def submit_delete(web: WebContext, request: Request) -> Response:
    """Delete the account."""
    staff.delete_account(web.services, id_of(request), actor=actor(request))
    to = f"{web.path(request, 'staff')}?{urlencode({'deleted': id_of(request)})}"
    return web.answers.done(request, to, deleted=id_of(request))


def _act(web: WebContext, request: Request, what: str, act: Callable[[str, Actor], Refused | None]) -> Response:
    """Make one change from the page of an account, and return to that page."""
    user_id = id_of(request)
    try:
        refused = act(user_id, actor(request))
    except (AccountError, Busy) as error:
        refused = refusal(error)
    if refused is None:
        return web.answers.done(request, path_of(web, request, user_id), flash=f"staff_{what}", changed=what)
    return refuse_action(web, request, refused, what)


def refuse_action(web: WebContext, request: Request, refused: Refused, what: str) -> Response:
    """The page of the account, with the refusal beside the form. Raises `NoSuchAccount`."""
    if refused.code == REAUTHENTICATION.code:
        return challenges.meet_first(web, request.environ, REAUTHENTICATION, request.session)
    person = staff_person.look_at(web.services, id_of(request))
    # In JSON no page is shown.
    shown = {} if request.wants_json else facts(web, request, person, chosen="", role_before="", toggled=False)
    return web.answers.refuse(request, refused, page_of(what), **shown)


def facts(web: WebContext, request: Request, person: staff_person.Person, **more: Any) -> dict[str, Any]:
    """The facts of the pages of an account. A form that is shown anew has what was sent in its fields."""
    row, known = staff_list.row(web.services, person.user.id), staff_form.facts(web, request)
    if request.method != "POST":
        known["typed"] |= {"name": person.user.name, "reading": row.reading, "memo": person.memo}
        known["typed"] |= {"notify_email": person.user.notify_email or ""}
    roles = dict.fromkeys([*web.config.roles, person.user.role])
    return known | {"person": person, "row": row, "roles": roles, "self_id": request.signed_in.user.id} | more


def id_of(request: Request) -> str:
    """The account id in the path. WSGI holds its bytes as latin-1 characters (PEP 3333)."""
    return request.arguments["id"].encode("latin-1", "replace").decode("utf-8", "replace")


def path_of(web: WebContext, request: Request, user_id: str) -> str:
    """The path of the page of an account."""
    return web.path(request, f"staff/{quote(user_id, safe='')}")


def line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())
