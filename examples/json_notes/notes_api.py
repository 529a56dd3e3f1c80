"""A front end without a framework: static/index.html and static/app.js, on the JSON of the middleware and of the app.

python notes_api.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.serving import run_simple

from nipo_auth_mw import AuthMiddleware, from_environ, require_user

STATIC = Path(__file__).parent / "static"
PUBLIC = ("/", "/static/*")
HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
]
LONGEST = 10_000


class Notes:
    """`GET` and `POST /api/notes`: each user has notes of their own. `/` is the page, which anyone may load."""

    def __init__(self) -> None:
        self.notes: dict[str, list[str]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == "/":
            start_response("200 OK", HEADERS)
            return [(STATIC / "index.html").read_bytes()]
        if environ["PATH_INFO"] != "/api/notes":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Nothing is here."]
        mine = self.notes.setdefault(require_user(environ).id, [])
        if environ["REQUEST_METHOD"] == "POST":
            # No page of another site can send this media type without asking first.
            if environ.get("CONTENT_TYPE", "").partition(";")[0] != "application/json":
                start_response("415 Unsupported Media Type", [("Content-Type", "text/plain")])
                return [b"Send application/json."]
            size = min(int(environ.get("CONTENT_LENGTH") or 0), LONGEST)
            mine.append(str(json.loads(environ["wsgi.input"].read(size))["text"]))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"notes": mine}).encode()]


def make(**given: Any) -> AuthMiddleware:
    """The app behind the middleware. Tests give `in_memory(public_paths=PUBLIC)`."""
    app = SharedDataMiddleware(Notes(), {"/static": str(STATIC)})
    if not given:
        given = from_environ({"NIPO_AUTH_PUBLIC_PATHS": ",".join(PUBLIC)}, development=".nipo-auth")
    return AuthMiddleware(app, **given)


if __name__ == "__main__":
    run_simple("localhost", 8000, make())
