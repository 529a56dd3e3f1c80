"""`AuthMiddleware`: the one (environ, start_response) of this package."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix

from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.flows.sweep import sweep
from nipo_auth_mw.models import Session
from nipo_auth_mw.parts import services as parts
from nipo_auth_mw.parts.chores import Chore
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.protocols import AuditLog, Listener, Mailer, PasswordHasher, SessionStore, UserStore
from nipo_auth_mw.web import challenge, detours, identity, own, resend
from nipo_auth_mw.web import site as sites
from nipo_auth_mw.web.challenge import StartResponse, WSGIApp
from nipo_auth_mw.web.guard import Guard, Prefixes
from nipo_auth_mw.web.notices import Warnings

_log = logging.getLogger("nipo_auth_mw")

_SWEEP_EVERY = 300.0

Environ = dict[str, Any]


class AuthMiddleware:
    """Wraps any WSGI callable and gives it sign-in, sessions and a lock.

    `store` brings everything; `users`, `sessions` and `audit` replace its parts, `hasher` (argon2-cffi's
    `PasswordHasher` or like it), `templates` (a directory or a Jinja2 loader) and `listeners` the library's own. All
    work is done here, at construction: a set-up that cannot work raises `ConfigError`. Safe to build before a fork and
    to call from many threads.
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
        templates: Any = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        if not callable(app):
            raise ConfigError("app", "is no WSGI callable", "Wrap app.wsgi_app, or the function itself.")
        if not isinstance(config, AuthConfig):
            raise ConfigError(
                "config", "is no AuthConfig", "Build one with AuthConfig(...) or AuthConfig.from_mapping."
            )
        _check_schema(store, users, sessions, audit)
        self._app = app
        pages = Pages(config, templates)
        self._services = parts.build(
            config,
            pages,
            store=store,
            users=users,
            sessions=sessions,
            audit=audit,
            mailer=mailer,
            hasher=hasher,
            listeners=listeners,
        )
        self._site = sites.build(config, self._services, pages)
        self._config = config
        self._prefix = config.prefix
        self._below_prefix = config.prefix + "/"
        self._guard = Guard(config.public, config.protect)
        self._passive = Prefixes(config.session.passive) if config.session.passive else None
        self._cookie = self._site.session_cookie
        self._cookie_name = self._cookie.name
        self._identity_site = identity.Site(self._site.prefix_path, self._text, self._ask_again)
        self._sessions = self._services.sessions
        sweeping = Chore(self._services.worker, self._sweep, after=0, every=_SWEEP_EVERY)
        self._services.worker.whenever_busy(sweeping.due)
        self._warn = Warnings(config)
        n = config.trusted_proxies
        self._behind_proxies = ProxyFix(self._serve, x_for=n, x_proto=n, x_host=n) if n else None
        self.accounts = Accounts(self._services)

    @property
    def config(self) -> AuthConfig:
        return self._config

    def __repr__(self) -> str:
        return f"AuthMiddleware(prefix={self._prefix!r}, base_url={self._config.base_url!r})"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._behind_proxies is not None:
            return self._behind_proxies(environ, start_response)
        return self._serve(environ, start_response)

    def _serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        identity.scrub(environ, self._identity_site)
        path = environ.get("PATH_INFO", "")
        if path.startswith(self._below_prefix) or path == self._prefix:
            self._warn(environ)
            return own.answer(self._site, environ)(environ, start_response)
        header = environ.get("HTTP_COOKIE")
        if header is not None and self._cookie_name in header and (value := self._cookie.read(header)):
            instead = None
            try:
                live = self._sessions.find(value, prolong=not (self._passive and self._passive.match(path)))
                if live is not None and live.must_change and self._guard.needs_session(path):
                    instead = detours.must_change(self._site, environ)
            except Exception as problem:
                instead = own.unavailable(self._site, environ, problem)
            if instead is not None:
                return instead(environ, start_response)
            if live is not None and live.must_change:
                # Until then nobody to the app: a password that somebody else knows must not open it.
                return self._app(environ, start_response)
            if live is not None:
                identity.put(environ, live)
                if live.cookie_due:
                    start_response = resend.sending_again(self._site, environ, live, start_response)
                return self._app(environ, start_response)
        if self._guard.needs_session(path):
            return self._challenge(environ, start_response)
        return challenge.call(self._app, environ, start_response, self._challenge)

    def _challenge(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return detours.challenge(self._site, environ)(environ, start_response)

    def _text(self, environ: Environ, key: str) -> str:
        user = identity.current_user(environ)
        return self._site.pages.text(self._site.language(environ, user.language if user else None), key)

    def _ask_again(self, environ: Environ, session: Session) -> Any:
        if self._sessions.fresh(session.stored):
            return None
        try:
            return detours.stale(self._site, environ)
        except Exception as problem:
            return own.unavailable(self._site, environ, problem)

    def flush_mail(self, timeout: float = 10.0) -> bool:
        """Wait until the mails that are queued now were handed over, for shutdown and tests; each is tried once.

        False when any is left after that, or after `timeout` seconds.
        """
        return self._services.outbox.flush(timeout)

    def sweep(self) -> int:
        """End the sessions that are past their time now, and see to what else falls due; returns how many ended.

        Running servers do it every few minutes by themselves. Raises `StoreUnavailable`.
        """
        self._services.worker.flush(5)
        return self._sweep()

    def _sweep(self) -> int:
        return sweep(self._services)


def _check_schema(*stores: Any) -> None:
    """Ask each store once whether its tables are there and of this version."""
    for store in {id(store): store for store in stores if store is not None}.values():
        check = getattr(store, "check", None)
        if check is None:
            continue
        try:
            check()
        except StoreUnavailable:
            _log.warning(
                "%s is out of reach at start (process %d); whoever is signed in gets a 503 until it is there",
                store,
                os.getpid(),
            )
