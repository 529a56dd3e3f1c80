"""An ASGI app behind the middleware, through `a2wsgi`. FastAPI, Starlette and Quart go the same way.

Websockets do not pass.

python clock.py
"""

from __future__ import annotations

from typing import Any
from wsgiref.simple_server import make_server

import a2wsgi

from nipo_auth_mw import AuthMiddleware, current_user, from_environ


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the time of day in words, and the name of the user."""
    user = current_user(scope["wsgi_environ"])
    text = f"{user.name if user else 'Nobody'}, it is late."
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def make(**given: Any) -> AuthMiddleware:
    """The app behind the middleware. Tests give `in_memory(…)`."""
    return AuthMiddleware(a2wsgi.ASGIMiddleware(app), **(given or from_environ(development=".nipo-auth")))


if __name__ == "__main__":
    make_server("localhost", 8000, make()).serve_forever()
