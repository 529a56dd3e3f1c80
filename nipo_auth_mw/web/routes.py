"""Method and path to view. A feature adds its line here."""

from __future__ import annotations

from dataclasses import dataclass

from nipo_auth_mw.web.site import View
from nipo_auth_mw.web.views import account, files, help, language, password_reset, signin, signout


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is below the prefix; a segment `<name>` takes anything. `needs_user`: visitors are asked to sign in.
    `identifies`: the view wants to know who is there, so the store is asked. `mailed`: its path holds a secret out of a
    mail."""

    path: str
    views: dict[str, View]
    needs_user: bool = False
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


ROUTES = (
    Route("login", {"GET": signin.show, "POST": signin.submit}),
    Route("logout", {"GET": signout.show, "POST": signout.submit}),
    Route("forgot", {"GET": password_reset.show_request, "POST": password_reset.submit_request}, identifies=False),
    Route("reset/<token>", {"GET": password_reset.show, "POST": password_reset.submit}, identifies=False, mailed=True),
    Route("account", {"GET": account.show}, needs_user=True),
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
