"""Django's test client, with the middleware before the site.

class ReportsTest(TestCase):
    client_class = Client

    def test_the_reports(self):
        self.client.sign_in("yamada@example.com", name="山田")
        self.assertContains(self.client.get("/"), "山田")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from io import BytesIO
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from urllib.parse import urlencode, urlsplit

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import Client as DjangoClient
from django.test.client import MULTIPART_CONTENT, ClientHandler

from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw.django import OWNER, protect, settings_and_environ
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import User
from nipo_auth_mw.testing import in_memory_from, sign_in, sign_in_as, sign_out

__all__ = ["Client"]

_ANSWER = "nipo_auth_mw.testing.answer"
_HOST = ("HTTP_HOST", "SERVER_NAME", "SERVER_PORT")


class Client(DjangoClient):  # type: ignore[misc]
    """A client whose requests go through an `AuthMiddleware` on memory, with the site's `NIPO_AUTH_…` settings.

    `collaborators` of a class of the site's own holds what `protect(…)` gets beside the settings, such as `users=`, and
    `auth` what one client gets instead, such as `in_memory(lockout=…)`. The other arguments are Django's. What Django's
    client adds to an answer is there: `context`, `templates`, `json()`.
    """

    collaborators: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self, enforce_csrf_checks: bool = False, *, auth: Mapping[str, Any] | None = None, **given: Any
    ) -> None:
        super().__init__(enforce_csrf_checks, **given)
        parts = {**in_memory_from(settings_and_environ()), **self.collaborators, **(auth or {})}
        handler = _Handler(enforce_csrf_checks, parts)
        self._has_own_users = parts.get("users") is not None
        self.handler = handler
        self.auth: AuthMiddleware = handler.auth
        self.app: AuthMiddleware = handler.auth

    def post(self, path: str, data: Any = None, content_type: str = MULTIPART_CONTENT, **given: Any) -> Any:
        """Django's `post`. The middleware's own forms are urlencoded, as browsers send them."""
        # A link from a mail has the scheme and the host, too.
        if content_type is MULTIPART_CONTENT and urlsplit(path).path.startswith(f"{self.auth.config.prefix}/"):
            data, content_type = urlencode(data or {}, doseq=True), "application/x-www-form-urlencoded"
        return super().post(path, data, content_type, **given)

    def sign_in(self, email: str = "", *, name: str = "", role: str = "") -> User:
        """Sign in as the account with this address, which is made if there is none."""
        return sign_in_as(self.auth, self, email, name=name, role=role)

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Django's `force_login`, through the middleware too: `request.user` is this Django user.

        The account has the user's address, or a made-up one if the user has none, and the role `admin` for a superuser.
        With `users=` it is the account with the user's id there, as it is.
        """
        super().force_login(user, backend)
        self._sign_in(user)

    def login(self, **credentials: Any) -> bool:
        """Django's `login`, through the middleware too."""
        done: bool = super().login(**credentials)
        if done:
            self._sign_in(get_user(cast(HttpRequest, SimpleNamespace(session=self.session))))
        return done

    async def aforce_login(self, user: Any, backend: str | None = None) -> None:
        """`force_login`, for an async test."""
        await sync_to_async(self.force_login)(user, backend)

    async def alogin(self, **credentials: Any) -> bool:
        """`login`, for an async test."""
        return await sync_to_async(self.login)(**credentials)

    async def alogout(self) -> None:
        """`logout`, for an async test."""
        await sync_to_async(self.logout)()

    def logout(self) -> None:
        """Sign out of both."""
        sign_out(self)
        super().logout()

    def _sign_in(self, user: Any) -> None:
        """Sign in as this Django user, who stays `request.user` whatever NIPO_AUTH_DJANGO_USER makes of the address."""
        session = self.session
        if self._has_own_users:
            sign_in(self.auth, self, str(user.pk))
            session[OWNER] = str(user.pk)
        else:
            email = getattr(user, user.get_email_field_name(), "") or f"user{user.pk}@example.com"
            name = getattr(user, "get_full_name", user.get_username)()
            role = ADMIN if getattr(user, "is_superuser", False) else ""
            session[OWNER] = self.sign_in(email, name=name, role=role).id
        session.save()


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
        # Django's client claims to have several processes, which a store in memory does not serve.
        given["wsgi.multiprocess"] = False
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
