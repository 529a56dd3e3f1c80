"""The table of routes: path and method to view. A feature adds its line here."""

from __future__ import annotations

from collections.abc import Callable

from nipo_auth_mw._flows.email_change import offered as offers_email_change
from nipo_auth_mw._flows.password_change import PASSWORD_CHANGE
from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw._flows.two_step import SECOND_STEP
from nipo_auth_mw._services import Services
from nipo_auth_mw._web.context import View
from nipo_auth_mw._web.route import Route
from nipo_auth_mw._web.views import (
    account,
    audit,
    devices,
    email_change,
    files,
    forward,
    health,
    help,
    invitations,
    language,
    login,
    logout,
    openapi,
    passkeys,
    passkeys_login,
    password_change,
    password_reset,
    profile,
    reauthenticate,
    second_step,
    staff,
    staff_bulk,
    staff_handover,
    staff_list,
    staff_person,
    two_step,
    usage,
)


def _has_directory(services: Services) -> bool:
    """Whether administrators can change accounts."""
    return services.directory is not None


def _sends_mail(services: Services) -> bool:
    """Whether there is a mailer, without which no link is valid that a mail holds."""
    return services.outbox.sends


def _has_languages(services: Services) -> bool:
    """Whether there is a language to switch to."""
    return len(services.config.languages) > 1


def _notes_usage(services: Services) -> bool:
    """Whether the store keeps the days of use."""
    return services.usage is not None


def _has_factors(services: Services) -> bool:
    """Whether accounts can have two steps: the store keeps proofs, and the extra is installed."""
    return services.factors is not None


def _has_passkeys(services: Services) -> bool:
    """Whether accounts can have passkeys: `base_url` names a host, and the setting does not hide them."""
    return services.passkeys is not None


def _security(
    path: str, views: dict[str, View], *, leads_to: str = "", offered: Callable[[Services], bool] = _has_factors
) -> Route:
    """A sensitive action on the proofs of the user's second step."""
    return Route(
        f"account/security/{path}",
        views,
        needs_user=True,
        fresh=True,
        satisfies=SECOND_STEP,
        leads_to=leads_to,
        offered=offered,
    )


def _keeps_factors(services: Services) -> bool:
    """Whether the staff pages are offered, and the store keeps proofs of a second step."""
    return _has_directory(services) and services.factor_store is not None


def _staff(
    path: str,
    views: dict[str, View],
    *,
    fresh: bool = False,
    page: bool = True,
    leads_to: str = "",
    upload: bool = False,
    confirmed_by: str = "",
    offered: Callable[[Services], bool] = _has_directory,
) -> Route:
    """A route for administrators."""
    return Route(
        path,
        views,
        needs_user=True,
        role=ADMIN,
        fresh=fresh,
        page=page,
        leads_to=leads_to,
        upload=upload,
        confirmed_by=confirmed_by,
        offered=offered,
    )


ROUTES = (
    Route("login", {"GET": login.show, "POST": login.submit}),
    Route("login/second", {"GET": second_step.show, "POST": second_step.submit}, offered=_has_factors),
    Route(
        "login/passkey", {"GET": passkeys_login.show, "POST": passkeys_login.submit}, page=False, offered=_has_passkeys
    ),
    Route("logout", {"GET": logout.show, "POST": logout.submit}, page=False),
    Route("logout/forget", {"GET": logout.forget}, identifies=False, page=False),
    Route("forgot", {"GET": password_reset.show_request, "POST": password_reset.submit_request}, identifies=False),
    Route(
        "reset/<token>",
        {"GET": password_reset.show, "POST": password_reset.submit},
        identifies=False,
        mailed=True,
        leads_to="login",
        flash="password_reset",
        offered=_sends_mail,
    ),
    Route(
        "invite/<token>",
        {"GET": invitations.show, "POST": invitations.submit},
        identifies=False,
        mailed=True,
        leads_to="login",
        flash="invitation_accepted",
    ),
    Route("account", {"GET": account.show}, needs_user=True),
    Route(
        "account/confirm",
        {"GET": reauthenticate.show, "POST": reauthenticate.submit},
        needs_user=True,
        satisfies=SECOND_STEP,
    ),
    Route("account/security", {"GET": two_step.show}, needs_user=True, satisfies=SECOND_STEP, offered=_has_factors),
    _security("app", {"GET": two_step.show_app, "POST": two_step.submit_app}),
    _security("codes", {"GET": two_step.show_codes, "POST": two_step.submit_codes}, leads_to="account/security/codes"),
    _security("two-step", {"GET": two_step.show_switch, "POST": two_step.submit_switch}),
    _security("passkeys", {"GET": passkeys.show, "POST": passkeys.submit}, offered=_has_passkeys),
    _security("remove", {"GET": two_step.show_remove, "POST": two_step.submit_remove}),
    _security("rename", {"GET": two_step.show_rename, "POST": two_step.submit_rename}),
    Route(
        "account/password",
        {"GET": password_change.show, "POST": password_change.submit},
        needs_user=True,
        fresh_if_two=True,
        satisfies=PASSWORD_CHANGE,
    ),
    Route(
        "account/email",
        {"GET": email_change.show, "POST": email_change.submit},
        needs_user=True,
        fresh_if_two=True,
        offered=offers_email_change,
    ),
    Route(
        "account/email/cancel",
        {"POST": email_change.submit_withdraw},
        needs_user=True,
        leads_to="account",
        flash="email_change_withdrawn",
        offered=offers_email_change,
    ),
    Route(
        "email/confirm/<token>",
        {"GET": email_change.show_confirm, "POST": email_change.submit_confirm},
        identifies=False,
        mailed=True,
        leads_to="login",
        flash="email_changed",
        offered=offers_email_change,
    ),
    Route(
        "email/cancel/<token>",
        {"GET": email_change.show_cancel, "POST": email_change.submit_cancel},
        identifies=False,
        mailed=True,
        leads_to="forgot",
        flash="email_change_cancelled",
        offered=offers_email_change,
    ),
    Route("account/profile", {"POST": profile.submit}, needs_user=True),
    Route("account/sessions/end", {"POST": devices.submit}, needs_user=True),
    _staff("staff", {"GET": staff_list.show_list}),
    _staff("staff.csv", {"GET": staff_list.download}, page=False),
    _staff("staff/create", {"GET": staff_handover.show_create, "POST": staff_handover.submit_create}, fresh=True),
    _staff(
        "staff/bulk",
        {"GET": staff_bulk.show, "POST": staff_bulk.submit},
        fresh=True,
        upload=True,
        confirmed_by="confirm",
    ),
    _staff("staff/<id>", {"GET": staff_person.show}),
    _staff("staff/<id>/active", {"GET": staff_person.ask_active, "POST": staff_person.submit_active}),
    _staff("staff/<id>/sessions", {"POST": staff_person.submit_sessions}),
    _staff("staff/<id>/password", {"GET": staff_person.show_form, "POST": staff_handover.submit_password}, fresh=True),
    _staff("staff/<id>/invite", {"POST": invitations.submit_invite}, fresh=True),
    _staff("staff/<id>/email", {"GET": staff_person.show_form, "POST": staff.submit_email}, fresh=True),
    _staff("staff/<id>/role", {"GET": staff_person.show_role, "POST": staff.submit_role}, fresh=True),
    _staff("staff/<id>/profile", {"GET": staff_person.show_form, "POST": staff.submit_profile}),
    _staff("staff/<id>/unlock", {"POST": staff.submit_unlock}),
    _staff(
        "staff/<id>/security",
        {"GET": staff_person.show_form, "POST": staff.submit_security},
        fresh=True,
        offered=_keeps_factors,
    ),
    _staff("staff/<id>/delete", {"GET": staff.show_delete, "POST": staff.submit_delete}, fresh=True, leads_to="staff"),
    Route("audit", {"GET": audit.show}, needs_user=True, role=ADMIN),
    Route("audit.csv", {"GET": audit.download}, needs_user=True, role=ADMIN, page=False),
    Route("audit/usage", {"GET": usage.show}, needs_user=True, role=ADMIN, offered=_notes_usage),
    Route("audit/usage.csv", {"GET": usage.download}, needs_user=True, role=ADMIN, page=False, offered=_notes_usage),
    Route("help", {"GET": help.show}, identifies=False),
    Route("session", {"GET": account.session}, page=False),
    Route("forward", {"GET": forward.show}, page=False, options=False),
    Route("health", {"GET": health.show}, identifies=False, page=False),
    Route("openapi.json", {"GET": openapi.show}, identifies=False, page=False),
    Route("language", {"POST": language.submit}, identifies=False, offered=_has_languages),
    Route("static/<name>", {"GET": files.show}, identifies=False, page=False),
)


def find(path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a path below the prefix, and the values of its `<...>` segments."""
    for route in ROUTES:
        values = route.match(path)
        if values is not None:
            return route, values
    return None


def is_page(path: str) -> bool:
    """Whether a redirect may lead to this path below the prefix."""
    found = find(path)
    return found is not None and found[0].page and "GET" in found[0].views


def page_of(path: str) -> View:
    """The view that shows the page of this path. Raises LookupError if no route has it."""
    found = find(path)
    if found is None:
        raise LookupError(f"no route is called {path!r}")
    return found[0].views["GET"]


def is_page_of_user(path: str) -> bool:
    """Whether a redirect may lead a signed-in user to this path. A page of sign-in would loop."""
    found = find(path)
    return is_page(path) and found is not None and found[0].needs_user
