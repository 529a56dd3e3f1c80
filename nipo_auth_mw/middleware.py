"""`AuthMiddleware`: the WSGI callable that a host app is wrapped in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from nipo_auth_mw import _wiring
from nipo_auth_mw._flows import mails
from nipo_auth_mw._flows.account import last_sign_in
from nipo_auth_mw._flows.logout import sign_out
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.sweep import sweep
from nipo_auth_mw._flows.two_step import SECOND_STEP
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw._runtime.periodic import PeriodicJob
from nipo_auth_mw._web import (
    challenges,
    context,
    cookie_renewal,
    dispatch,
    host_api,
    host_app,
    host_flash,
    intercept_401,
    openapi,
    preflights,
    routes,
)
from nipo_auth_mw._web.cookies import STEM, take_out
from nipo_auth_mw._web.guard import Guard, PathRules
from nipo_auth_mw._web.host_session import OnSignOut
from nipo_auth_mw._web.intercept_401 import StartResponse, WSGIApp
from nipo_auth_mw._web.private_answers import private
from nipo_auth_mw._web.request import MOUNT, is_navigation, is_preflight
from nipo_auth_mw._web.requirements import first_unmet
from nipo_auth_mw._web.well_known import change_password_path
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.models import Session
from nipo_auth_mw.protocols import AuditLog, LegacyHasher, Listener, Mailer, PasswordHasher, SessionStore, UserStore
from nipo_auth_mw.stores._memory import MemoryStore

_SWEEP_EVERY = 300.0

Environ = dict[str, Any]


class AuthMiddleware:
    """Wraps a WSGI app and gives it sign-in, sessions, lockout, accounts and an audit log.

    `store` is an `SQLStore`, a `MemoryStore` or an object with their protocols. `users`, `sessions` and `audit` each
    replace one part of it. `mailer` sends the mails; without one no mail is sent. `hasher` replaces the password hasher
    (argon2-cffi's `PasswordHasher`, or an object with its methods). `legacy_hashers` verify what other systems hashed,
    such as `nipo_auth_mw.legacy.django()`; the next sign-in of the user replaces such a hash. `templates` is a
    directory or a Jinja2 loader whose templates come before the shipped ones. Each of `listeners` is called with each
    `Event` after it is recorded; an exception in a listener is logged and changes nothing else. `on_sign_out` is called
    after sign-out with the environ and the user (None for a visitor), to end the host app's own session. It returns
    Set-Cookie values, or None.

    An attribute that this class does not have is looked up on the wrapped app.

    Construction does all preparation and raises `ConfigError` for a set-up that cannot work or would not be safe. It
    raises `ConfigError` too if the tables of a store are missing or of another version. One object may be built before
    a fork and called from many threads.
    """

    def __init__(
        self,
        app: WSGIApp,
        config: AuthConfig,
        *,
        store: Any = None,
        mailer: Mailer | None = None,
        users: UserStore | None = None,
        sessions: SessionStore | None = None,
        audit: AuditLog | None = None,
        hasher: PasswordHasher | None = None,
        legacy_hashers: Sequence[LegacyHasher] = (),
        templates: Any = None,
        listeners: Sequence[Listener] = (),
        on_sign_out: OnSignOut | None = None,
    ) -> None:
        _check_app(app, config)
        _wiring.check_schema(store, users, sessions, audit)
        self._wrapped = app
        self._app = host_app.answering(app, self._refused)
        pages = Renderer(config, templates)
        self._services = _wiring.build(
            config,
            pages,
            store=store,
            users=users,
            sessions=sessions,
            audit=audit,
            mailer=mailer,
            hasher=hasher,
            legacy_hashers=legacy_hashers,
            listeners=listeners,
        )
        self._web = context.build(
            config,
            self._services,
            pages,
            is_page=routes.is_page,
            is_page_of_user=routes.is_page_of_user,
            page_of=routes.page_of,
            on_sign_out=on_sign_out,
            describe=openapi.document,
        )
        self._config = config
        self._prefix = config.prefix
        self._below_prefix = config.prefix + "/"
        self._passed_on = f"{config.mount}{config.prefix}/" if config.mount else ""
        self._guard = Guard(config.public_paths, config.protected_paths, host_app.root_path(app))
        self._passive = PathRules(config.session.passive_paths) if config.session.passive_paths else None
        self._change_password = change_password_path(config.public_paths)
        self._flash_cookie = self._web.answers.flashes.cookie_name
        self._cookies = (self._web.session_cookie, self._web.device_cookie, self._web.second_cookie)
        self._hooks = host_api.HostHooks(
            path_of=self._web.prefix_path,
            last_sign_in=partial(last_sign_in, self._services),
            text=self._text,
            ask_again=self._ask_again,
            ask_second=self._ask_second,
            is_active=self._is_active,
            roles=frozenset(config.roles),
            has_page=lambda route: routes.find(route) is not None,
            end=self._end,
            login_id=config.login_id,
        )
        self._identity = host_api.Identity(config)
        self._sessions = self._services.sessions
        sweeping = PeriodicJob(self._services.worker, self._sweep, after=0, every=_SWEEP_EVERY)
        self._services.worker.on_submit(sweeping.trigger)
        n = config.trusted_proxies
        self._correct = ProxyFix(_go_on, x_for=n, x_proto=n, x_host=n) if n else None
        mails.serve(self._services)
        self._is_new = True
        self.accounts: Accounts = Accounts(self._services)

    @property
    def config(self) -> AuthConfig:
        """The settings that this middleware was built with."""
        return self._config

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """An attribute of the wrapped app: some apps keep values on their `wsgi_app`."""
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return getattr(self._wrapped, name)

    def __repr__(self) -> str:
        """The prefix and the base URL; no secret."""
        return f"AuthMiddleware(prefix={self._prefix!r}, base_url={self._config.base_url!r})"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a path below `prefix`, and pass every other request to the host app.

        The request carries the user and the session only if both are active now, and values for them that came from
        outside are removed first. A path that requires a session is answered with a challenge instead: a redirect to
        sign-in for a page, `401` for JSON. During an outage of the store the answer to a request with a session cookie
        is `503`, so that no request is taken for a visitor's by mistake. Such a request costs a signature check and one
        look-up, and every other one a substring test.
        """
        if self._correct is not None:
            self._correct(environ, start_response)
        if self._is_new:
            # Not at construction: that may come before a fork, and a thread does not survive one.
            self._is_new = False
            self._services.outbox.begin()
            in_memory = isinstance(self._services.session_store, MemoryStore)
            host_app.warn_at_first(self._wrapped, self._prefix, environ, in_memory=in_memory)
        self._identity.clear(environ)
        environ.pop(host_api.FLASH, None)
        environ[host_api.HOOKS] = self._hooks
        environ[MOUNT] = environ.get("SCRIPT_NAME", "")
        path = environ.get("PATH_INFO", "")
        if path.startswith(self._below_prefix) or path == self._prefix:
            self._web.warnings(environ)
            self._services.outbox.trigger()
            return dispatch.answer(self._web, environ)(environ, start_response)
        if self._passed_on and path.startswith(self._passed_on) and not environ.get("SCRIPT_NAME"):
            return dispatch.mount_passed_on(self._web, environ)(environ, start_response)
        if path == self._change_password and environ.get("REQUEST_METHOD") in {"GET", "HEAD"}:
            return dispatch.change_password(self._web, environ)(environ, start_response)
        preflight = environ.get("REQUEST_METHOD") == "OPTIONS" and is_preflight(environ)
        if preflight:
            preflights.make_visitors(environ, *self._cookies)
        # A local variable here would hold the cookies while the app runs, where an error report can show it.
        if STEM in environ.get("HTTP_COOKIE", ""):
            if self._flash_cookie in environ["HTTP_COOKIE"]:
                start_response = host_flash.hand_over(self._web, environ, start_response, self._guard)
            found = self._identify(environ, path, start_response)
            if isinstance(found, Response):
                return found(environ, start_response)
            if found is not None:
                return self._app(environ, found)
        try:
            needs_session = self._guard.needs_session(path)
        except Exception as problem:
            return dispatch.unavailable(self._web, environ, problem)(environ, start_response)
        if needs_session and preflight:
            return preflights.call(self._app, environ, start_response, self._challenge)
        if needs_session:
            return self._challenge(environ, start_response)
        return intercept_401.call(self._app, environ, start_response, self._challenge)

    def _identify(self, environ: Environ, path: str, start_response: StartResponse) -> StartResponse | Response | None:
        """Take the middleware's cookies out of the request and show its user to the host app.

        Returns the `start_response` that the app gets, the answer instead of the app's, or None for a visitor. Any
        error is answered with 503, so that no request is taken for a visitor's by mistake.
        """
        try:
            cookies = environ["HTTP_COOKIE"]
            value = take_out(environ, *self._cookies)
            prolong = not (self._passive and self._passive.match(path))
            session = self._sessions.find(value, prolong=prolong) if value else None
            if value is None or session is None:
                return None
            unmet = first_unmet(session.user, session.state, self._config)
            if unmet is None:
                self._identity.put(environ, session)
                start = private(start_response, self._guard, path)
                if not session.cookie_due:
                    return start
                device = self._web.device_cookie.read(cookies)
                return cookie_renewal.renewing(self._web, value, device, session, start)
            if self._guard.needs_session(path):
                return challenges.meet_first(self._web, environ, unmet, session)
            # The host app sees no user until every requirement is met: a temporary password must not open the app.
            return start_response
        except Exception as problem:
            return dispatch.unavailable(self._web, environ, problem)

    def _challenge(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a visitor on a path that requires a session."""
        asked = partial(challenges.sign_in_first, self._web, environ)
        return dispatch.or_unavailable(self._web, environ, asked)(environ, start_response)

    def _refused(self, environ: Environ, refusal: HTTPException) -> WSGIApp:
        """The answer to an exception of werkzeug that the host app let through."""
        bare = type(refusal) is Unauthorized and not refusal.response and not refusal.www_authenticate
        if bare and host_api.current_user(environ) is None:
            return self._challenge
        if isinstance(refusal, host_api.RoleMissing):
            refuse = partial(self._web.answers.refuse, self._web.request(environ), Refused("not_allowed"))
            return dispatch.or_unavailable(self._web, environ, partial(refuse, as_json=not is_navigation(environ)))
        return refusal

    def _text(self, environ: Environ, key: str) -> str:
        """A text of the catalogue in the request's language, for `host_api.sign_out_form`."""
        user = host_api.current_user(environ)
        return self._web.pages.text(self._web.language(environ, user.language if user else None), key)

    def _ask_again(self, environ: Environ, session: Session) -> Any:
        """The answer that asks for the password again; None if the user confirmed it recently enough.

        `host_api.require_fresh` calls this (ASVS 5 7.5.3).
        """
        try:
            if self._sessions.fresh(session):
                return None
            active = self._sessions.find_key(session.stored.key, prolong=False)
            return challenges.meet_first(self._web, environ, REAUTHENTICATION, active)
        except Exception as problem:
            return dispatch.unavailable(self._web, environ, problem)

    def _ask_second(self, environ: Environ, session: Session) -> Any:
        """The answer that asks for a second step; None for a session that has proved two.

        `host_api.require_second` calls this.
        """
        try:
            if session.second_at is not None:
                return None
            active = self._sessions.find_key(session.stored.key, prolong=False)
            first, detail = SECOND_STEP, "page"
            if session.two_steps:
                first, detail = SECOND_STEP._replace(route=REAUTHENTICATION.route), "confirm"
            return challenges.meet_first(self._web, environ, first, active, detail=detail)
        except Exception as problem:
            return dispatch.unavailable(self._web, environ, problem)

    def _is_active(self, session: Session) -> bool:
        """Whether the session is active now and meets every requirement, for `host_api.still_signed_in`."""
        active = self._sessions.find_key(session.stored.key, prolong=False)
        return active is not None and first_unmet(active.user, active.state, self._config) is None

    def _end(self, environ: Environ, session: Session) -> None:
        """End the session and make the rest of the request a visitor's, for `host_api.end_session`."""
        active = self._sessions.find_key(session.stored.key, prolong=False)
        if active is not None:
            sign_out(self._services, active, client=self._web.request(environ).client)
        self._identity.clear(environ)

    def flush_mail(self, timeout: float = 10.0) -> bool:
        """Wait until the outbox has tried each mail that is queued now once; for shutdown and tests.

        Tries mails of other processes too, and those that wait for another try. `timeout` is in seconds.
        Returns False if a mail is left after that, or if the time is over.
        """
        return self._services.outbox.flush(timeout)

    def sweep(self) -> int:
        """End expired sessions, seal the audit log and remove rows older than `audit_retention`.

        Returns how many sessions ended. Each running server does this every five minutes; a timer needs this call only
        where no server runs. Raises `StoreUnavailable`.
        """
        self._services.worker.flush(5)
        return self._sweep()

    def _sweep(self) -> int:
        """One sweep, as the periodic job calls it."""
        return sweep(self._services)


def _go_on(_environ: Environ, _start_response: StartResponse) -> Iterable[bytes]:
    """The app of `ProxyFix`, which corrects the client address, the scheme and the host in the environ itself."""
    return ()


def _check_app(app: object, config: object) -> None:
    """Raise `ConfigError` for an app that cannot be wrapped, or a configuration that is none."""
    if not callable(app):
        raise ConfigError("app", "is not a WSGI callable", "Wrap app.wsgi_app, or the WSGI function itself.")
    if host_app.is_asgi(app):
        raise ConfigError("app", "is an ASGI app", "Give a2wsgi.ASGIMiddleware(app), of `pip install a2wsgi`.")
    if not isinstance(config, AuthConfig):
        raise ConfigError(
            "config", "is not an AuthConfig", "Build one with AuthConfig(...) or AuthConfig.from_mapping."
        )
    if any(isinstance(layer, AuthMiddleware) for layer in host_app.layers(app)):
        hint = "Wrap it once. A test that imports the server's module has the wrapped app: wrap the app itself instead."
        raise ConfigError("app", "is behind an AuthMiddleware already", hint)
    if covered := host_app.page_below(app, config.prefix):
        hint = 'Choose another prefix=, such as "/-/sign-in".'
        raise ConfigError("prefix", f"{config.prefix!r} covers the app's own page {covered}", hint)
