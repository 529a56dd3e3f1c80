"""A sender that no client library tidies up: it asks a WSGI app directly, with an environ made by hand."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nipo_auth_mw import protocols
from tests.kit import PASSWORD

HTTPS = "https://app.example"
FORM = "application/x-www-form-urlencoded"
MARKER = "marker-in-the-exception"
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Row RD1: one slash, no second slash or backslash, then printable ASCII without backslash.
SAFE_LOCATION = re.compile(r"/(?![/\\])[!-\[\]-~]*\Z")


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        return ", ".join(self.all(name))

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])

    @property
    def cookies(self) -> dict[str, str]:
        """Names and values of Set-Cookie lines that set something."""
        pairs = [line.partition(";")[0].partition("=") for line in self.all("Set-Cookie")]
        return {name: value for name, _, value in pairs if value}


def ask(
    app: Any,
    method: str = "GET",
    path: str = "/page",
    *,
    query: str = "",
    form: Any = None,
    data: Any = None,
    body: bytes | None = None,
    cookie: str = "",
    **environ: Any,
) -> Answer:
    """Send one request; a keyword in capitals is a key of environ, None takes it away.

    Whatever the answer, its headers hold no control character: row RD4 is checked everywhere.
    """
    kind = None
    if form is not None:
        body, kind = urlencode(form).encode(), FORM
    elif data is not None:
        body, kind = json.dumps(data).encode(), "application/json"
    sent = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_ACCEPT": "text/html,*/*;q=0.8",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": None if body is None else str(len(body)),
        "HTTP_COOKIE": cookie or None,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    sent.update(environ)
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, headers))
        return written.append

    chunks = app({key: value for key, value in sent.items() if value is not None}, start_response)
    try:
        written.extend(chunks)
    finally:
        getattr(chunks, "close", lambda: None)()
    status, headers = started[-1]
    for name, value in headers:
        assert type(name) is type(value) is str
        assert not CONTROL.search(name + value), (name, value)
        value.encode("latin-1")
    return Answer(int(status[:3]), list(headers), b"".join(written))


def login(auth: Any, email: str = "tanaka@example.com", password: str = PASSWORD, **more: Any) -> Answer:
    fields = {"email": email, "password": password, "remember": "1", **more.pop("fields", {})}
    return ask(auth, "POST", "/-/auth/login", form=fields, **more)


def session_pair(answer: Answer) -> str:
    """`name=value` of the session cookie that an answer sets; "" when it sets none."""
    found = [f"{name}={value}" for name, value in answer.cookies.items() if "nipo_auth" in name]
    return found[0] if found else ""


def signed_in(auth: Any, email: str = "tanaka@example.com", **more: Any) -> str:
    """Sign in; the session cookie as the browser sends it."""
    pair = session_pair(login(auth, email, **more))
    assert pair, "sign-in of the test's own person failed"
    return pair


def who(auth: Any, cookie: str = "", path: str = "/page", **environ: Any) -> str:
    """The id the wrapped echo app sees; "" for a visitor."""
    answer = ask(auth, "GET", path, cookie=cookie, **environ)
    assert answer.status in {200, 303, 401}, answer.status
    return answer.text.split()[0].removeprefix("user=").removeprefix("-") if answer.status == 200 else ""


def rows(auth: Any) -> int:
    """How many sessions the store keeps, of anybody."""
    ever = 1e12
    store = auth._services.session_store
    return len(store.expired_sessions(persistent_before=ever, browser_before=ever, created_before=ever, limit=100_000))


class Inner:
    """An app that keeps what reached it and answers with the headers it was given."""

    def __init__(self, headers: list[tuple[str, str]] | None = None, status: str = "200 OK") -> None:
        self.seen: list[dict[str, Any]] = []
        self.headers = headers or [("Content-Type", "text/plain")]
        self.status = status

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.seen.append(environ)
        start_response(self.status, list(self.headers))
        return [f"user={environ.get('REMOTE_USER', '-')} ".encode()]


class Failing:
    """A store that works until `broken` names some of its methods, or "*": those then raise."""

    def __init__(self, inner: Any, error: type[Exception]) -> None:
        self.inner, self.error = inner, error
        self.broken: set[str] = set()

    def wrap(self, name: str) -> Any:
        """Put the failure in front of one method of the real store, so that its type stays what it is."""
        real = getattr(self.inner, name)

        def call(*args: Any, **named: Any) -> Any:
            if name in self.broken or "*" in self.broken:
                raise self.error(MARKER)
            return real(*args, **named)

        setattr(self.inner, name, call)


_PROTOCOLS = (
    *(protocols.UserStore, protocols.EmailStore, protocols.StaffDirectory, protocols.SessionStore),
    *(protocols.AccountStateStore, protocols.JoinedSessionStore, protocols.AuditLog),
)
METHODS = [name for protocol in _PROTOCOLS for name in vars(protocol) if not name.startswith("_")]


def breakable(store: Any, error: type[Exception]) -> Failing:
    failing = Failing(store, error)
    for name in METHODS:
        if hasattr(store, name):
            failing.wrap(name)
    return failing
