"""Django's test client, with the middleware before the site.

class ReportsTest(TestCase):
    client_class = Client

    def test_the_reports(self):
        self.client.sign_in("yamada@example.com", name="山田")
        self.assertContains(self.client.get("/"), "山田")
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import Client as DjangoClient
from django.test.client import MULTIPART_CONTENT, ClientHandler

from nipo_auth_mw.django import protect, settings_and_environ
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import User
from nipo_auth_mw.testing import in_memory_from, sign_in_as

__all__ = ["Client"]

_ANSWER = "nipo_auth_mw.testing.answer"
_HOST = ("HTTP_HOST", "SERVER_NAME", "SERVER_PORT")


class Client(DjangoClient):  # type: ignore[misc]
    """A client whose requests go through an `AuthMiddleware` on memory, with the site's `NIPO_AUTH_…` settings.

    `auth` holds other collaborators, such as `in_memory(lockout=…)`. The other arguments are Django's. What Django's
    client adds to an answer is there: `context`, `templates`, `json()`.
    """

    def __init__(self, enforce_csrf_checks: bool = False, *, auth: dict[str, Any] | None = None, **given: Any) -> None:
        super().__init__(enforce_csrf_checks, **given)
        handler = _Handler(enforce_csrf_checks, auth or in_memory_from(settings_and_environ()))
        self.handler = handler
        self.auth: AuthMiddleware = handler.auth
        self.app: AuthMiddleware = handler.auth

    def post(self, path: str, data: Any = None, content_type: str = MULTIPART_CONTENT, **given: Any) -> Any:
        """Django's `post`. The middleware's own forms are urlencoded, as browsers send them."""
        if content_type is MULTIPART_CONTENT and path.startswith(f"{self.auth.config.prefix}/"):
            data, content_type = urlencode(data or {}, doseq=True), "application/x-www-form-urlencoded"
        return super().post(path, data, content_type, **given)

    def sign_in(self, email: str = "", *, name: str = "", role: str = "staff") -> User:
        """Sign in as the account with this address, which is made if there is none."""
        return sign_in_as(self.auth, self, email, name=name, role=role)


class _Handler(ClientHandler):  # type: ignore[misc]
    """Serves a request through the middleware, and returns Django's own response where that is the answer."""

    def __init__(self, enforce_csrf_checks: bool, given: dict[str, Any]) -> None:
        super().__init__(enforce_csrf_checks)
        self.auth = protect(self._site, **given)

    def __call__(self, environ: dict[str, Any]) -> Any:
        """The response, with the cookies that the middleware sets."""
        kept: list[Any] = []
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            started.append((status, headers))

        given = {**environ, _ANSWER: (kept, {key: environ[key] for key in _HOST if key in environ})}
        # The middleware on memory is at http://localhost, the site at Django's `testserver`.
        given |= {"SERVER_NAME": "localhost", "HTTP_HOST": "localhost"}
        body = self.auth(given, start)
        status, headers = started[-1]
        code = int(status.split()[0])
        if kept and kept[-1].status_code == code:
            response = kept[-1]
        else:
            with closing(_Body(body)) as whole:
                response = HttpResponse(whole.read(), status=code)
            response.wsgi_request = WSGIRequest({**environ, "wsgi.input": BytesIO()})
            for name, value in headers:
                if name.lower() != "set-cookie":
                    response[name] = value
            # As Django's own redirects have it, for `follow=True` and assertRedirects.
            response.url = response.get("Location", "")
        for name, value in headers:
            if name.lower() == "set-cookie":
                response.cookies.load(value)
        return response

    def _site(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The site, as the middleware calls it."""
        kept, host = environ.pop(_ANSWER)
        environ.pop("HTTP_HOST", None)
        environ.update(host)
        response = super().__call__(environ)
        kept.append(response)
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
        start_response(f"{response.status_code} {response.reason_phrase}", [*response.items(), *cookies])
        return []


class _Body:
    """A WSGI answer, read and closed."""

    def __init__(self, steps: Iterable[bytes]) -> None:
        self._steps = steps

    def read(self) -> bytes:
        """All of it."""
        return b"".join(self._steps)

    def close(self) -> None:
        """Close it, as PEP 3333 demands."""
        closing = getattr(self._steps, "close", None)
        if closing is not None:
            closing()
