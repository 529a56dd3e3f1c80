"""The objects that every view works with, built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.health import Health
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw._services import Services
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._web import redirects
from nipo_auth_mw._web.answers import Answers
from nipo_auth_mw._web.cookies import STEM, Cookie
from nipo_auth_mw._web.deployment_warnings import DeploymentWarnings
from nipo_auth_mw._web.flash_messages import FlashMessages
from nipo_auth_mw._web.host_session import HostSession, OnSignOut
from nipo_auth_mw._web.language import choose
from nipo_auth_mw._web.request import Request, root_of
from nipo_auth_mw.config import AuthConfig

_400_DAYS = 400 * 86400
_A_MINUTE = 60
Environ = dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class WebContext:
    """The services, the pages, the answers and the cookies.

    `is_page` and `is_page_of_user` judge redirect targets below the prefix. `page_of` is the view of a route's page.
    `describe` makes the OpenAPI document.
    """

    config: AuthConfig
    services: Services
    pages: Renderer
    answers: Answers
    session_cookie: Cookie
    device_cookie: Cookie
    second_cookie: Cookie
    language_cookie: Cookie
    is_page: Callable[[str], bool]
    is_page_of_user: Callable[[str], bool]
    page_of: Callable[[str], View]
    describe: Callable[[WebContext], dict[str, Any]]
    warnings: DeploymentWarnings
    health: Health
    host_session: HostSession

    def url(self, route: str) -> str:
        """The URL of a route, as `base_url` has it: for what leaves the browser, such as a link on paper."""
        return f"{self.config.base_url}{self.config.prefix}/{route}"

    def path(self, request: Request, route: str) -> str:
        """The path of a route, as users see it."""
        return f"{request.root}{self.config.prefix}/{route}"

    def redirect_target(self, request: Request, wanted: str, default: str | None = None) -> str:
        """The path that a successful change leads to: `wanted` if it is a path of the app's origin, else `default`,
        else home.

        Of the middleware's own pages only those of a signed-in user are redirect targets.
        """
        own, home = self.prefix_path(request.environ), request.root + self.config.home
        fallback = home if default is None else default
        return redirects.safe_next(wanted, own=own, default=fallback, allowed=self.is_page_of_user)

    def page_target(self, request: Request, wanted: str, default: str) -> str:
        """The path that the language switch returns to: any page of the app or of the middleware."""
        own = self.prefix_path(request.environ)
        return redirects.safe_next(wanted, own=own, default=default, allowed=self.is_page)

    def after_link(self, request: Request, user_id: str | None, flash: str) -> tuple[str, str]:
        """Where a link from a mail leads to, and the flash message there: to sign-in, which the change made necessary.

        A user who is signed in as another account would be sent on from there without a word. That user is told what
        was done, and asked whether to sign out. The link has ended each session of its own account, whose id may be
        None therefore.
        """
        if request.session is None or request.session.user.id == user_id:
            return self.path(request, "login"), flash
        return self.path(request, "logout"), f"{flash}_for_other"

    def session_cookies(self, session: str, device: str | None, *, persistent: bool) -> list[str]:
        """The Set-Cookie values that open a session in this browser. `device` makes it a known device."""
        cookies = [self.session_cookie.set(session, persistent=persistent)]
        return cookies if device is None else [*cookies, self.device_cookie.set(device)]

    def forget_pending(self, request: Request) -> list[str]:
        """The Set-Cookie values by which a browser forgets a sign-in that waits for its second step.

        The next user of a shared device must not find one: its password is right.
        """
        return [self.second_cookie.delete()] if self.second_cookie.name in request.cookies else []

    def language(self, environ: Environ, account: str | None) -> str:
        """The language of the answer: by the switch, the account, the browser, or the default."""
        return choose(
            self.config.languages,
            self.config.default_language,
            cookie=self.language_cookie.read(environ.get("HTTP_COOKIE", "")),
            account=account,
            accept=environ.get("HTTP_ACCEPT_LANGUAGE"),
        )

    def request(self, environ: Environ) -> Request:
        """The request, before the store is asked for its session."""
        request = Request(environ, self.config)
        request.language = self.language(environ, None)
        return request

    def identify(self, request: Request) -> None:
        """Find the active session of a request below the prefix. Raises `StoreUnavailable`."""
        value = self.session_cookie.read(request.cookies)
        self.recognise(request, self.services.sessions.find(value) if value else None)

    def recognise(self, request: Request, session: ActiveSession | None) -> None:
        """Make this the session of the request. Its user's language becomes that of the answer."""
        request.session = session
        if session is not None:
            request.language = self.language(request.environ, session.user.language)

    def prefix_path(self, environ: Environ) -> str:
        """The path of the middleware's own pages, as users see it."""
        return root_of(environ, self.config) + self.config.prefix


View = Callable[[WebContext, Request], Response]


def build(
    config: AuthConfig,
    services: Services,
    pages: Renderer,
    *,
    is_page: Callable[[str], bool],
    is_page_of_user: Callable[[str], bool],
    page_of: Callable[[str], View],
    on_sign_out: OnSignOut | None,
    describe: Callable[[WebContext], dict[str, Any]],
) -> WebContext:
    """Build the answers and the cookies. The names and flags of the cookies follow `base_url` and `realm`."""
    suffix = f"_{config.realm}" if config.realm else ""
    secure = config.secure
    session_cookie = Cookie(f"{STEM}auth{suffix}", secure=secure, lasts=_400_DAYS)
    device_cookie = Cookie(f"{STEM}device{suffix}", secure=secure, lasts=_400_DAYS)
    lasts = int(services.second_links.lasts.total_seconds())
    second_cookie = Cookie(f"{STEM}second{suffix}", secure=secure, lasts=lasts)
    return WebContext(
        config=config,
        services=services,
        pages=pages,
        answers=Answers(
            config,
            pages,
            FlashMessages(
                Cookie(f"{STEM}flash{suffix}", secure=secure, lasts=_A_MINUTE),
                lambda word: bool(pages.flash(config.default_language, word)),
            ),
            has_staff=services.directory is not None,
            has_two_step=services.factors is not None,
        ),
        session_cookie=session_cookie,
        device_cookie=device_cookie,
        second_cookie=second_cookie,
        language_cookie=Cookie(f"{STEM}lang{suffix}", secure=secure, lasts=_400_DAYS, http_only=False),
        is_page=is_page,
        is_page_of_user=is_page_of_user,
        page_of=page_of,
        describe=describe,
        warnings=DeploymentWarnings(config),
        health=Health(services),
        host_session=HostSession(config, on_sign_out, (session_cookie, device_cookie, second_cookie)),
    )
