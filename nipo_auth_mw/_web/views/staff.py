"""The staff pages: the list of accounts, and an administrator's actions on one account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows import staff, staff_person
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._web import challenges, staff_form
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.serializers import ListedUserData, PersonData, listed_user_data, person_data
from nipo_auth_mw.errors import AccountError

_A_PAGE = 50


def actor(request: Request) -> Actor:
    """The administrator who sends the request."""
    return Actor(request.signed_in.user.id, request.client, request.signed_in)


@takes("q", "after", gives={"users": list[ListedUserData], "after": str | None})
def show_list(web: WebContext, request: Request) -> Response:
    """Show one page of the accounts that match the search."""
    text, after = request.query.get("q", "").strip()[:254], request.query.get("after") or None
    found = staff.listed(web.services, text, after=after, limit=_A_PAGE + 1)
    page, more = found[:_A_PAGE], len(found) > _A_PAGE
    last = page[-1].email if more else ""
    if request.wants_json:
        users = [listed_user_data(user) for user in page]
        return web.answers.data({"users": users, "after": last or None})
    changed = request.query.get("changed", "")
    return web.answers.page(
        request,
        "staff.html",
        users=page,
        q=text,
        after=after or "",
        last=last,
        changed=staff.get(web.services, changed) if changed else None,
        self_id=request.signed_in.user.id,
    )


@takes("active", "q", "after", "from", gives={"next": str, "active": bool})
def submit_active(web: WebContext, request: Request) -> Response:
    """Enable or disable an account, and return to the page with the button."""
    user_id, given = id_of(request), request.fields.get("active", "")
    if given not in {"0", "1", True, False}:
        return web.answers.refuse(request, Refused("bad_request"))
    active = given in {"1", True}
    try:
        staff.set_active(web.services, user_id, active, actor=actor(request))
    except AccountError as refused:
        return web.answers.refuse(request, refusal(refused))
    back = {"changed": user_id, "q": request.text("q"), "after": request.text("after")}
    to = f"{web.path(request, 'staff')}?{urlencode({name: value for name, value in back.items() if value})}"
    if request.text("from") == "person":
        flash = "enabled" if active else "disabled"
        return web.answers.done(request, path_of(web, request, user_id), flash=flash, active=active)
    return web.answers.done(request, to, active=active)


@takes(gives={"user": PersonData})
def show(web: WebContext, request: Request) -> Response:
    """Show the page of an account."""
    try:
        person = staff_person.look_at(web.services, id_of(request))
    except AccountError as refused:
        return web.answers.refuse(request, refusal(refused))
    if request.wants_json:
        return web.answers.data({"user": person_data(person)})
    return web.answers.page(request, "staff-person.html", **_facts(web, request, person), problem=None)


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


@takes("name", "memo", "notify_email", gives={"next": str, "changed": str})
def submit_profile(web: WebContext, request: Request) -> Response:
    """Write the fields that are sent, out of name, memo and notification address."""
    given = {name: request.text(name) if name in request.fields else None for name in ("name", "memo", "notify_email")}
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
            actor=by,
        ),
    )


@takes(gives={"next": str, "changed": str})
def submit_unlock(web: WebContext, request: Request) -> Response:
    """Lift the lock of the account's address."""
    return _act(web, request, "unlock", lambda user_id, by: staff.unlock(web.services, user_id, actor=by))


def show_delete(web: WebContext, request: Request) -> Response:
    """Ask first: deletion cannot be undone."""
    try:
        person = staff_person.look_at(web.services, id_of(request))
    except AccountError as refused:
        return web.answers.refuse(request, refusal(refused))
    return web.answers.page(request, "staff-delete.html", **_facts(web, request, person))


@takes(gives={"next": str, "deleted": str})
def submit_delete(web: WebContext, request: Request) -> Response:
    """Delete the account."""
    try:
        staff.delete_account(web.services, id_of(request), actor=actor(request))
    except AccountError as refused:
        return web.answers.refuse(request, refusal(refused))
    return web.answers.done(request, web.path(request, "staff"), flash="account_deleted", deleted=id_of(request))


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
    """The page of the account, with the refusal beside the form."""
    user_id = id_of(request)
    if refused.code == REAUTHENTICATION.code:
        return challenges.meet_first(web, request.environ, REAUTHENTICATION, request.session)
    try:
        facts = _facts(web, request, staff_person.look_at(web.services, user_id))
    except AccountError as gone:
        return web.answers.refuse(request, refusal(gone))
    return web.answers.refuse(request, refused, "staff-person.html", **{**facts, "at": what})


def _facts(web: WebContext, request: Request, person: staff_person.Person) -> dict[str, Any]:
    """The facts of the page of an account. After a refusal the text stays in its field."""
    roles = dict.fromkeys([*web.config.roles, person.user.role])
    return {
        **staff_form.facts(web, request),
        "person": person,
        "roles": roles,
        "self_id": request.signed_in.user.id,
        "at": "",
    }


def id_of(request: Request) -> str:
    """The account id in the path. WSGI holds its bytes as latin-1 characters (PEP 3333)."""
    return request.arguments["id"].encode("latin-1", "replace").decode("utf-8", "replace")


def path_of(web: WebContext, request: Request, user_id: str) -> str:
    """The path of the page of an account."""
    return web.path(request, f"staff/{quote(user_id, safe='')}")


def line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())
