"""What the apps of this folder share: a browser that is signed in."""

from __future__ import annotations

from typing import Any

from webtest import TestApp

from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.testing import in_memory, sign_in_as

MEMBER, ADMINISTRATOR = "yamada@example.com", "kanri@example.com"


def behind(app: Any, **settings: Any) -> AuthMiddleware:
    """The app behind the middleware, with the addresses of its users as their names."""
    return AuthMiddleware(app, **in_memory(remote_user="email", **settings))


def browser(auth: AuthMiddleware, email: str = "", role: str = "staff") -> TestApp:
    """A browser that is signed in with this address. Without one it is a visitor's, whose REMOTE_USER was forged."""
    made = TestApp(auth, extra_environ={"HTTP_ACCEPT": "text/html", "REMOTE_USER": ADMINISTRATOR})
    if email:
        sign_in_as(auth, made, email, role=role)
    return made
