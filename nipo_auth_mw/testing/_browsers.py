"""The cookies of test clients: WebTest's `TestApp`, werkzeug's `Client`, which Flask's extends, and Django's `Client`.

A cookie that the kit sets must have the domain and path under which the client stores the middleware's own Set-Cookie.
Otherwise the client holds two cookies of one name after a renewal, and two count as none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from nipo_auth_mw.middleware import AuthMiddleware

if TYPE_CHECKING:
    from email.message import Message

_MAX_LAYERS = 20


def put_cookie(client: Any, name: str, value: str, set_cookie: str) -> None:
    """Store the cookie as if the middleware had answered with `set_cookie`, and forget any other of this name.

    Raises `TypeError` for an object that is none of these clients.
    """
    take_cookies(client, lambda other: other == name)
    if hasattr(client, "cookiejar"):
        from email.message import Message
        from urllib.request import Request

        answer = Message()
        answer["Set-Cookie"] = set_cookie
        # The test's plain http stands for the hop behind a proxy. Without this line WebTest keeps Secure cookies back.
        client.cookiejar._policy.secure_protocols = ("http", "https", "wss")
        host = client.extra_environ.get("HTTP_HOST", "localhost")
        client.cookiejar.extract_cookies(_Answer(answer), Request(f"https://{host}/"))
    elif hasattr(client, "set_cookie"):
        client.set_cookie(name, value, domain=_host_of(client), path="/")
    else:
        client.cookies[name] = value


def take_cookies(client: Any, wanted: Callable[[str], bool]) -> list[str]:
    """Remove the cookies whose names are wanted, on every domain, and return their values. Raises `TypeError`."""
    if hasattr(client, "cookiejar"):
        found = [(cookie, cookie.value) for cookie in client.cookiejar if wanted(cookie.name)]
        for cookie, _ in found:
            client.cookiejar.clear(cookie.domain, cookie.path, cookie.name)
        return [value.strip('"') for _, value in found if value]
    if hasattr(client, "set_cookie"):
        kept = [cookie for cookie in (getattr(client, "_cookies", None) or {}).values() if wanted(cookie.decoded_key)]
        for cookie in kept:
            client.delete_cookie(cookie.decoded_key, domain=cookie.domain, path=cookie.path)
        return [cookie.decoded_value for cookie in kept]
    if hasattr(client, "cookies"):
        names = [name for name in client.cookies if wanted(name)]
        return [client.cookies.pop(name).value for name in names]
    raise TypeError(f"{type(client).__name__} is no test client of WebTest, werkzeug, Flask or Django")


def middleware_of(client: Any) -> AuthMiddleware | None:
    """The middleware that the client's requests go through, below any other layer; None if none is found."""
    layer = client
    for _ in range(_MAX_LAYERS):
        if layer is None or isinstance(layer, AuthMiddleware):
            return layer
        inner = (getattr(layer, name, None) for name in ("wsgi_app", "application", "app"))
        layer = next((one for one in inner if callable(one) and one is not layer), None)
    return None


class HasMiddleware(Protocol):
    """What holds a middleware, such as `Auth` of Flask."""

    @property
    def middleware(self) -> AuthMiddleware:
        """The middleware."""


def given_middleware(given: AuthMiddleware | HasMiddleware | Any) -> AuthMiddleware:
    """The middleware that a test means: itself, that of Flask's `Auth`, or that of an app. Raises LookupError."""
    if isinstance(given, AuthMiddleware):
        return given
    held = getattr(given, "middleware", None)
    found = held if isinstance(held, AuthMiddleware) else middleware_of(given)
    if found is None:
        raise LookupError(f"this {type(given).__name__} is not behind AuthMiddleware")
    return found


def _host_of(client: Any) -> str:
    """The host of the client's requests: Flask's SERVER_NAME, else werkzeug's default."""
    settings = getattr(client.application, "config", None)
    named = settings.get("SERVER_NAME") if isinstance(settings, dict) else None
    return str(named or "localhost").partition(":")[0]


class _Answer:
    """A response as a cookie jar reads it."""

    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        """The headers."""
        return self._headers
