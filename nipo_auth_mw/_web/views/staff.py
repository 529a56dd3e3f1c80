"""The staff pages: the list of accounts, and an administrator's actions on one account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials.generator import generate_password
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows import staff
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._web import challenges
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
    user_id, given = _id(request), request.fields.get("active", "")
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
        return web.answers.done(request, _path(web, request, user_id), flash=flash, active=active)
    return web.answers.done(request, to, active=active)


@takes(gives={"user": PersonData})
def show(web: WebContext, request: Request) -> Response:
    """Show the page of an account."""
    try:
        person = staff.look_at(web.services, _id(request))
    except AccountError as refused:
        return web.answers.refuse(request, refusal(refused))
    if request.wants_json:
        return web.answers.data({"user": person_data(person)})
    return web.answers.page(request, "staff-person.html", **_facts(web, request, person), problem=None)


def show_create(web: WebContext, request: Request) -> Response:
    """Show the form for a new account, with a generated password."""
    return web.answers.page(request, "staff-create.html", **form(web, request), problem=None)


@takes(
    "email",
    "name",
    "role",
    "password",
    "must_change",
    "notify_email",
    "memo",
    gives={"next": str, "user": ListedUserData},
)
def submit_create(web: WebContext, request: Request) -> Response:
    """Create an account."""
    role = request.text("role") or "staff"
    try:
        user = staff.create_account(
            web.services,
            email=request.text("email"),
            password=request.text("password"),
            name=_line(request.text("name")),
            role=role,
            active=True,
            notify_email=request.text("notify_email").strip() or None,
            language=None,
            must_change=request.flag("must_change"),
            memo=request.text("memo").strip(),
            actor=actor(request),
        )
    except (AccountError, Busy) as refused:
        return web.answers.refuse(request, refusal(refused), "staff-create.html", **form(web, request))
    to = _path(web, request, user.id)
    return web.answers.done(request, to, flash="account_created", user=listed_user_data(user))


@takes("password", "must_change", gives={"next": str, "changed": str})
def submit_password(web: WebContext, request: Request) -> Response:
    """Set a password. The present one, every session and the lock of the account end."""
    return _act(
        web,
        request,
        "password",
        lambda user_id, by: staff.set_password(
            web.services, user_id, request.text("password"), must_change=request.flag("must_change"), actor=by
        ),
    )


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
            name=None if given["name"] is None else _line(given["name"]),
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
        person = staff.look_at(web.services, _id(request))
    except AccountError as refused:
        return web.answers.refuse(request, refusal(refused))
    return web.answers.page(request, "staff-delete.html", **_facts(web, request, person))


@takes(gives={"next": str, "deleted": str})
def submit_delete(web: WebContext, request: Request) -> Response:
    """Delete the account."""
    try:
        staff.delete_account(web.services, _id(request), actor=actor(request))
    except AccountError as refused:
        return web.answers.refuse(request, refusal(refused))
    return web.answers.done(request, web.path(request, "staff"), flash="account_deleted", deleted=_id(request))


def _act(web: WebContext, request: Request, what: str, act: Callable[[str, Actor], Refused | None]) -> Response:
    """Make one change from the page of an account, and return to that page."""
    user_id = _id(request)
    try:
        refused = act(user_id, actor(request))
    except (AccountError, Busy) as error:
        refused = refusal(error)
    if refused is None:
        return web.answers.done(request, _path(web, request, user_id), flash=f"staff_{what}", changed=what)
    if refused.code == REAUTHENTICATION.code:
        return challenges.meet_first(web, request.environ, REAUTHENTICATION, request.session)
    try:
        facts = _facts(web, request, staff.look_at(web.services, user_id))
    except AccountError as gone:
        return web.answers.refuse(request, refusal(gone))
    return web.answers.refuse(request, refused, "staff-person.html", **{**facts, "at": what})


def form(web: WebContext, request: Request) -> dict[str, Any]:
    """The fields of a form for new accounts; after a refusal, as they were sent.

    Each page generates a new password, so no page shows a password that was sent.
    """
    names = ("email", "name", "notify_email", "memo", "emails")
    sent = request.method == "POST"
    return {
        "typed": {name: request.text(name)[:20_000] if sent else "" for name in names},
        "role": request.text("role") if sent else "staff",
        "must_change": request.flag("must_change") if sent else True,
        "roles": web.config.roles,
        "generated": generate_password(web.config.passwords),
        "min_length": web.config.passwords.min_length,
        "advice": [],
    }


def _facts(web: WebContext, request: Request, person: staff.Person) -> dict[str, Any]:
    """The facts of the page of an account. After a refusal the text stays in its field."""
    roles = dict.fromkeys([*web.config.roles, person.user.role])
    return {**form(web, request), "person": person, "roles": roles, "self_id": request.signed_in.user.id, "at": ""}


def _id(request: Request) -> str:
    """The account id in the path. WSGI holds its bytes as latin-1 characters (PEP 3333)."""
    return request.arguments["id"].encode("latin-1", "replace").decode("utf-8", "replace")


def _path(web: WebContext, request: Request, user_id: str) -> str:
    """The path of the page of an account."""
    return web.path(request, f"staff/{quote(user_id, safe='')}")


def _line(text: str) -> str:
    """The text on one line, with single spaces."""
    return " ".join(text.split())
