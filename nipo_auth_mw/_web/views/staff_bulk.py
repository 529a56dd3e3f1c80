"""The staff page that creates many accounts: from a pasted list or a file, looked over before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from werkzeug.wrappers import Response

from nipo_auth_mw._flows import staff_words
from nipo_auth_mw._flows.invitations import invited_now
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.password_check import is_password_of
from nipo_auth_mw._flows.staff_accounts import account_at, user_of
from nipo_auth_mw._flows.staff_bulk import MOST, Line, code_of, create_many, look_over
from nipo_auth_mw._flows.staff_rejections import FileRejected
from nipo_auth_mw._flows.staff_rows import AccountRow, Listed, cells_of, columns_of, read_rows, text_of
from nipo_auth_mw._web import staff_form
from nipo_auth_mw._web.body import BadRequest
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.views import staff, staff_handover

_TEMPLATE = "staff-bulk.html"


class LineData(TypedDict):
    """The outcome of one line. `id` is null and `code` empty if it could be added and was not yet. The password or the
    link is in this answer alone."""

    email: str
    id: str | None
    code: str
    password: str | None
    link: str | None


def show(web: WebContext, request: Request) -> Response:
    """Show the form."""
    return web.answers.page(request, _TEMPLATE, **_form(web, request, ""), problem=None)


def show_again(web: WebContext, request: Request) -> Response:
    """The report of `submit` for a second press: what each user has got, if the account still has it."""
    role = staff_form.role_of(request)
    rows = [row for listed in _given(web, request) for row in listed.rows]
    later = _read(web, request.text("corrected")).rows
    return _report(web, request, [_line_again(web, request, row, role) for row in rows], _left(web, later, role))


@takes(
    "emails",
    "corrected",
    "upload",
    "role",
    "invite",
    "must_change",
    "confirm",
    gives={"lines": list[LineData]},
    again=show_again,
)
def submit(web: WebContext, request: Request) -> Response:
    """Create an account for each line. A form is first looked over; sent again with `confirm`, its lines are created.

    The page shows first the lines to correct. The answer that creates accounts shows once what each user gets.
    """
    try:
        emails, corrected = request.text("emails"), request.text("corrected")
    except BadRequest as bad:
        if bad.code != "too_large":
            raise
        return web.answers.refuse(request, Refused("too_large", detail="file"), _TEMPLATE, **_empty(web, request))
    typed = "\n".join(filter(None, [emails, corrected]))
    confirmed = request.flag("confirm")
    try:
        given = _given(web, request)
        later = _read(web, corrected)
    except FileRejected as rejected:
        refused = Refused("file_rejected", detail=rejected.reason, values={"about": rejected.about})
        return web.answers.refuse(request, refused, _TEMPLATE, **_form(web, request, typed))
    rows = [row for listed in given for row in listed.rows]
    role = staff_form.role_of(request)
    if confirmed:
        outcome = create_many(
            web.services,
            rows,
            role=role,
            invite=request.given_flag("invite"),
            must_change=request.flag("must_change"),
            actor=staff.actor(request),
            password_for=lambda email: staff_handover.made_password(web, request, email),
        )
    else:
        outcome = look_over(web.services, [*rows, *later.rows], role=role)
    if isinstance(outcome, Refused):
        return web.answers.refuse(request, outcome, _TEMPLATE, **_form(web, request, typed))
    if request.wants_json:
        return web.answers.data({"lines": [_data(web, one) for one in outcome]})
    if confirmed:
        return _report(web, request, outcome, _left(web, later.rows, role))
    return _preview(web, request, outcome, role, [heading for listed in (*given, later) for heading in listed.ignored])


def _line_again(web: WebContext, request: Request, row: AccountRow, role: str) -> Line:
    """The outcome that a row had at the first press: a refusal for an account that was there before.

    An account that the same administrator has invited by another form less than two minutes ago counts as added by this
    one.
    """
    account = None if row.problem else account_at(web.services, row.email)
    if account is not None:
        user = user_of(web.services, account)
        by = staff.actor(request)
        invited = invited_now(web.services, account, actor=by) if request.given_flag("invite") else None
        password = "" if invited else staff_handover.made_password(web, request, row.email)
        if invited or (password and is_password_of(web.services, account, password)):
            return Line(row, user=user, password=password, invited=invited)
        if not row.active and not account.active and account.password_hash is None:
            return Line(row, user=user)
    return Line(row, code_of(web.services, row, role, set()))


def _left(web: WebContext, rows: Sequence[AccountRow], role: str) -> list[Line]:
    """The rows that were not to be added yet, each with why it cannot be, if it cannot."""
    looked = look_over(web.services, rows, role=role)
    return [Line(row) for row in rows] if isinstance(looked, Refused) else looked


def _preview(web: WebContext, request: Request, lines: Sequence[Line], role: str, ignored: Iterable[str]) -> Response:
    """The page before anything is stored. Its rows are sent again, and read and judged anew."""
    fit, unfit = [one.row for one in lines if not one.code], [one for one in lines if one.code]
    columns = columns_of(one.row for one in lines)
    shown = staff_words.words_shown(web.pages.catalogues, web.config, request.language)
    return web.answers.page(
        request,
        "staff-preview.html",
        **_form(web, request, _text(web, request, fit, columns)),
        problem=None,
        refused=[(_label(one.row), one.code) for one in unfit],
        corrected=_text(web, request, [one.row for one in unfit], columns),
        in_columns=columns,
        fit=[[_shown({"role": role, **row.facts}, column, shown) for column in columns] for row in fit],
        ignored=list(dict.fromkeys(ignored)),
    )


def _report(web: WebContext, request: Request, lines: Sequence[Line], later: Sequence[Line]) -> Response:
    """The page with what each user gets, after the lines that were not added, and those `later` ones that were not
    to be added yet."""
    must_change = request.flag("must_change")
    refused = [one for one in lines if one.user is None]
    made = [one for one in lines if one.user is not None]
    slips = [
        staff_handover.slip_of(web, one.user, password=one.password, temporary=must_change, invited=one.invited)
        for one in made
        if one.user is not None and one.user.active
    ]
    left = [*refused, *later]
    return web.answers.page(
        request,
        "staff-report.html",
        **_form(web, request, _text(web, request, [one.row for one in left], columns_of(one.row for one in left))),
        problem=None,
        refused=[(_label(one.row), one.code) for one in left],
        made=len(made),
        slips=slips,
        disabled=[one.user for one in made if one.user is not None and not one.user.active],
        shown=[slip for slip in slips if slip.password or slip.link],
        login_url=web.url("login"),
    )


def _form(web: WebContext, request: Request, emails: str) -> dict[str, Any]:
    """The facts of the form, with these people in it."""
    form = staff_form.facts(web, request)
    return {**form, "typed": {**form["typed"], "emails": emails}, "most": MOST}


def _empty(web: WebContext, request: Request) -> dict[str, Any]:
    """The facts of the form after a body that was not read."""
    fresh = web.request({**request.environ, "REQUEST_METHOD": "GET"})
    return _form(web, fresh, "")


def _given(web: WebContext, request: Request) -> list[Listed]:
    """The people of the file and of the pasted list. Raises `FileRejected`."""
    return [_read(web, source) for source in (request.file("upload"), request.text("emails"))]


def _read(web: WebContext, source: bytes | str) -> Listed:
    """The rows of a file or of a text. Raises `FileRejected`."""
    return read_rows(source, staff_words.words_read(web.pages.catalogues, web.config), most=MOST)


def _text(web: WebContext, request: Request, rows: Sequence[AccountRow], columns: Sequence[str]) -> str:
    """The rows as text for a form. Addresses alone need no headings."""
    shown = staff_words.words_shown(web.pages.catalogues, web.config, request.language)
    headings = staff_words.headings_in(web.pages.catalogues, request.language)
    lines = [cells_of(row, columns, shown) for row in rows]
    with_headings = lines and columns != ["email"]
    return text_of([[headings[column] for column in columns], *lines] if with_headings else lines)


def _shown(facts: Mapping[str, Any], column: str, shown: Mapping[str, Mapping[Any, str]]) -> str:
    """One cell of the preview."""
    value = facts.get(column, "")
    return str(shown.get(column, {}).get(value, value))


def _label(row: AccountRow) -> str:
    """What tells the row from the others."""
    return " ".join(filter(None, [row.text("name"), row.email])) or f"{row.line}"


def _data(web: WebContext, line: Line) -> LineData:
    """A line as JSON."""
    return {
        "email": line.user.email if line.user else line.row.email[:254],
        "id": line.user.id if line.user else None,
        "code": line.code,
        "password": line.password or None,
        "link": staff_handover.invited_data(web, line.invited)["link"],
    }
