"""Rows EV1-EV4: who the wrapped app sees, whatever stands in the environ."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from wsgiref.validate import validator

import pytest

from nipo_auth_mw import current_user
from nipo_auth_mw.models import Account
from nipo_auth_mw.testing import MemoryStore
from tests.kit import PASSWORD, browser, middleware, person
from tests.security.tools import HTTPS, Inner, ask, login, session_pair, signed_in, who

FORGED = {
    "REMOTE_USER": "admin",
    "AUTH_TYPE": "Basic",
    "nipo_auth_mw.user": object(),
    "nipo_auth_mw.session": object(),
    "nipo_auth_mw.site": object(),
}


@pytest.mark.parametrize("path", ["/open", "/page", "/-/auth/login"])
def test_ev1_what_the_server_set_is_removed(path):
    inner = Inner()
    auth = middleware(inner, public_paths=("/open/*",))
    ask(auth, path=path, **FORGED)
    for environ in inner.seen:
        assert "REMOTE_USER" not in environ
        assert "AUTH_TYPE" not in environ
        assert environ.get("nipo_auth_mw.user") is environ.get("nipo_auth_mw.session") is None
        assert environ.get("nipo_auth_mw.site") is not FORGED["nipo_auth_mw.site"]
    assert len(inner.seen) == (path == "/open")
    assert ask(auth, path="/-/auth/session", **FORGED).status == 401


def test_ev1_with_a_session_it_is_replaced():
    inner = Inner()
    auth = middleware(inner)
    user = person(auth)
    ask(auth, cookie=signed_in(auth), **FORGED)
    (environ,) = inner.seen
    assert (environ["REMOTE_USER"], environ["AUTH_TYPE"]) == (user.id, "nipo_auth_mw")
    assert environ["nipo_auth_mw.user"].id == environ["nipo_auth_mw.session"].user_id == user.id


def test_ev2_headers_never_become_identity_and_reach_the_app_as_they_came():
    inner = Inner()
    auth = middleware(inner, public_paths=("/open/*",))
    person(auth)
    names = [
        "REMOTE_USER",
        "X_REMOTE_USER",
        "X_FORWARDED_USER",
        "AUTH_TYPE",
        "NIPO_AUTH_MW_USER",
        "X_AUTH_REQUEST_USER",
        "AUTHORIZATION",
        "PROXY_AUTHORIZATION",
        "X_FORWARDED_FOR",
        "FORWARDED",
        "X_REAL_IP",
        "VIA",
    ]
    headers = {f"HTTP_{name}": "admin" for name in names}
    for cookie, user in (("", None), (signed_in(auth), "1")):
        inner.seen.clear()
        ask(auth, path="/open", cookie=cookie, **headers)
        (environ,) = inner.seen
        assert environ.get("REMOTE_USER") == user
        assert {name: environ[name] for name in headers} == headers
        assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert who(auth, **headers) == ""


class Id(str):
    """What a host's ORM may hand out instead of a plain text."""


class OddStore(MemoryStore):
    def find_by_email(self, email):
        return self._odd(super().find_by_email(email))

    def get(self, user_id):
        return self._odd(super().get(user_id))

    def find_session_with_account(self, key):
        found = super().find_session_with_account(key)
        return found and (found[0], found[1], self._odd(found[2]))

    def _odd(self, account):
        return account and Account(Id(account.id), account.email, account.password_hash, True, "€ 田中", account.role)


def test_ev3_remote_user_is_a_plain_text_or_absent():
    seen = []

    def inner(environ, start_response):
        seen.append(dict(environ))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    auth = middleware(validator(inner), store=OddStore(), public_paths=("/open/*",))
    person(auth, name="€")
    app = browser(validator(auth))
    app.get("/open")
    assert app.post("/-/auth/login", {"email": "tanaka@example.com", "password": PASSWORD}).status_int == 303
    app.get("/open")
    assert "REMOTE_USER" not in seen[0]
    assert type(seen[1]["REMOTE_USER"]) is str
    assert seen[1]["REMOTE_USER"].encode("latin-1") == b"1"
    assert seen[1]["nipo_auth_mw.user"].name == "€ 田中"


def test_ev4_each_request_sees_its_own_person_while_streaming_too():
    barrier = threading.Barrier(50)

    def inner(environ, start_response):
        barrier.wait(10)
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body():
            for _ in range(3):
                barrier.wait(10)
                user = current_user(environ)
                yield f"{environ.get('REMOTE_USER', '-')},{user and user.email} ".encode()

        return body()

    auth = middleware(inner, base_url=HTTPS, public_paths=("/open/*",))
    person(auth)
    person(auth, email="suzuki@example.com")
    cookies = {"": "", "1": signed_in(auth), "2": session_pair(login(auth, "suzuki@example.com"))}
    told = {"": "-,None ", "1": "1,tanaka@example.com ", "2": "2,suzuki@example.com "}
    with ThreadPoolExecutor(50) as pool:
        # Each thread serves one of each round, so that nothing of the one before may be left on it.
        for ids in (["1", "2"] * 25, ["2"] * 25 + ["1"] * 25, ["", "1"] * 25):
            answers = list(pool.map(lambda i: ask(auth, path="/open", cookie=cookies[i]), ids))
            assert [answer.text for answer in answers] == [told[i] * 3 for i in ids]


def test_ev5_no_copy_of_the_headers_holds_a_forged_identity():
    inner = Inner()
    auth = middleware(inner, identity_headers={"X-User-Email": "email"}, public_paths=["/open/*"])
    forged = [("X-User-Email", "kanri@example.com"), ("x_user-email", "kanri@example.com"), ("Host", "app.example")]
    scope = {"type": "http", "headers": [(name.lower().encode(), value.encode()) for name, value in forged]}
    assert ask(auth, path="/open/x", **{"asgi.scope": scope, "headers_raw": tuple(forged)}).status == 200
    (environ,) = inner.seen
    assert environ["headers_raw"] == (("Host", "app.example"),)
    assert environ["asgi.scope"] == {"type": "http", "headers": [(b"host", b"app.example")]}
    assert len(scope["headers"]) == 3, "the server's own dict stays as it is"
