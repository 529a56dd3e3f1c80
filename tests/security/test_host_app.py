"""Rows RU30, AK1, AK2 and AK20: what the wrapped app is given, and what decides whether it is asked at all."""

from __future__ import annotations

import re
import sys
from itertools import cycle, product
from pathlib import Path

import bottle
import pytest
import time_machine
import webob
from werkzeug.wrappers import Request

import nipo_auth_mw
from tests.each import each
from tests.kit import middleware, person
from tests.security.tools import HTTPS, Inner, ask, login, signed_in, who

PACKAGE = str(Path(nipo_auth_mw.__file__).parent)
PREFLIGHT = {"HTTP_ORIGIN": "https://spa.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT"}


def both(auth, email="tanaka@example.com"):
    """The session cookie and the device cookie, as the browser sends them, and their values."""
    cookies = login(auth, email).cookies
    (session,) = (f"{name}={value}" for name, value in cookies.items() if "nipo_auth" in name)
    (device,) = (f"{name}={value}" for name, value in cookies.items() if "nipo_device" in name)
    return session, device


# What the client sends, and what of it is the app's; S and D stand for our two cookies.
HEADERS = [
    ("S", None),
    ("S; D", None),
    ("D; S", None),
    ("D;S;", None),
    (" S ; ", None),
    ("S; a=1", "a=1"),
    ("a=1; S", "a=1"),
    ("a=1; S; D; b=2", "a=1; b=2"),
    ("S; a=1; D; b=2", "a=1; b=2"),
    ("a=1; D; b=2; S; c=3", "a=1; b=2; c=3"),
    ("a=1;S;b=2", "a=1;b=2"),
    ("a=1;  S;\tb=2", "a=1;\tb=2"),
    ("a=1; S;D; b=2", "a=1; b=2"),
    ('a="x y"; S; b="1\\"2"', 'a="x y"; b="1\\"2"'),
    ("a=\xe6\x97\xa5; S; b=\xff", "a=\xe6\x97\xa5; b=\xff"),
    ("a; =b; S; c=; d==", "a; =b; c=; d=="),
    ("a = 1 ; S", "a = 1 "),
    ("a=1; a=2; S; a=3", "a=1; a=2; a=3"),
    ("nipo_lang=ja; S", "nipo_lang=ja"),
    ("nipo_auth; S", "nipo_auth"),
    ("nipo_auth_other=1; S; xnipo_auth=2; Nipo_Auth=3", "nipo_auth_other=1; xnipo_auth=2; Nipo_Auth=3"),
    ("a=1; nipo_auth=junk", "a=1"),
    ("nipo_device=junk; a=nipo_auth", "a=nipo_auth"),
    ("S; S", None),
    ("S; a=1; S; b=2; D; D", "a=1; b=2"),
    ("a=1; b=2", "a=1; b=2"),
    ("a=1;; b=2; ", "a=1;; b=2; "),
    ("x=" + "y" * 40_000 + "; S", "x=" + "y" * 40_000),
]


@pytest.mark.parametrize("path", ["/open", "/page"])
@each("sent, seen", HEADERS)
def test_ru30_the_app_gets_its_own_cookies_as_they_came(sent, seen, path):
    inner = Inner()
    auth = middleware(inner, public_paths=["/open/*"])
    person(auth)
    session, device = both(auth)
    header = re.sub(r"\b[SD]\b", lambda word: {"S": session, "D": device}[word[0]], sent)
    ask(auth, path=path, cookie=header)
    for environ in inner.seen:
        assert environ.get("HTTP_COOKIE") == seen
    assert len(inner.seen) == (path == "/open" or (sent.count("S") == 1 and len(sent) < 40_000))


@pytest.mark.parametrize("base_url", [HTTPS, "http://localhost"])
@pytest.mark.parametrize("realm", ["", "one"])
def test_ru30_nothing_of_the_request_holds_a_secret(base_url, realm):
    held = []

    def app(environ, start_response):
        held.append({key: repr(value) for key, value in environ.items()})
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            held.append({f"{frame.f_code.co_name}.{name}": repr(value) for name, value in frame.f_locals.items()})
            frame = frame.f_back
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    auth = middleware(app, base_url=base_url, realm=realm, public_paths=["/open/*"])
    person(auth)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        session, device = both(auth)
        secrets = [pair.partition("=")[2] for pair in (session, device)]
        cookie = f"a=1; {session}; {device}"

        def request(path, cookie=cookie, **more):
            def parsed(environ, start_response):
                # Others read the cookies before us, and leave what they read in the environ.
                assert webob.Request(environ).cookies["a"] == bottle.BaseRequest(environ).cookies["a"] == "1"
                assert Request(environ).cookies["a"] == "1"
                environ["paste.cookies"] = (environ["HTTP_COOKIE"], environ["HTTP_COOKIE"])
                environ.pop("bottle.request", None)
                return auth(environ, start_response)

            return ask(parsed, path=path, cookie=cookie, **more)

        request("/open")
        request("/page")
        request("/page", REQUEST_METHOD="OPTIONS", **PREFLIGHT)
        clock.shift(31 * 86400)
        assert "nipo_auth" in request("/page").get("Set-Cookie"), "the cookie goes out again, past the app"
        auth.accounts.set_password("1", "kiiroi-hana-to-midori", must_change=True)
        request("/open")
        request("/open", cookie=f"a=1; {device}")
    assert len(held) > 6
    for one in held:
        for name, text in one.items():
            assert not any(secret in text for secret in secrets), name
            assert not any(part in text for secret in secrets for part in secret.split(".")), name


@each("own", ["", "a=1; b=\xe9"])
def test_ru30_a_server_that_keeps_the_headers_as_they_came_shows_the_app_no_secret_either(own):
    """a2wsgi keeps them in the scope of an ASGI server, and eventlet as they are."""
    inner = Inner()
    auth = middleware(inner)
    person(auth)
    session, device = both(auth)
    sent = "; ".join(filter(None, [own, session, device]))
    headers = [(b"host", b"app.example"), *((b"cookie", one.encode("latin-1")) for one in sent.split("; "))]
    scope = {"type": "http", "headers": headers}
    raw = (("Host", "app.example"), ("Cookie", sent))
    assert ask(auth, cookie=sent, **{"asgi.scope": scope, "headers_raw": raw}).status == 200
    (environ,) = inner.seen
    assert environ["headers_raw"] == (("Host", "app.example"), *([("Cookie", own)] if own else []))
    left = [(b"cookie", own.encode("latin-1"))] if own else []
    assert environ["asgi.scope"] == {"type": "http", "headers": [(b"host", b"app.example"), *left]}
    assert scope["headers"] is headers, "the server's own scope is as it was"


def test_ru30_our_own_pages_still_read_them():
    auth = middleware()
    person(auth)
    session, device = both(auth)
    cookie = f"a=1; {session}; {device}"
    assert ask(auth, path="/-/auth/session", cookie=cookie).status == 200
    assert ask(auth, "POST", "/-/auth/logout", cookie=cookie).status == 303
    assert ask(auth, path="/-/auth/session", cookie=cookie).status == 401


# Bytes as a server passes them on: single ones, and UTF-8 of U+00A0, U+2000, U+3000, U+FEFF, U+200B.
DISGUISES = ["\xa0", "\x85", "\x0b", "\x0c", "\x1c", "\x1f", "\x00", "\xad", "\xc2\xa0", "\xe2\x80\x80"]
DISGUISES += ["\xe3\x80\x80", "\xef\xbb\xbf", "\xe2\x80\x8b", '"', "$", ",", "%20"]


@pytest.fixture(scope="module", params=[HTTPS, "http://localhost"])
def two(request):
    """A middleware, and the session cookies of A and B."""
    auth = middleware(base_url=request.param, public_paths=["/open/*"])
    person(auth)
    person(auth, email="suzuki@example.com")
    return auth, signed_in(auth), signed_in(auth, "suzuki@example.com")


@pytest.mark.parametrize("odd", DISGUISES, ids=ascii)
def test_ak1_a_name_in_disguise_is_not_ours(two, odd):
    auth, a, b = two
    name, _, value = b.partition("=")
    for pair in (f"{odd}{name}={value}", f"{name}{odd}={value}", f"{odd}{name}{odd}={value}", f" {odd} {name}={value}"):
        for header in (pair, f"x=1; {pair}", f"{pair}; x=1", f"x=1;{pair}"):
            assert who(auth, header) == who(auth, header, path="/open") == ""
            assert ask(auth, path="/-/auth/session", cookie=header).status == 401
        for header in (f"{pair}; {a}", f"{a}; {pair}", f"{pair};{a}", f"x=1; {pair}; {a}; {pair}"):
            assert who(auth, header) == who(auth, header, path="/open") == "1"
            assert ask(auth, path="/-/auth/session", cookie=header).status == 200


NAMES = re.findall(
    r"\w+",
    """
    ACCEPT ACCEPT_CHARSET ACCEPT_ENCODING ACCEPT_LANGUAGE AUTHORIZATION CACHE_CONTROL CF_CONNECTING_IP CLIENT_IP
    CONNECTION CONTENT_LOCATION COOKIE DNT EARLY_DATA EXPECT FORWARDED FORWARDED_PROTO FROM FRONT_END_HTTPS HOST
    HX_REQUEST IF_MATCH IF_NONE_MATCH MAX_FORWARDS ORIGIN PREFER PRAGMA PROXY_AUTHORIZATION PURPOSE RANGE REFERER
    REMOTE_USER SAVE_DATA SEC_FETCH_DEST SEC_FETCH_MODE SEC_FETCH_SITE SEC_FETCH_USER SEC_PURPOSE SERVICE_WORKER
    SERVICE_WORKER_NAVIGATION_PRELOAD SOAPACTION TE TRUE_CLIENT_IP UPGRADE USER_AGENT VIA X_AMZN_TRACE_ID
    X_API_KEY X_AUTH_REQUEST_EMAIL X_AUTH_REQUEST_REDIRECT X_AUTH_REQUEST_USER X_CSRF_TOKEN X_DEBUG X_FORWARDED
    X_FORWARDED_BY X_FORWARDED_EMAIL X_FORWARDED_FOR X_FORWARDED_HOST X_FORWARDED_METHOD X_FORWARDED_PATH
    X_FORWARDED_PREFIX X_FORWARDED_PROTO X_FORWARDED_URI X_FORWARDED_USER X_HEALTH_CHECK X_HTTP_METHOD
    X_HTTP_METHOD_OVERRIDE X_INERTIA X_INTERNAL X_MIDDLEWARE_SUBREQUEST X_MOZ X_ORIGINAL_HOST X_ORIGINAL_METHOD
    X_ORIGINAL_URI X_ORIGINAL_URL X_PURPOSE X_REAL_IP X_REMOTE_USER X_REQUESTED_WITH X_REWRITE_URL X_SCRIPT_NAME
    X_SENDFILE_TYPE X_USER X_WAP_PROFILE ACCESS_CONTROL_REQUEST_METHOD ACCESS_CONTROL_REQUEST_HEADERS
    """,
)
VALUES = [
    *("/open", "/open/", "http://localhost/open", "/-/auth/login", "/static/app.css", "1", "true", "admin", "internal"),
    *("127.0.0.1", "localhost", "GET", "OPTIONS", "prefetch", "probe", "websocket", "navigate", "no-cache", "", "\xff"),
    *(
        "kube-probe/1.30",
        "GoogleHC/1.0",
        "ELB-HealthChecker/2.0",
        "Prometheus/2.51",
        "GitHub-Hookshot/1",
        "UptimeRobot",
    ),
    *("middleware:middleware:middleware", "nipo_auth=1", "for=127.0.0.1", "Bearer x", "Basic YTpi", "Negotiate x"),
]


def test_ak2_no_header_opens_a_path_or_closes_one():
    inner = Inner()
    auth = middleware(inner, public_paths=["/open/*"])
    methods = cycle(("GET", "POST", "OPTIONS", "HEAD", "PUT"))
    for (name, value), method in zip(product(NAMES, VALUES), methods, strict=False):
        sent = {f"HTTP_{name}": value, "REQUEST_METHOD": method}
        answer = ask(auth, path="/page", **sent)
        assert (inner.seen, answer.status in {303, 401, 409}) == ([], True), sent
    for name, value in zip(NAMES, cycle(VALUES), strict=False):
        assert ask(auth, path="/open", **{f"HTTP_{name}": value}).status == 200, (name, value)


def test_ak2_with_a_session_no_header_takes_the_page_away():
    auth = middleware()
    person(auth)
    mine = signed_in(auth)
    for name, value in product([name for name in NAMES if name != "COOKIE"], VALUES[::5]):
        answer = ask(auth, cookie=mine, **{f"HTTP_{name}": value})
        assert (answer.status, answer.text) == (200, "user=1 sent="), (name, value)


def test_ak2_no_header_opens_or_closes_what_a_proxy_asks_about():
    for trusted in (0, 1):
        auth = middleware(trusted_proxies=trusted, public_paths=["/open/*"])
        person(auth)
        mine = signed_in(auth)
        for name, value in product([name for name in NAMES if name != "COOKIE"], VALUES[::3]):
            sent = {f"HTTP_{name}": value, "path": "/-/auth/forward"}
            refused = ask(auth, **sent).status
            # A development set-up answers loopback hosts only.
            foreign = name in {"HOST", "X_FORWARDED_HOST"}
            assert refused in ({303, 400, 401, 409} if foreign else {303, 401, 409}), sent
            assert ask(auth, cookie=mine, **sent).status in ({200, 400} if foreign else {200}), sent
            assert ask(auth, cookie=mine, query="role=admin", **sent).status in ({400, 403} if foreign else {403}), sent


def test_ak2_ru13_a_preflight_reaches_the_app_as_a_visitor_and_its_answer_passes():
    headers = [("Access-Control-Allow-Origin", "https://spa.example"), ("Access-Control-Allow-Methods", "PUT")]
    inner = Inner(headers, "204 No Content")
    auth = middleware(inner)
    person(auth)
    for cookie in ("", signed_in(auth), "nipo_auth=forged", f"a=1; {signed_in(auth)}"):
        inner.seen.clear()
        forged = {"REMOTE_USER": "admin", "HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE", "HTTP_X_METHOD_OVERRIDE": "GET"}
        answer = ask(auth, "OPTIONS", "/orders/7", cookie=cookie, **PREFLIGHT, **forged)
        assert (answer.status, answer.headers) == (204, headers)
        (environ,) = inner.seen
        assert "REMOTE_USER" not in environ
        assert environ["nipo_auth_mw.user"] is environ["nipo_auth_mw.session"] is None
        assert environ.get("HTTP_COOKIE") == ("a=1" if "a=1" in cookie else None)
        assert not any("OVERRIDE" in key for key in environ)
    for status in ("401 Unauthorized", "403 Forbidden"):
        refusing = middleware(Inner(headers, status))
        assert ask(refusing, "OPTIONS", "/orders/7", **PREFLIGHT).headers == headers


def eager(environ, start_response, headers):
    start_response("200 OK", headers)
    return [b"salaries"]


def lazy(environ, start_response, headers):
    start_response("200 OK", headers)
    yield b"salaries"


def by_write(environ, start_response, headers):
    start_response("200 OK", headers)(b"salaries")
    return []


def anew(environ, start_response, headers):
    start_response("200 OK", [("X-Salary", "1"), ("Access-Control-Allow-Origin", "*")])
    try:
        raise LookupError
    except LookupError:
        start_response("500 Internal Server Error", headers, sys.exc_info())
    return [b"salaries"]


def silent(environ, start_response, headers):
    return []


@pytest.mark.parametrize("page", [eager, lazy, by_write, anew, silent])
def test_ak20_an_app_that_answers_any_method_shows_a_visitor_nothing(page):
    auth = middleware(lambda *both: page(*both, [("X-Salary", "1"), ("Set-Cookie", "a=1"), ("Location", "/salaries")]))
    preflight, visit = (ask(auth, "OPTIONS", "/salaries", **headers) for headers in (PREFLIGHT, {}))
    assert (preflight.status, preflight.code) == (visit.status, visit.code) == (401, "sign_in_required")
    assert b"salaries" not in preflight.body
    assert not {"X-Salary", "Set-Cookie", "Location"} & dict(preflight.headers).keys()


@pytest.mark.parametrize("page", [eager, lazy, by_write, anew])
def test_ak20_of_an_app_that_grants_something_the_grant_alone_passes(page):
    grant = [("Access-Control-Allow-Origin", "https://spa.example"), ("Vary", "Origin"), ("Allow", "GET")]
    private = [("X-Salary", "1"), ("Set-Cookie", "a=1"), ("Content-Length", "8"), ("Content-Type", "text/plain")]
    auth = middleware(lambda *both: page(*both, private + grant), public_paths=["/open/*"])
    answer = ask(auth, "OPTIONS", "/salaries", **PREFLIGHT)
    assert (answer.headers, answer.body) == (grant, b"")
    public = ask(auth, "OPTIONS", "/open/list", **PREFLIGHT)
    assert (public.headers, public.body) == (private + grant, b"salaries")


def test_ak20_a_preflight_brings_no_body_and_the_apps_answer_is_closed():
    seen, closed = [], []

    class Body(list):
        def close(self):
            closed.append(True)

    def inner(environ, start_response):
        seen.append((environ["wsgi.input"].read(), environ.get("CONTENT_LENGTH"), environ.get("CONTENT_TYPE")))
        start_response("204 No Content", [("Access-Control-Allow-Origin", "*")])
        return Body()

    ask(middleware(inner), "OPTIONS", "/orders/7", form={"delete": "1"}, **PREFLIGHT)
    assert (seen, closed) == ([(b"", None, None)], [True])


@pytest.mark.parametrize("query", ["delete=7", "__METHOD_OVERRIDE__=DELETE", "_method=GET", "a=1&b=2"])
def test_ak20_a_preflight_tells_no_page_what_to_do(query):
    """Pages of Pyramid and CherryPy read their parameters with any method, and a query may name another method."""
    inner = Inner([("Access-Control-Allow-Origin", "*")], "204 No Content")
    auth = middleware(inner, public_paths=["/open/*"])
    for path, seen in (("/orders", ""), ("/open/orders", query)):
        uri = f"{path}?{query}"
        more = {"REQUEST_URI": uri, "RAW_URI": uri, "asgi.scope": {"query_string": query.encode(), "headers": []}}
        assert ask(auth, "OPTIONS", path, query=query, **PREFLIGHT, **more).status == 204
        environ = inner.seen.pop()
        assert environ["QUERY_STRING"] == seen
        assert (query in repr(environ)) == bool(seen)


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "options", "Options", "OPTIONSX", ""]
)
def test_ak2_another_method_is_no_preflight(method):
    inner = Inner()
    assert ask(middleware(inner), method, "/orders/7", **PREFLIGHT).status in {303, 401}
    assert inner.seen == []


@pytest.mark.parametrize("missing", PREFLIGHT)
@pytest.mark.parametrize("value", [None, ""])
def test_ak2_a_preflight_has_both_headers(missing, value):
    inner = Inner()
    assert ask(middleware(inner), "OPTIONS", "/orders/7", **{**PREFLIGHT, missing: value}).status == 401
    assert inner.seen == []


def test_ak2_below_our_prefix_a_preflight_is_answered_by_us():
    inner = Inner()
    answer = ask(middleware(inner), "OPTIONS", "/-/auth/login", **PREFLIGHT)
    assert (answer.status, inner.seen) == (200, [])
    assert not any(name.startswith("Access-Control") for name, _ in answer.headers)
