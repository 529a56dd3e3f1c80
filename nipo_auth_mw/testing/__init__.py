"""The test kit for host apps.

    auth = AuthMiddleware(app, **in_memory())
    test_app = TestApp(auth)
    user = auth.accounts.create(email="tanaka@example.com", password="correct horse battery")
    sign_in(auth, test_app, user)

`nipo_auth_mw.testing.contracts` holds contract suites for a store or mailer of a host app. The package reads the time
by `time.time()` alone, so the library `time-machine` moves all of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from nipo_auth_mw._credentials.hashing import FastHasher
from nipo_auth_mw._flows.login import admit
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.mailers._memory import MemoryMailer
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import Client, Message, User
from nipo_auth_mw.protocols import PasswordHasher
from nipo_auth_mw.stores._memory import MemoryStore
from nipo_auth_mw.testing._browsers import HasMiddleware, given_middleware, middleware_of, put_cookie, take_cookies
from nipo_auth_mw.testing._two_steps import account_of, all_steps, code_of, enrol_app

if TYPE_CHECKING:
    from nipo_auth_mw.testing._soft_passkey import SoftPasskey

__all__ = [
    "MemoryMailer",
    "MemoryStore",
    "SoftPasskey",
    "auth_of",
    "code_of",
    "enrol_app",
    "fast_hasher",
    "in_memory",
    "in_memory_from",
    "link_in",
    "mails",
    "sign_in",
    "sign_in_as",
    "sign_out",
]

_SECRET = "for tests only: this key is public, in the source"  # noqa: S105
_NUMBERS = itertools.count(1)
_URL = re.compile(r"https?://[^\s<>\"]+")


def __getattr__(name: str) -> Any:
    """Import the extra `nipo_auth_mw[two-step]` only if a test uses `SoftPasskey`."""
    if name != "SoftPasskey":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nipo_auth_mw.testing._soft_passkey import SoftPasskey

    return SoftPasskey


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


def in_memory_from(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with the settings `NIPO_AUTH_…` of a Flask config or of Django's settings.

    Address, secret key, store and mailer are the kit's own, so that no test reaches those of production.
    """
    own = {
        "NIPO_AUTH_SECRET_KEY": (_SECRET,),
        "NIPO_AUTH_BASE_URL": "http://localhost",
        "NIPO_AUTH_LOCKOUT_STORAGE": "store",
    }
    return {**in_memory(), "config": AuthConfig.from_mapping({**mapping, **own})}


def auth_of(app: Any) -> AuthMiddleware:
    """The middleware of Flask's `Auth`, or that an app, or a test client's app, is behind. Raises LookupError."""
    return given_middleware(app)


def mails(auth: AuthMiddleware | HasMiddleware) -> list[Message]:
    """The mails that a middleware with a `MemoryMailer` has sent, oldest first. Raises TypeError for another mailer."""
    mailer = auth_of(auth)._services.outbox._mailer
    if not isinstance(mailer, MemoryMailer):
        raise TypeError(f"{type(mailer).__name__} keeps no mails; build the middleware with in_memory()")
    return mailer.outbox


def sign_in_as(
    auth: AuthMiddleware | HasMiddleware, test_app: Any, email: str = "", *, name: str = "", role: str = ""
) -> User:
    """Sign in as the account with this address, which is made if there is none. Returns the user.

    Without an address it is a new account. An account that is there gets the role, if one is named; a new one is
    `staff` then. Raises what `sign_in` raises, and `NotSupported` if the app has a user table of its own, to which the
    test has to add the user first.
    """
    auth = auth_of(auth)
    user = auth.accounts.find(email) if email else None
    if user is None:
        user = auth.accounts.create(email=email or f"user{next(_NUMBERS)}@example.com", name=name, role=role or "staff")
    elif role and user.role != role:
        auth.accounts.set_role(user.id, role)
    sign_in(auth, test_app, user)
    return auth.accounts.get(user.id) or user


def sign_in(
    auth: AuthMiddleware | HasMiddleware, test_app: Any, user: Any, *, means: Literal["password", "all"] = "all"
) -> None:
    """Open a session of `user` and put its cookie into a test client, without hashing a password.

    `auth` is the middleware, or `Auth` of Flask. `test_app` is WebTest's `TestApp`, or the test client of Flask,
    werkzeug or Django. `user` is a `User`, a row of the app's own user table, or an id. The client holds one session
    cookie from then on, whatever the middleware sends later.

    The session has proved both steps if the account has two, and also if its role requires two: then the account gets
    an authenticator app first. With `means="password"` it has proved the password alone.

    Raises `LookupError` if no account has the id, or another account than that of the `User` has it, `ValueError` for a
    disabled account, which could not sign in, and `TypeError` for another client.
    """
    auth = auth_of(auth)
    services, account = auth._services, account_of(auth, user)
    if not account.active:
        raise ValueError("this account is disabled, so it could not sign in")
    proved = all_steps(auth, account) if means == "all" else ("password",)
    value = admit(services, account, client=Client("127.0.0.1", "WebTest"), means=proved)
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
