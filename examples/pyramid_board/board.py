"""Pyramid: nothing but the wrapper is needed, since Pyramid lets the exceptions of the checks pass.

python board.py
"""

from __future__ import annotations

from typing import Any
from wsgiref.simple_server import make_server

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from nipo_auth_mw import AuthMiddleware, current_user, from_environ, require_fresh


def board(request: Request) -> Response:
    """The board, for anyone who is signed in."""
    user = current_user(request.environ)
    return Response(f"The board, read by {user.email if user else ''}")


def clear(request: Request) -> Response:
    """Clearing the board asks for the password again if it was confirmed long ago."""
    require_fresh(request.environ)
    return Response("cleared")


def make(**given: Any) -> AuthMiddleware:
    """The app behind the middleware. Tests give `in_memory(…)`."""
    with Configurator() as config:
        config.add_route("board", "/")
        config.add_route("clear", "/clear")
        config.add_view(board, route_name="board")
        config.add_view(clear, route_name="clear", request_method="POST")
        app = config.make_wsgi_app()
    return AuthMiddleware(app, **(given or from_environ(development=".nipo-auth")))


if __name__ == "__main__":
    make_server("localhost", 8000, make()).serve_forever()
