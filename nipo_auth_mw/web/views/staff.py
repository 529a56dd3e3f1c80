"""The staff pages: finding people, and what an administrator does to one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.wrappers import Response

from nipo_auth_mw.errors import AccountError, PasswordRejected
from nipo_auth_mw.flows import staff
from nipo_auth_mw.flows.staff import Actor
from nipo_auth_mw.parts.gate import Busy
from nipo_auth_mw.web import detours
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.shapes import person_data, user_data
from nipo_auth_mw.web.site import Site

_A_PAGE = 50
STATUS = {
    "no_such_account": 404,
    "not_supported": 404,
    "not_oneself": 403,
    "last_admin": 409,
    "email_taken": 422,
    "email_rejected": 422,
    "unknown_role": 422,
}


def actor(request: Request) -> Actor:
    return Actor(request.signed_in.user.id, request.client)


def offered(view: Callable[[Site, Request], Response]) -> Callable[[Site, Request], Response]:
    """The staff pages are there only where the user store is a `StaffDirectory`."""

    def answer(site: Site, request: Request) -> Response:
        if site.services.directory is None:
            return site.answers.refuse(request, "not_found", 404)
        return view(site, request)

    return answer


@offered
def show_list(site: Site, request: Request) -> Response:
    text, after = request.query.get("q", "").strip()[:254], request.query.get("after") or None
    found = staff.listed(site.services, text, after=after, limit=_A_PAGE + 1)
    page, more = found[:_A_PAGE], len(found) > _A_PAGE
    last = page[-1].email if more else ""
    if request.wants_json:
        users = [user_data(user) | {"active": user.active} for user in page]
        return site.answers.data({"users": users, "after": last or None})
    changed = request.query.get("changed", "")
    return site.answers.page(
        request,
        "staff.html",
        users=page,
        q=text,
        after=after or "",
        last=last,
        changed=staff.get(site.services, changed) if changed else None,
        self_id=request.signed_in.user.id,
    )


@offered
def submit_active(site: Site, request: Request) -> Response:
    """The button in the list, and its way back to where it was pressed."""
    user_id, given = _id(request), request.fields.get("active", "")
    if given not in {"0", "1", True, False}:
        return site.answers.refuse(request, "bad_request", 400)
    active = given in {"1", True}
    try:
        staff.set_active(site.services, user_id, active, actor=actor(request))
    except AccountError as refused:
        return refuse(site, request, refused)
    back = {"changed": user_id, "q": request.text("q"), "after": request.text("after")}
    to = f"{site.path(request, 'staff')}?{urlencode({name: value for name, value in back.items() if value})}"
    if request.text("from") == "person":
        said = "enabled" if active else "disabled"
        return site.answers.done(request, _path(site, request, user_id), said=said, active=active)
    return site.answers.done(request, to, active=active)


@offered
def show(site: Site, request: Request) -> Response:
    try:
        person = staff.look_at(site.services, _id(request))
    except AccountError as refused:
        return refuse(site, request, refused)
    if request.wants_json:
        return site.answers.data({"user": person_data(person)})
    return site.answers.page(request, "staff-person.html", **_facts(site, request, person), problem=None)


@offered
def show_create(site: Site, request: Request) -> Response:
    return site.answers.page(request, "staff-create.html", **form(site, request), problem=None)


@offered
def submit_create(site: Site, request: Request) -> Response:
    role = request.text("role") or "staff"
    try:
        user = staff.create_account(
            site.services,
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
        return refuse(site, request, refused, template="staff-create.html", context=form(site, request))
    to = _path(site, request, user.id)
    return site.answers.done(request, to, said="account_created", user=user_data(user) | {"active": user.active})


@offered
def submit_password(site: Site, request: Request) -> Response:
    return _act(
        site,
        request,
        "password",
        lambda user_id, by: staff.set_password(
            site.services, user_id, request.text("password"), must_change=request.flag("must_change"), actor=by
        ),
    )


@offered
def submit_email(site: Site, request: Request) -> Response:
    return _act(
        site,
        request,
        "email",
        lambda user_id, by: staff.change_email(site.services, user_id, request.text("email"), actor=by),
    )


@offered
def submit_role(site: Site, request: Request) -> Response:
    return _act(
        site,
        request,
        "role",
        lambda user_id, by: staff.set_role(site.services, user_id, request.text("role"), actor=by),
    )


@offered
def submit_profile(site: Site, request: Request) -> Response:
    """A new address for notices would take a takeover's warning elsewhere, so it asks for a fresh sign-in."""
    given = {name: request.text(name) if name in request.fields else None for name in ("name", "memo", "notify_email")}
    if given["notify_email"] is not None and not site.services.sessions.fresh(request.signed_in.stored):
        now = site.services.session_store.notes_of(_id(request)).notify_email or ""
        if given["notify_email"].strip() != now:
            return detours.stale(site, request.environ)
    return _act(
        site,
        request,
        "profile",
        lambda user_id, by: staff.change_profile(
            site.services,
            user_id,
            name=None if given["name"] is None else _line(given["name"]),
            memo=None if given["memo"] is None else given["memo"].strip(),
            notify_email=given["notify_email"],
            actor=by,
        ),
    )


@offered
def submit_unlock(site: Site, request: Request) -> Response:
    return _act(site, request, "unlock", lambda user_id, by: staff.unlock(site.services, user_id, actor=by))


@offered
def show_delete(site: Site, request: Request) -> Response:
    try:
        person = staff.look_at(site.services, _id(request))
    except AccountError as refused:
        return refuse(site, request, refused)
    return site.answers.page(request, "staff-delete.html", **_facts(site, request, person))


@offered
def submit_delete(site: Site, request: Request) -> Response:
    try:
        staff.delete_account(site.services, _id(request), actor=actor(request))
    except AccountError as refused:
        return refuse(site, request, refused)
    return site.answers.done(request, site.path(request, "staff"), said="account_deleted", deleted=_id(request))


def _act(site: Site, request: Request, what: str, act: Callable[[str, Actor], None]) -> Response:
    """One change from a person's page, and back to it."""
    user_id = _id(request)
    try:
        act(user_id, actor(request))
    except (AccountError, Busy) as refused:
        try:
            facts = _facts(site, request, staff.look_at(site.services, user_id))
        except AccountError as gone:
            return refuse(site, request, gone)
        return refuse(site, request, refused, template="staff-person.html", context={**facts, "at": what})
    return site.answers.done(request, _path(site, request, user_id), said=f"staff_{what}", changed=what)


def refuse(
    site: Site,
    request: Request,
    refused: AccountError | Busy,
    *,
    template: str = "refusal.html",
    context: dict[str, Any] | None = None,
) -> Response:
    """What an administrator was not allowed, or mistyped: the page it was on, with the reason."""
    if isinstance(refused, PasswordRejected):
        return site.answers.reject_password(request, refused, template=template, context=context or {})
    if isinstance(refused, Busy):
        return site.answers.refuse(request, "busy", 503, template=template, context=context, retry_after=1)
    return site.answers.refuse(request, refused.code, STATUS[refused.code], template=template, context=context)


def form(site: Site, request: Request) -> dict[str, Any]:
    """What a form for new accounts begins with, or goes on with after a refusal. Its password is made for each page
    anew, so no page shows one that was sent."""
    names = ("email", "name", "notify_email", "memo", "emails")
    sent = request.method == "POST"
    return {
        "typed": {name: request.text(name)[:20_000] if sent else "" for name in names},
        "role": request.text("role") if sent else "staff",
        "must_change": request.flag("must_change") if sent else True,
        "roles": site.config.roles,
        "generated": site.services.passwords.generate(),
        "min_length": site.config.passwords.min_length,
        "advice": [],
    }


def _facts(site: Site, request: Request, person: staff.Person) -> dict[str, Any]:
    """A person's page; what was typed stays in its field after a refusal."""
    roles = dict.fromkeys([*site.config.roles, person.user.role])
    return {**form(site, request), "person": person, "roles": roles, "self_id": request.signed_in.user.id, "at": ""}


def _id(request: Request) -> str:
    # WSGI holds the bytes of a path as latin-1 characters (PEP 3333).
    return request.arguments["id"].encode("latin-1", "replace").decode("utf-8", "replace")


def _path(site: Site, request: Request, user_id: str) -> str:
    return site.path(request, f"staff/{quote(user_id, safe='')}")


def _line(text: str) -> str:
    return " ".join(text.split())
