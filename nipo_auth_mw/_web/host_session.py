"""The host app's own session, which ends at sign-out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.http import dump_cookie

from nipo_auth_mw._runtime.failures import without_message
from nipo_auth_mw._web.cookies import Cookie, take_out
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import User

Environ = dict[str, Any]
OnSignOut = Callable[[Environ, User | None], Iterable[str] | None]

_log = logging.getLogger("nipo_auth_mw")


class HostSession:
    """The host app's own session, which would otherwise outlive sign-out and go to the next user of the browser."""

    def __init__(self, config: AuthConfig, on_sign_out: OnSignOut | None, ours: tuple[Cookie, ...]) -> None:
        self._call = on_sign_out
        self._ours = ours
        self._deleted = [
            dump_cookie(name, "", max_age=0, expires=0, path=path, secure=config.secure, httponly=True, samesite="Lax")
            for name in config.sign_out_cookies
            for path in dict.fromkeys(("/", config.mount or "/"))
        ]

    def end(self, environ: Environ, user: User | None) -> list[str]:
        """End it at sign-out. Returns the Set-Cookie values that delete its cookies.

        The callback sees none of the middleware's cookies. An error in it is logged: the user is signed out already.
        """
        if self._call is None:
            return self._deleted
        shown = dict(environ)
        if "HTTP_COOKIE" in shown:
            take_out(shown, *self._ours)
        try:
            # What could begin another header is left out.
            return [*self._deleted, *(one for one in self._call(shown, user) or () if one.isprintable())]
        except Exception as problem:
            _log.error("on_sign_out failed, so the host app's session may still live: %s", without_message(problem))
            return self._deleted
