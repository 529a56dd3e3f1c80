"""What the table of routes says about one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._services import Services
from nipo_auth_mw._web.context import View
from nipo_auth_mw._web.mail_links import token_in


def _always(_services: Services) -> bool:
    """A route that no setting takes away."""
    return True


@dataclass(frozen=True, slots=True)
class Route:
    """One path below the prefix, and the view of each of its methods. A segment `<name>` matches any text.

    `needs_user`: a visitor is asked to sign in. `role`: a user without it is refused. `fresh`: the route is a sensitive
    action and asks for re-authentication. `fresh_if_two`: it does so for an account with two steps, since its form asks
    for the password alone. `satisfies`: the requirement that this route meets, so it is open before then.
    `identifies`: the view needs the active session, so the store is asked. `mailed`: the path ends in `<token>`,
    a secret from a mail, and in what mail programs add. `page`: a redirect may lead here, since GET shows a page and
    changes nothing. `leads_to` and `flash`: where a success leads, and the message there, if that is not the page above
    with a message of its own. `upload`: its form may have a file, if its sender has the role. `confirmed_by`: the field
    without which its form changes nothing. `options`: whether OPTIONS is answered; not where 200 lets a request pass.
    `offered`: whether the settings and the stores allow the route; otherwise it does not exist.
    """

    path: str
    views: dict[str, View]
    needs_user: bool = False
    role: str = ""
    fresh: bool = False
    fresh_if_two: bool = False
    satisfies: Requirement | None = None
    identifies: bool = True
    mailed: bool = False
    page: bool = True
    leads_to: str = ""
    flash: str = ""
    upload: bool = False
    confirmed_by: str = ""
    options: bool = True
    offered: Callable[[Services], bool] = _always

    @property
    def feature(self) -> str:
        """The module of its view: the feature that the route belongs to, or a part of it such as `staff_bulk`."""
        return next(iter(self.views.values())).__module__.rpartition(".")[2]

    @property
    def words(self) -> list[str]:
        """The fixed words of the path, which name its form."""
        return [part for part in self.path.split("/") if not part.startswith("<")]

    @property
    def one_time(self) -> bool:
        """Whether a second press of the route's form does nothing: what it changes lies with the server."""
        return "POST" in self.views and (self.needs_user or self.mailed)

    @property
    def methods(self) -> list[str]:
        """The methods that the route accepts, as `Allow` lists them."""
        read = ["GET", "HEAD"] if "GET" in self.views else []
        others = (method for method in self.views if method != "GET")
        return [*read, *others, *(["OPTIONS"] if self.options else [])]

    def match(self, path: str) -> dict[str, str] | None:
        """The values of the `<...>` segments, or None for another path."""
        if self.mailed:
            start = self.path.partition("<")[0]
            return {"token": token_in(path.removeprefix(start))} if path.startswith(start) else None
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
