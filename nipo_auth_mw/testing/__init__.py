"""The kit for downstream test suites.

    auth = AuthMiddleware(app, **parts())
    test_app = TestApp(auth)
    user = auth.accounts.create(email="tanaka@example.com", password="correct horse battery")
    sign_in(auth, test_app, user)

Contract suites for a store or mailer of your own are in `nipo_auth_mw.testing.contracts`. Time is `time.time()`
everywhere, so the library `time-machine` moves all of it.
"""

from __future__ import annotations

import re
from typing import Any

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.flows.signin import admit
from nipo_auth_mw.mailers.memory import MemoryMailer
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import Client, Message
from nipo_auth_mw.parts.passwords import FastHasher
from nipo_auth_mw.stores.memory import MemoryStore

__all__ = ["MemoryMailer", "MemoryStore", "fast_hasher", "link_in", "parts", "sign_in", "sign_out"]

_SECRET = "for tests alone: anybody can read this key in the source"  # noqa: S105  # nosec B105
_URL = re.compile(r"https?://[^\s<>\"]+")


def fast_hasher() -> FastHasher:
    """argon2id at its smallest: real hashes in microseconds, and the only hasher below the minimum that is let in."""
    return FastHasher()


def parts(**settings: Any) -> dict[str, Any]:
    """Fresh collaborators for `AuthMiddleware(app, **parts())`; `settings` are fields of `AuthConfig`.

    `base_url` is http://localhost, which is WebTest's default host.
    """
    config = AuthConfig(**{"secret_key": _SECRET, "base_url": "http://localhost", **settings})
    return {"config": config, "store": MemoryStore(), "mailer": MemoryMailer(), "hasher": fast_hasher()}


def sign_in(auth: AuthMiddleware, test_app: Any, user: Any) -> None:
    """Put a real session cookie of `user` (a `User`, an account or its id) into a WebTest `TestApp`, without hashing.

    LookupError when nobody has this id.
    """
    services = auth._services
    account = services.users.get(user if isinstance(user, str) else user.id)
    if account is None:
        raise LookupError("no account has this id")
    value = admit(services, account, client=Client("127.0.0.1", "WebTest"))
    test_app.set_cookie(auth._site.session_cookie.name, value)


def sign_out(test_app: Any) -> None:
    """Sign the `TestApp` out, on the server too when its app is an `AuthMiddleware` or has one as `wsgi_app`."""
    auth = _auth_of(test_app.app)
    for cookie in [c for c in test_app.cookiejar if c.name.removeprefix("__Host-").startswith("nipo_auth")]:
        live = auth._services.sessions.find(cookie.value.strip('"')) if auth else None
        if auth is not None and live is not None:
            auth._services.session_store.end_session(live.stored.key)
        test_app.cookiejar.clear(cookie.domain, cookie.path, cookie.name)


def link_in(message: Message) -> str:
    """The first link in a mail's text. LookupError when there is none."""
    found = _URL.search(message.text)
    if found is None:
        raise LookupError("no link in this mail")
    return found.group()


def _auth_of(app: Any) -> AuthMiddleware | None:
    inner = getattr(app, "wsgi_app", None)
    return next((found for found in (app, inner) if isinstance(found, AuthMiddleware)), None)
