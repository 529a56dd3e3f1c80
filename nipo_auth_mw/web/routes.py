"""Method and path to view. A feature adds its line here."""

from __future__ import annotations

from dataclasses import dataclass

from nipo_auth_mw.flows.staff import ADMIN
from nipo_auth_mw.web.site import View
from nipo_auth_mw.web.views import (
    account,
    confirm,
    devices,
    email_change,
    files,
    help,
    history,
    language,
    password_change,
    password_reset,
    profile,
    signin,
    signout,
    staff,
    staff_bulk,
)


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is below the prefix; a segment `<name>` takes anything.

    `needs_user`: visitors are asked to sign in, `role`: who lacks it is refused, `fresh`: the password must have been
    given lately. `before_change`: open to people who must change their password first. `identifies`: the view wants to
    know who is there, so the store is asked. `mailed`: its path holds a secret out of a mail.
    """

    path: str
    views: dict[str, View]
    needs_user: bool = False
    role: str = ""
    fresh: bool = False
    before_change: bool = False
    identifies: bool = True
    mailed: bool = False

    @property
    def methods(self) -> list[str]:
        read = ["GET", "HEAD"] if "GET" in self.views else []
        return [*read, *(method for method in self.views if method != "GET"), "OPTIONS"]

    def match(self, path: str) -> dict[str, str] | None:
        """The values of the `<...>` segments, or None for another path."""
        wanted, given = self.path.split("/"), path.split("/")
        if len(wanted) != len(given):
            return None
        values = {}
        for pattern, part in zip(wanted, given, strict=True):
            if pattern.startswith("<"):
                values[pattern[1:-1]] = part
            elif pattern != part:
                return None
        return values


def _staff(path: str, views: dict[str, View], *, fresh: bool = False) -> Route:
    return Route(path, views, needs_user=True, role=ADMIN, fresh=fresh)


ROUTES = (
    Route("login", {"GET": signin.show, "POST": signin.submit}),
    Route("logout", {"GET": signout.show, "POST": signout.submit}),
    Route("forgot", {"GET": password_reset.show_request, "POST": password_reset.submit_request}, identifies=False),
    Route("reset/<token>", {"GET": password_reset.show, "POST": password_reset.submit}, identifies=False, mailed=True),
    Route("account", {"GET": account.show}, needs_user=True),
    Route("account/confirm", {"GET": confirm.show, "POST": confirm.submit}, needs_user=True),
    Route(
        "account/password",
        {"GET": password_change.show, "POST": password_change.submit},
        needs_user=True,
        before_change=True,
    ),
    Route("account/email", {"GET": email_change.show, "POST": email_change.submit}, needs_user=True),
    Route(
        "email/confirm/<token>",
        {"GET": email_change.show_confirm, "POST": email_change.submit_confirm},
        identifies=False,
        mailed=True,
    ),
    Route(
        "email/cancel/<token>",
        {"GET": email_change.show_cancel, "POST": email_change.submit_cancel},
        identifies=False,
        mailed=True,
    ),
    Route("account/profile", {"POST": profile.submit}, needs_user=True),
    Route("account/sessions/end", {"POST": devices.submit}, needs_user=True),
    _staff("staff", {"GET": staff.show_list}),
    _staff("staff/create", {"GET": staff.show_create, "POST": staff.submit_create}, fresh=True),
    _staff("staff/bulk", {"GET": staff_bulk.show, "POST": staff_bulk.submit}, fresh=True),
    _staff("staff/<id>", {"GET": staff.show}),
    _staff("staff/<id>/active", {"POST": staff.submit_active}),
    _staff("staff/<id>/password", {"POST": staff.submit_password}, fresh=True),
    _staff("staff/<id>/email", {"POST": staff.submit_email}, fresh=True),
    _staff("staff/<id>/role", {"POST": staff.submit_role}, fresh=True),
    _staff("staff/<id>/profile", {"POST": staff.submit_profile}),
    _staff("staff/<id>/unlock", {"POST": staff.submit_unlock}),
    _staff("staff/<id>/delete", {"GET": staff.show_delete, "POST": staff.submit_delete}, fresh=True),
    Route("history", {"GET": history.show}, needs_user=True, role=ADMIN),
    Route("history.csv", {"GET": history.download}, needs_user=True, role=ADMIN),
    Route("help", {"GET": help.show}, identifies=False),
    Route("session", {"GET": account.session}),
    Route("language", {"POST": language.submit}, identifies=False),
    Route("static/<name>", {"GET": files.show}, identifies=False),
)


def find(path: str) -> tuple[Route, dict[str, str]] | None:
    for route in ROUTES:
        values = route.match(path)
        if values is not None:
            return route, values
    return None
