"""Two apps under one host: with one sign-in for both, or with a sign-in of its own for each.

python two.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import run_simple

from nipo_auth_mw import AuthMiddleware, current_user, from_environ, require_role

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]


def reports(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """The first app."""
    user = current_user(environ)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"reports for {user.email if user else 'nobody'}".encode()]


def accounting(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """The second app, for administrators alone."""
    user = require_role(environ, "admin")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"accounting for {user.email}".encode()]


def nothing(_environ: Environ, start_response: Any) -> Iterable[bytes]:
    """What stands at no app's path."""
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"Nothing is here."]


def one_sign_in(**given: Any) -> AuthMiddleware:
    """One middleware around both: a user signs in once, and each app asks for its role."""
    both = DispatcherMiddleware(nothing, {"/reports": reports, "/accounting": accounting})
    return AuthMiddleware(both, **(given or from_environ(development=".nipo-auth")))


def two_sign_ins(settings: Callable[..., dict[str, Any]], origin: str = "http://localhost") -> DispatcherMiddleware:
    """A middleware for each app. `realm` keeps their cookies apart, and `base_url` names the mount of each.

    `settings` gives the arguments of a middleware for some fields of `AuthConfig`.
    """
    apps: dict[str, App] = {"reports": reports, "accounting": accounting}
    mounts = {
        f"/{name}": AuthMiddleware(app, **settings(realm=name, base_url=f"{origin}/{name}"))
        for name, app in apps.items()
    }
    return DispatcherMiddleware(nothing, mounts)


if __name__ == "__main__":
    run_simple("localhost", 8000, one_sign_in())
