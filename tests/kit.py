"""What many tests need: small apps to wrap, people, and a way to look at rows and cookies."""

from __future__ import annotations

import html
import json
import os
import re
import resource
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw._credentials.passkeys import Passkey, Registered
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw.testing import SoftPasskey, in_memory

SUZUKI = "suzuki@example.com"
PASSWORD = "aoi-umi-to-shiroi-kumo"
WRONG = "akai-yama-to-kuroi-kawa"


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers who it sees, and what was sent."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size) if size else b""
    text = f"user={environ.get('REMOTE_USER', '-')} sent={body.decode('utf-8', 'replace')}"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]


def options_on(page: Any) -> dict[str, Any]:
    """The options of passkeys that a page's form holds."""
    found: dict[str, Any] = json.loads(html.unescape(re.search(r'data-options="([^"]*)"', page.text)[1]))
    return found


def middleware(app: Any = echo, **settings: Any) -> AuthMiddleware:
    """A middleware on memory; keyword arguments that are collaborators go there, the rest into the configuration."""
    collaborators = {"store", "mailer", "hasher", "users", "sessions", "audit", "templates", "listeners", "on_sign_out"}
    collaborators.add("legacy_hashers")
    given = {name: settings.pop(name) for name in list(settings) if name in collaborators}
    return AuthMiddleware(app, **{**in_memory(**settings), **given})


def person(auth: AuthMiddleware, email: str = "tanaka@example.com", **more: Any) -> Any:
    return auth.accounts.create(**{"email": email, "password": PASSWORD, "name": "", **more})


def browser(auth: Any, address: str = "192.0.2.1", **environ: str) -> TestApp:
    """A browser of its own: cookies, an address, and the headers a current browser sends."""
    return TestApp(auth, extra_environ={"REMOTE_ADDR": address, "HTTP_ACCEPT": "text/html,*/*;q=0.8", **environ})


def sign_in(test_app: TestApp, email: str = "tanaka@example.com", password: str = PASSWORD, **fields: str) -> Any:
    """As a person does it: open the page, fill in, send. Any status may come back."""
    form = {"email": email, "password": password, "remember": "1", **fields}
    return test_app.post("/-/auth/login", {k: v for k, v in form.items() if v is not None}, expect_errors=True)


def two_people(auth: Any) -> Any:
    """This middleware, after the accounts 1 (tanaka) and 2 (suzuki) were made."""
    person(auth)
    person(auth, SUZUKI)
    return auth


def administrator(auth: Any, email: str = "kanri@example.com", name: str = "管理") -> TestApp:
    """The browser of an administrator who has signed in."""
    person(auth, email, name=name, role="admin")
    device = browser(auth)
    sign_in(device, email)
    return device


def at_once(*posts: Callable[[], Any]) -> list[int]:
    """The statuses of what is sent in parallel, sorted."""
    ready, statuses = threading.Barrier(len(posts)), []

    def send(post: Callable[[], Any]) -> None:
        ready.wait()
        statuses.append(post().status_int)

    threads = [threading.Thread(target=send, args=(post,)) for post in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


def seen(test_app: TestApp, path: str = "/page") -> str:
    """Who the wrapped app takes this browser for; "" when it is not let in."""
    answer = test_app.get(path, expect_errors=True)
    return answer.text.split()[0].removeprefix("user=").removeprefix("-") if answer.status_int == 200 else ""


def events(auth: AuthMiddleware, *names: str) -> list[Any]:
    """The rows of the audit log, oldest first."""
    rows = list(reversed(auth._services.audit.events(limit=10_000)))
    return [row for row in rows if not names or row.event in names]


def logged_here(caplog: Any) -> list[str]:
    """What this thread has logged. A background thread of the test before may log meanwhile."""
    return [one.getMessage() for one in caplog.records if one.thread == threading.get_ident()]


def enrol_passkey(auth: AuthMiddleware, user: Any, **kind: Any) -> SoftPasskey:
    """Give the account a passkey, and return the authenticator that has it."""
    services, soft = auth._services, SoftPasskey(auth._services.config.origin, **kind)
    assert services.factors is not None
    assert services.passkeys is not None
    handle = services.account_states.account_state(user.id).passkey_handle or secrets.token_hex(32)
    made = services.passkeys.register(
        soft.create(services.passkeys.creation_options(user.id, handle, user.email, "", [])), user.id
    )
    assert isinstance(made, Registered)
    services.factors.add_passkey(user.id, made.key, name="", data=made.passkey.packed(), counter=made.counter)
    change_account_state(services, user.id, passkey_handle=handle)
    return soft


def store_passkey(auth: AuthMiddleware, user_id: str, key: str, name: str) -> None:
    """Give the account the row of a passkey that no authenticator has."""
    factors, data = auth._services.factors, Passkey(b"i" * 16, b"k", True, ()).packed()
    assert factors is not None
    factors.add_passkey(user_id, key, name=name, data=data, counter=0)


def without_challenge(page: Any) -> str:
    """The page without the challenge of a passkey, which is another on each page of sign-in."""
    return re.sub(r"(&#34;challenge&#34;: &#34;)[^&]*", r"\1", page.text)


class Elapsing:
    """Time that passes as the test says. `wall` steps the time of day alone, as an administrator does."""

    def __init__(self, wall: Any) -> None:
        self.wall = wall
        self.passed = 0.0

    def shift(self, seconds: float) -> None:
        self.passed += seconds
        self.wall.shift(seconds)


@contextmanager
def elapsing(start: float) -> Iterator[Elapsing]:
    """Both clocks of the machine: the time of day, which begins at `start`, and the time since the machine's start."""
    real = time.monotonic
    with time_machine.travel(start, tick=False) as wall, pytest.MonkeyPatch.context() as patched:
        clock = Elapsing(wall)
        patched.setattr(time, "monotonic", lambda: real() + clock.passed)
        yield clock


@contextmanager
def no_further_file() -> Iterator[None]:
    """Inside, this process may open no file and no socket beside those that it has."""
    limits, held = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class SpyHasher:
    """Counts what it is asked, and answers as the fast hasher does."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.verified: list[str] = []
        self.hashed = 0

    def hash(self, password: Any, *, salt: Any = None) -> str:
        self.hashed += 1
        return str(self.inner.hash(password, salt=salt))

    def verify(self, hash: Any, password: Any) -> Any:
        self.verified.append(hash)
        return self.inner.verify(hash, password)

    def check_needs_rehash(self, hash: Any) -> bool:
        return bool(self.inner.check_needs_rehash(hash))
