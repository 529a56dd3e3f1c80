"""A browser that keeps cookies, for any WSGI app, without a server."""

from __future__ import annotations

import io
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from benchmarks.request import Answer, environ


def request_of(path: str, cookies: dict[str, str], form: dict[str, str] | None = None) -> dict[str, Any]:
    """One request as a server passes it on."""
    body = urlencode(form).encode() if form else b""
    found = environ(path, body=body) | {"wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO()}
    found |= {"wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}
    if form is not None:
        found["REQUEST_METHOD"] = "POST"
    if cookies:
        found["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return found


class Browser:
    """A browser on one app."""

    def __init__(self, wsgi: Any) -> None:
        self.wsgi = wsgi
        self.cookies: dict[str, str] = {}

    def open(self, path: str, form: dict[str, str] | None = None) -> str:
        """The text of the answer; cookies are kept as the app asks."""
        answer = Answer()
        found = self.wsgi(request_of(path, self.cookies, form), answer.start)
        try:
            text = b"".join(found).decode("utf-8", "replace")
        finally:
            getattr(found, "close", lambda: None)()
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                self._keep(value)
        return text

    def _keep(self, header: str) -> None:
        for name, morsel in SimpleCookie(header).items():
            if not morsel.value or morsel["max-age"] == "0" or "1970" in morsel["expires"]:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.coded_value
