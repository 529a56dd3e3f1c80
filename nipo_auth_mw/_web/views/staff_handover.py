"""What an administrator hands over to a user: a password or a link, shown once.

The answer to the POST itself shows it. A redirect to a page that shows it would need the secret in a cookie, in a URL
or in the store, and an answer to a POST is none that a browser asks for again: `no-store` keeps it out of the caches,
auth.js removes the secret when the page is left, and a reload sends the form again. That form cannot do its work twice:
its id is used for a minute, the address is taken then, and `as_of` no longer fits the account. For that minute the
second press gets the same page: the password is made of the form, and compared with the hash of the account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials.generator import generate_password
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows import staff as flow
from nipo_auth_mw._flows.invitations import Invited, create_invited, invited_now
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.password_check import is_password_of
from nipo_auth_mw._flows.staff_accounts import account_at
from nipo_auth_mw._flows.staff_person import is_as_of
from nipo_auth_mw._web import staff_form
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.serializers import ListedUserData, listed_user_data
from nipo_auth_mw._web.views import staff
from nipo_auth_mw.errors import AccountError
from nipo_auth_mw.models import User
from nipo_auth_mw.protocols import Account

INVITED: dict[str, Any] = {"invited_until": str | None, "mailed": bool, "link": str | None}
"""The keys of `invited_data`, with their types."""


@dataclass(frozen=True, slots=True)
class Slip:
    """What one user gets: a password, or the URL of a link. Neither, if a mail brings the link.

    `temporary`: the user must choose another password. `until` is the end of either.
    """

    user: User | Account
    password: str = field(default="", repr=False)
    link: str = field(default="", repr=False)
    temporary: bool = False
    until: datetime | None = None


def show_create(web: WebContext, request: Request) -> Response:
    """Show the form for a new account."""
    return web.answers.page(request, "staff-create.html", **staff_form.facts(web, request), problem=None)


def show_created_again(web: WebContext, request: Request) -> Response | None:
    """The page of `submit_create` for a second press."""
    email = request.text("email")
    account = account_at(web.services, email)
    if account is not None and request.given_flag("invite"):
        invited = invited_now(web.services, account, actor=staff.actor(request))
        return show(web, request, account, invited=invited, created=True) if invited else None
    return _show_again(web, request, account, email, created=True)


@takes(
    "email",
    "name",
    "reading",
    "role",
    "invite",
    "password",
    "must_change",
    "notify_email",
    "memo",
    gives={"next": str, "user": ListedUserData, "password": str | None, **INVITED},
    again=show_created_again,
)
def submit_create(web: WebContext, request: Request) -> Response:
    """Create an account, with a password or an invitation, and show once what its owner gets."""
    try:
        outcome = _create(web, request)
    except (AccountError, Busy) as refused:
        outcome = refusal(refused)
    if isinstance(outcome, Refused):
        return web.answers.refuse(request, outcome, "staff-create.html", **staff_form.facts(web, request))
    return outcome


def show_password_again(web: WebContext, request: Request) -> Response | None:
    """The page of `submit_password` for a second press."""
    user_id = staff.id_of(request)
    return _show_again(web, request, web.services.users.get(user_id), user_id)


@takes(
    "password",
    "must_change",
    "as_of",
    gives={"next": str, "changed": str, "password": str | None},
    again=show_password_again,
)
def submit_password(web: WebContext, request: Request) -> Response:
    """Set a password, and show it once. The present one, every session and the lock of the account end."""
    user_id, typed = staff.id_of(request), request.text("password")
    if gone := refuse_stale(web, request, user_id, request.text("as_of")):
        return gone
    password = typed or made_password(web, request, user_id)
    must_change = request.flag("must_change")
    try:
        refused = flow.set_password(
            web.services, user_id, password, must_change=must_change, actor=staff.actor(request)
        )
    except (AccountError, Busy) as error:
        refused = refusal(error)
    if refused is not None:
        return staff.refuse_action(web, request, refused, "password")
    if request.wants_json:
        made = None if typed else password
        return web.answers.done(request, staff.path_of(web, request, user_id), changed="password", password=made)
    account = web.services.users.get(user_id)
    if account is None:
        return web.answers.refuse(request, Refused("no_such_account"))
    return show(web, request, account, password=password, temporary=must_change)


def show(
    web: WebContext,
    request: Request,
    user: User | Account,
    *,
    password: str = "",
    temporary: bool = False,
    invited: Invited | None = None,
    created: bool = False,
) -> Response:
    """The page that shows a password or a link once."""
    slip = slip_of(web, user, password=password, temporary=temporary, invited=invited)
    return web.answers.page(
        request, "staff-handover.html", slips=[slip], created=created, login_url=web.url("login"), after=""
    )


def _show_again(
    web: WebContext, request: Request, account: Account | None, about: str, *, created: bool = False
) -> Response | None:
    """The password that the first press has set, if the account still has it."""
    password = request.text("password") or made_password(web, request, about)
    if account is None or not is_password_of(web.services, account, password):
        return None
    return show(web, request, account, password=password, temporary=request.flag("must_change"), created=created)


def made_password(web: WebContext, request: Request, about: str) -> str:
    """A new password. Each press of one form by one administrator gets the same for the same `about`."""
    actor, forms = request.signed_in.user.id, web.services.one_time_forms
    # The id of the form is stored nowhere, so a copy of the database with the key tells no password.
    seed = forms.seed(*request.one_time_form, actor, about) if request.one_time_form else None
    return generate_password(web.config.passwords, seed)


def slip_of(
    web: WebContext,
    user: User | Account,
    *,
    password: str = "",
    temporary: bool = False,
    invited: Invited | None = None,
) -> Slip:
    """The slip of one user."""
    if invited is not None:
        link = "" if invited.route is None else web.url(invited.route)
        return Slip(user, link=link, until=datetime.fromtimestamp(invited.until, UTC))
    until = datetime.now(UTC) + flow.CHANGE_WITHIN if temporary else None
    return Slip(user, password, temporary=temporary, until=until)


def invited_data(web: WebContext, invited: Invited | None) -> dict[str, Any]:
    """An invitation as JSON for the administrator who made it: the link is there if no mail takes it to its owner."""
    if invited is None:
        return {"invited_until": None, "mailed": False, "link": None}
    ends = datetime.fromtimestamp(invited.until, UTC).isoformat()
    link = None if invited.route is None else web.url(invited.route)
    return {"invited_until": ends, "mailed": link is None, "link": link}


def refuse_stale(web: WebContext, request: Request, user_id: str, as_of: str) -> Response | None:
    """The refusal of a form that is sent again after a time, or whose account has changed since its page was made.

    A second password would be set, and the slip of the first be worthless. A program sends no `as_of`.
    Raises `NoSuchAccount`.
    """
    if not as_of or is_as_of(web.services, user_id, as_of):
        return None
    return staff.refuse_action(web, request, Refused("account_changed"), "password")


def _create(web: WebContext, request: Request) -> Response | Refused:
    """Create the account. Raises `AccountError` and `Busy`."""
    given: dict[str, Any] = {
        "email": request.text("email"),
        "name": staff.line(request.text("name")),
        "role": staff_form.role_of(request),
        "notify_email": request.text("notify_email").strip() or None,
        "memo": request.text("memo").strip(),
        "reading": staff.line(request.text("reading")),
        "actor": staff.actor(request),
    }
    if request.given_flag("invite"):
        made = create_invited(web.services, **given)
        if isinstance(made, Refused):
            return made
        user, invited = made
        if request.wants_json:
            return _created(web, request, user, None, invited)
        return show(web, request, user, invited=invited, created=True)
    typed, must_change = request.text("password"), request.flag("must_change")
    password = typed or made_password(web, request, given["email"])
    user = flow.create_account(
        web.services, **given, password=password, active=True, language=None, must_change=must_change
    )
    if request.wants_json:
        return _created(web, request, user, None if typed else password, None)
    return show(web, request, user, password=password, temporary=must_change, created=True)


def _created(web: WebContext, request: Request, user: User, password: str | None, invited: Invited | None) -> Response:
    """The new account as JSON. `password` is one that was made here."""
    to, handed = staff.path_of(web, request, user.id), invited_data(web, invited)
    return web.answers.done(request, to, user=listed_user_data(user), password=password, **handed)
