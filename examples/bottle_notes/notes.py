"""Bottle: `app.catchall = False` lets the middleware answer what the views refuse.

python notes.py
"""

from __future__ import annotations

from typing import Any

import bottle

from nipo_auth_mw import AuthMiddleware, from_environ, require_role, require_user, sign_out_form

PAGE = "<h1>Notes of {{name}}</h1>{{!sign_out}}"


def make(**given: Any) -> AuthMiddleware:
    """The app behind the middleware. Tests give `in_memory(…)`."""
    app = bottle.Bottle()
    app.catchall = False

    @app.get("/")
    def index() -> str:
        environ = bottle.request.environ
        return str(bottle.template(PAGE, name=require_user(environ).name, sign_out=sign_out_form(environ)))

    @app.get("/bin")
    def bin_() -> str:
        require_role(bottle.request.environ, "admin")
        return "the bin"

    return AuthMiddleware(app, **(given or from_environ(development=".nipo-auth")))


if __name__ == "__main__":
    bottle.run(make(), host="localhost", port=8000)
