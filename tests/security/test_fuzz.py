"""Anything at all, as WSGI can carry it, against every route: no error, and no user is signed in by accident."""

from __future__ import annotations

import io
import json
import os
import re
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw._web import routes
from tests.kit import middleware, person
from tests.security.tools import FORM, Inner, ask, rows, signed_in, who

SETTINGS = settings(
    # CI tries four times as many as the README's command.
    max_examples=240 if os.environ.get("CI") else 60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
ROUTES = [re.sub("<[a-z]+>", value, route.path) for route in routes.ROUTES for value in ("1", "2", "auth.css")]
ROUTES = [*dict.fromkeys(ROUTES), "static/", "", "nothing", "login/x"]
WORDS = [
    "nipo_auth=",
    "nipo_auth",
    "nipo_device=",
    "nipo_lang=",
    "; ",
    ";",
    "=",
    '"',
    "ja",
    "en",
    ".",
    "email=",
    "password=",
    "next=",
    "//evil.example",
    "/\\",
    "&",
    "%",
    "%ff",
    "%00",
    "tanaka@example.com",
    "@",
    "{",
    "}",
    '"email":',
    "[",
    ",",
    "null",
    "remember",
    "application/json",
    FORM,
    "text/html",
    "q=",
    "*/*",
    "charset=",
    "\x00",
    "\r\n",
    "\xff",
    "\xe6\x97\xa5",
    "A" * 43,
    "0",
    "-1",
    "same-origin",
    "cross-site",
    "navigate",
    "http://localhost",
    "null",
    "evil.example",
    "localhost",
    "..",
    "/",
]
LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
MIXED = st.lists(st.sampled_from(WORDS) | LATIN, max_size=12).map("".join)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT"]) | LATIN
PATHS = st.sampled_from([f"/-/auth/{route}" for route in ROUTES]) | MIXED | MIXED.map(lambda text: "/-/auth/" + text)
HEADERS = [
    "COOKIE",
    "ACCEPT",
    "ACCEPT_LANGUAGE",
    "USER_AGENT",
    "HOST",
    "ORIGIN",
    "SEC_FETCH_SITE",
    "SEC_FETCH_MODE",
    "REFERER",
    "X_FORWARDED_FOR",
    "X_FORWARDED_HOST",
    "X_FORWARDED_PROTO",
    "TRANSFER_ENCODING",
    "AUTHORIZATION",
]
ENVIRONS = st.dictionaries(
    st.sampled_from(
        [
            *(f"HTTP_{name}" for name in HEADERS),
            "CONTENT_TYPE",
            "CONTENT_LENGTH",
            "REMOTE_ADDR",
            "SCRIPT_NAME",
            "QUERY_STRING",
            "REMOTE_USER",
            "SERVER_NAME",
            "wsgi.url_scheme",
        ]
    ),
    MIXED,
    max_size=8,
)
BODIES = st.binary(max_size=200) | MIXED.map(lambda text: text.encode("latin-1"))
TYPES = st.sampled_from([FORM, "application/json", None, "text/plain"])


def fuzzed(auth, inner, method, path, environ, body, kind):
    sent = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), **environ, "wsgi.input": io.BytesIO(body)}
    inner.seen.clear()
    before = rows(auth)
    answer = ask(auth, method, path, **sent)
    assert answer.status < 500
    assert all("nipo_auth" not in name or not value for name, value in answer.cookies.items())
    assert "tanaka@example.com" not in answer.text or b"tanaka" in body or "tanaka" in str(environ) + path
    location = answer.get("Location")
    assert not location or (location.startswith("/") and not location.startswith(("//", "/\\")))
    assert rows(auth) == before
    for reached in inner.seen:
        assert "REMOTE_USER" not in reached
        assert reached["nipo_auth_mw.user"] is None
    return answer


def build(**more):
    inner = Inner()
    auth = middleware(inner, **more)
    person(auth)
    return auth, inner


OPEN = build(public_paths=("/*",), protected_paths=("/inside/*",))
CLOSED = build(trusted_proxies=1, base_url="https://app.example")


@SETTINGS
@given(METHODS, PATHS, ENVIRONS, BODIES, TYPES)
def test_whatever_is_sent_is_answered_and_signs_nobody_in(method, path, environ, body, kind):
    fuzzed(*OPEN, method, path, environ, body, kind)
    fuzzed(*CLOSED, method, path, environ, body, kind)
    assert CLOSED[1].seen == [], "where nothing is public, nothing reaches the app"


@SETTINGS
@given(st.sampled_from(["login", "logout", "language"]), BODIES, st.sampled_from([FORM, "application/json"]), MIXED)
def test_whatever_is_posted_to_a_form_is_answered(route, body, kind, cookie):
    auth, inner = OPEN
    answer = fuzzed(auth, inner, "POST", f"/-/auth/{route}", {"HTTP_COOKIE": cookie}, body, kind)
    assert answer.status in {200, 303, 400, 401, 415, 422, 429}


@SETTINGS
@given(MIXED, MIXED)
def test_no_cookie_header_is_an_identity(before, after):
    auth, inner = OPEN
    for header in (
        before,
        f"nipo_auth={before}; {after}",
        f"{before}nipo_auth={after}",
        f'nipo_auth="{before}.{after}"',
    ):
        fuzzed(auth, inner, "GET", "/page", {"HTTP_COOKIE": header}, b"", None)
        assert ask(auth, path="/-/auth/session", cookie=header).status == 401


NAMES = [
    *("email", "password", "current_password", "remember", "next", "notify_email", "language", "lang", "session"),
    *("all", "name", "role", "must_change", "memo", "emails", "active", "q", "after", "from", "to", "event"),
]
VALUES = st.sampled_from(["", "0", "1", "2", "admin", "ja", "boss@example.com", "tanaka@example.com", "/"]) | MIXED
FIELDS = st.dictionaries(st.sampled_from(NAMES) | MIXED, VALUES | st.booleans(), max_size=8)


def encoded(fields, as_json):
    """A body of these fields and its type; what no form can carry is left to JSON."""
    if as_json:
        return json.dumps(fields).encode(), "application/json"
    return urlencode({name: str(value) for name, value in fields.items()}, errors="replace").encode(), FORM


def accounts(auth):
    """What must not change here: no word of the fuzz is a password."""
    return [
        (one.id, one.email, one.password_hash, one.active, one.role)
        for one in auth._services.directory.search("", after=None, limit=100)
    ]


@pytest.mark.parametrize("role", ["staff", "admin"])
def test_whatever_a_signed_in_person_sends_they_stay_who_they_are_or_nobody(role):
    auth = middleware(lockout=LockoutPolicy(client_failures=1_000_000))
    person(auth, "boss@example.com", role="admin")
    own = person(auth, role=role)
    cookies = [signed_in(auth)]

    @SETTINGS
    @given(st.sampled_from(["GET", "POST", "POST"]), st.sampled_from(ROUTES), FIELDS, st.booleans(), ENVIRONS)
    def send(method, route, fields, as_json, environ):
        body, kind = encoded(fields, as_json)
        sent = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), **environ, "wsgi.input": io.BytesIO(body)}
        query = urlencode(fields, errors="replace")
        before = accounts(auth)
        answer = ask(auth, method, f"/-/auth/{route}", query=query, **{**sent, "HTTP_COOKIE": cookies[0]})
        assert answer.status < 500
        assert not {name for name, value in answer.cookies.items() if name.startswith("nipo_auth")}
        assert "$argon2" not in answer.text
        if role == "staff":
            assert accounts(auth) == before
        else:
            mine = [one for one in accounts(auth) if one[0] == own.id]
            assert mine == [one for one in before if one[0] == own.id]
        seen = who(auth, cookies[0])
        assert seen in {own.id, ""}
        if not seen:
            auth.accounts.unlock(own.id)
            cookies[0] = signed_in(auth)

    send()
