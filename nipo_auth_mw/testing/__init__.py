"""The test kit for host apps.

    auth = AuthMiddleware(app, **in_memory())
    test_app = TestApp(auth)
    user = auth.accounts.create(email="tanaka@example.com", password="correct horse battery")
    sign_in(auth, test_app, user)

`nipo_auth_mw.testing.contracts` holds contract suites for a store or mailer of a host app. The package reads the time
by `time.time()` alone, so the library `time-machine` moves all of it.
"""

from __future__ import annotations

import re
from typing import Any

from nipo_auth_mw._credentials.hashing import FastHasher
from nipo_auth_mw._flows.login import admit
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.mailers._memory import MemoryMailer
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import Client, Message
from nipo_auth_mw.protocols import PasswordHasher
from nipo_auth_mw.stores._memory import MemoryStore
from nipo_auth_mw.testing._browsers import middleware_of, put_cookie, take_cookies

__all__ = ["MemoryMailer", "MemoryStore", "fast_hasher", "in_memory", "link_in", "sign_in", "sign_out"]

_SECRET = "for tests only: this key is public, in the source"  # noqa: S105  # nosec B105
_URL = re.compile(r"https?://[^\s<>\"]+")


def fast_hasher() -> PasswordHasher:
    """argon2id with its smallest parameters: real hashes in microseconds.

    It is the only hasher below the minimum strength that the middleware accepts. For tests only.
    """
    return FastHasher()


def in_memory(**settings: Any) -> dict[str, Any]:
    """New collaborators for `AuthMiddleware(app, **in_memory())`. `settings` are fields of `AuthConfig`.

    `base_url` is http://localhost, the default host of WebTest.
    """
    config = AuthConfig(**{"secret_key": _SECRET, "base_url": "http://localhost", **settings})
    return {"config": config, "store": MemoryStore(), "mailer": MemoryMailer(), "hasher": fast_hasher()}


def sign_in(auth: AuthMiddleware, test_app: Any, user: Any) -> None:
    """Open a session of `user` and put its cookie into a test client, without hashing a password.

    `test_app` is WebTest's `TestApp`, or the test client of Flask, werkzeug or Django. `user` is a `User`, an account
    or an id. The client holds one session cookie from then on, whatever the middleware sends later. Raises
    `LookupError` if no account has the id, and `TypeError` for another client.
    """
    services = auth._services
    account = services.users.get(user if isinstance(user, str) else user.id)
    if account is None:
        raise LookupError("no account has this id")
    value = admit(services, account, client=Client("127.0.0.1", "WebTest"))
    cookie = auth._web.session_cookie
    put_cookie(test_app, cookie.name, value, cookie.set(value))


def sign_out(test_app: Any) -> None:
    """Delete the session cookie of a test client.

    The session ends on the server too if the client's requests go through an `AuthMiddleware`: as the client's app, as
    the `wsgi_app` of a Flask app, or below other layers. Raises `TypeError` for another client.
    """
    auth = middleware_of(test_app)
    for value in take_cookies(test_app, lambda name: name.removeprefix("__Host-").startswith("nipo_auth")):
        session = auth._services.sessions.find(value) if auth else None
        if auth is not None and session is not None:
            auth._services.session_store.end_session(session.stored.key)


def link_in(message: Message) -> str:
    """The first link in the text of a mail. Raises LookupError if there is none."""
    found = _URL.search(message.text)
    if found is None:
        raise LookupError("no link in this mail")
    return found.group()
