"""Falcon: an error handler of two lines lets the middleware answer what the views refuse.

python stock.py
"""

from __future__ import annotations

from typing import Any, NoReturn
from wsgiref.simple_server import make_server

import falcon
from werkzeug.exceptions import HTTPException

from nipo_auth_mw import AuthMiddleware, from_environ, require_role, require_user


def let_pass(_request: falcon.Request, _response: falcon.Response, refusal: HTTPException, _params: Any) -> NoReturn:
    """Let the middleware answer."""
    raise refusal


class Stock:
    """What is in stock. An administrator can change it."""

    def __init__(self) -> None:
        self.count = 3

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """The number, and who asks."""
        response.media = {"count": self.count, "for": require_user(request.env).email}

    def on_put(self, request: falcon.Request, response: falcon.Response) -> None:
        """Write the number."""
        require_role(request.env, "admin")
        self.count = int(request.media["count"])
        response.media = {"count": self.count}


def make(**given: Any) -> AuthMiddleware:
    """The app behind the middleware. Tests give `in_memory(…)`."""
    app = falcon.App()
    app.add_route("/stock", Stock())
    app.add_error_handler(HTTPException, let_pass)
    return AuthMiddleware(app, **(given or from_environ(development=".nipo-auth")))


if __name__ == "__main__":
    make_server("localhost", 8000, make()).serve_forever()
