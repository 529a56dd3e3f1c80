"""What every view works with: the use cases' services, the pages, the cookies. Built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.parts import redirects
from nipo_auth_mw.parts.cookies import Cookie
from nipo_auth_mw.parts.language import choose
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.web.answers import Answers
from nipo_auth_mw.web.request import Request, root_of

_400_DAYS = 400 * 86400
_A_MINUTE = 60
Environ = dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Site:
    config: AuthConfig
    services: Services
    pages: Pages
    answers: Answers
    session_cookie: Cookie
    device_cookie: Cookie
    language_cookie: Cookie

    def path(self, request: Request, route: str) -> str:
        """The path of one of our routes as people see it."""
        return f"{request.root}{self.config.prefix}/{route}"

    def landing(self, request: Request, wanted: str, default: str | None = None) -> str:
        """Where a change sends the person: `next` if it is a path of the app's origin, else `default`, else home.

        Of our own pages only those for signed-in people are landed on.
        """
        home = request.root + self.config.home
        own = request.root + self.config.prefix
        return redirects.safe_next(wanted, own=own, default=home if default is None else default)

    def language(self, environ: Environ, account: str | None) -> str:
        """The language of the answer: switch, account, browser, default."""
        return choose(
            self.config.languages,
            self.config.default_language,
            cookie=self.language_cookie.read(environ.get("HTTP_COOKIE", "")),
            account=account,
            accept=environ.get("HTTP_ACCEPT_LANGUAGE"),
        )

    def request(self, environ: Environ) -> Request:
        """The request, in the language of a person not known yet."""
        request = Request(environ, self.config)
        request.language = self.language(environ, None)
        return request

    def identify(self, request: Request) -> None:
        """Find out who sent it, for our own pages. Raises `StoreUnavailable`."""
        value = self.session_cookie.read(request.cookies)
        request.live = self.services.sessions.find(value) if value else None
        if request.live is not None:
            request.language = self.language(request.environ, request.live.user.language)

    def prefix_path(self, environ: Environ) -> str:
        return root_of(environ, self.config) + self.config.prefix


View = Callable[[Site, Request], Response]


def build(config: AuthConfig, services: Services, pages: Pages) -> Site:
    suffix = f"_{config.realm}" if config.realm else ""
    secure = config.secure
    return Site(
        config=config,
        services=services,
        pages=pages,
        answers=Answers(
            config,
            pages,
            Cookie(f"nipo_said{suffix}", secure=secure, lasts=_A_MINUTE),
            has_staff=services.directory is not None,
        ),
        session_cookie=Cookie(f"nipo_auth{suffix}", secure=secure, lasts=_400_DAYS),
        device_cookie=Cookie(f"nipo_device{suffix}", secure=secure, lasts=_400_DAYS),
        language_cookie=Cookie(f"nipo_lang{suffix}", secure=secure, lasts=_400_DAYS, http_only=False),
    )
