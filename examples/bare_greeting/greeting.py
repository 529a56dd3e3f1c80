"""A WSGI function and nothing else: `REMOTE_USER`, and the app's own 401 that becomes the sign-in page.

python greeting.py
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any
from wsgiref.simple_server import make_server

from nipo_auth_mw import AuthMiddleware, current_user, from_environ, sign_out_form


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """`/` greets anyone, `/mine` only a user."""
    user = current_user(environ)
    if environ["PATH_INFO"] == "/mine" and user is None:
        start_response("401 Unauthorized", [("Content-Type", "text/plain")])
        return [b"Sign in first."]
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    name = escape(user.name) if user else "stranger"
    return [f"<p>Hello, {name}.</p>{sign_out_form(environ)}".encode()]


def make(**given: Any) -> AuthMiddleware:
    """The app behind the middleware. Tests give `in_memory(…)`."""
    return AuthMiddleware(app, **(given or from_environ(development=".nipo-auth")))


if __name__ == "__main__":
    make_server("localhost", 8000, make()).serve_forever()
