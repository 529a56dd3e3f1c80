"""`GET forward`: what a proxy is told about a request that it holds."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import time_machine

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.errors import ConfigError
from tests.each import each
from tests.kit import events, middleware, person
from tests.security.tools import HTTPS, ask, login, signed_in

HEADERS = {"X-User-Id": "id", "X-User-Email": "email", "X-User-Name": "name", "X-User-Role": "role"}
BROWSER = {"HTTP_SEC_FETCH_MODE": "navigate"}
PROGRAM = {"HTTP_ACCEPT": "*/*", "HTTP_USER_AGENT": "curl/8"}
NGINX = {"HTTP_X_FORWARDED_FOR": "198.51.100.7", "HTTP_X_FORWARDED_HOST": "app.example"}
TRAEFIK = {**NGINX, "HTTP_X_FORWARDED_METHOD": "GET", "HTTP_HOST": "auth:8000"}


def behind_a_proxy(**settings):
    auth = middleware(**{"base_url": HTTPS, "trusted_proxies": 1, "identity_headers": HEADERS, **settings})
    person(auth, name="Tanaka")
    person(auth, email="boss@example.com", role="admin", name="Boss")
    return auth


def forward(auth, uri="/wiki/page?a=1&b=2", *, proxy=NGINX, method="GET", **more):
    sent = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_URI": uri, **proxy, **more}
    return ask(auth, method, "/-/auth/forward", **sent)


def identity(answer):
    return {name: answer.get(name) for name in HEADERS if answer.all(name)}


@each("cookie", ["", "nipo_auth=forged", "signed in"])
def test_ak21_no_other_method_lets_a_request_pass(cookie):
    """Some proxies ask with the method of the request that they hold."""
    auth = behind_a_proxy()
    cookie = signed_in(auth) if cookie == "signed in" else cookie
    preflight = {"HTTP_ORIGIN": "https://spa.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
    for method in ("OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "options", "get", ""):
        answer = forward(auth, method=method, cookie=cookie)
        assert (answer.status, answer.get("Allow")) == (405, "GET, HEAD"), method
        assert forward(auth, method=method, cookie=cookie, **preflight).status in {403, 405}, method


def test_a_user_is_named_in_the_headers_that_the_host_names():
    auth = behind_a_proxy()
    answer = forward(auth, cookie=signed_in(auth))
    assert (answer.status, answer.get("Cache-Control")) == (200, "no-store")
    told = {"X-User-Id": "1", "X-User-Email": "tanaka@example.com", "X-User-Name": "Tanaka", "X-User-Role": "staff"}
    assert identity(answer) == told
    assert identity(forward(behind_a_proxy(identity_headers={}), cookie=signed_in(auth))) == {}
    assert ask(auth, "POST", "/-/auth/forward", form={}).status == 405


@each(
    "role, tanaka, boss", [("admin", 403, 200), ("staff", 200, 403), ("admin,staff", 200, 200), (",staff,", 200, 403)]
)
def test_a_role_is_one_of_those_named(role, tanaka, boss):
    auth = behind_a_proxy()
    for email, status in (("tanaka@example.com", tanaka), ("boss@example.com", boss)):
        for proxy in (NGINX, TRAEFIK):
            answer = forward(auth, cookie=signed_in(auth, email), query=f"role={role}", proxy=proxy)
            assert answer.status == status
            assert bool(identity(answer)) == (status == 200)


@each("query", ["role=amdin", "role=admin,amdin", "role=", "role=,", "role=%00", "role=Admin"])
def test_a_role_that_is_none_lets_nobody_pass(query):
    auth = behind_a_proxy()
    for cookie in ("", signed_in(auth, "boss@example.com")):
        answer = forward(auth, cookie=cookie, query=query)
        assert (answer.status, answer.code, identity(answer)) == (422, "unknown_role", {})
    assert forward(auth, cookie=cookie, query="role=staff&role=admin").status == 400


@each(
    "query, told",
    [("roles=admin", 1), ("Role=admin", 1), ("rol=admin", 1), ("a=1&b=2", 0), ("rule=1", 0), ("role=staff&roles=1", 0)],
)
def test_a_parameter_that_may_be_a_misspelt_role_is_told_once_and_refuses_nobody(caplog, query, told):
    """Caddy passes on the parameters of the page, which may have such a name."""
    auth, before = behind_a_proxy(), len(caplog.messages)
    for _ in range(2):
        assert forward(auth, cookie=signed_in(auth), query=query).status == 200
    assert len([text for text in caplog.messages[before:] if "the parameter is called role" in text]) == told


@pytest.mark.parametrize("sender", [BROWSER, PROGRAM], ids=["browser", "program"])
def test_a_visitor_is_401_to_nginx_with_the_address_of_sign_in(sender):
    auth = behind_a_proxy()
    for cookie in ("", "__Host-nipo_auth=forged"):
        answer = forward(auth, cookie=cookie, **sender)
        assert (answer.status, answer.get("Location"), identity(answer)) == (401, "", {})
        to = urlsplit(answer.get("X-Sign-In"))
        assert f"{to.scheme}://{to.netloc}{to.path}" == f"{HTTPS}/-/auth/login"
        assert parse_qs(to.query)["next"] == ["/wiki/page?a=1&b=2"]


def test_traefik_and_caddy_pass_on_what_the_browser_needs():
    auth = behind_a_proxy()
    answer = forward(auth, proxy=TRAEFIK, **BROWSER)
    assert answer.status == 303
    assert answer.get("Location") == f"{HTTPS}/-/auth/login?next=/wiki/page?a=1%26b=2"
    assert (forward(auth, proxy=TRAEFIK, **PROGRAM).status, forward(auth, proxy=TRAEFIK, **PROGRAM).code) == (
        401,
        "sign_in_required",
    )
    sent = forward(auth, proxy={**TRAEFIK, "HTTP_X_FORWARDED_METHOD": "POST"}, **BROWSER)
    assert (sent.status, "<h1" in sent.text, sent.get("Location")) == (401, True, ""), "a form stays in the browser"
    htmx = forward(auth, proxy=TRAEFIK, **PROGRAM, HTTP_HX_REQUEST="true")
    assert (htmx.status, htmx.get("HX-Redirect")) == (401, "/-/auth/login")


@each("method", ["HEAD", "OPTIONS", "DELETE", "get", "", "\xff", "GET, POST", "TRACE"])
def test_whatever_method_a_proxy_names_a_visitor_does_not_pass(method):
    answer = forward(behind_a_proxy(), proxy={**TRAEFIK, "HTTP_X_FORWARDED_METHOD": method}, **BROWSER)
    assert answer.status == (303 if method == "HEAD" else 401)


def test_without_a_trusted_proxy_its_headers_name_no_page():
    auth = behind_a_proxy(trusted_proxies=0)
    for proxy in (NGINX, TRAEFIK):
        answer = forward(auth, proxy={**proxy, "HTTP_HOST": "app.example"}, **BROWSER)
        assert (answer.status, answer.get("X-Sign-In")) == (401, f"{HTTPS}/-/auth/login")
        assert 'id="login"' in answer.text, "a proxy that passes it on shows the page of sign-in"
        assert "wiki" not in answer.text


FOREIGN = ["https://evil.example/", "//evil.example/", "/\\evil.example", "/%5cevil", "javascript:alert(1)", "", "wiki"]
FOREIGN += [
    "/\tx",
    "/a\r\nX-Evil: 1",
    "/\x00",
    "/-/auth/logout",
    "/-/auth/login",
    "/-/auth/forward",
    "/./-/auth/logout",
]


@each("uri", FOREIGN)
@pytest.mark.parametrize("proxy", [NGINX, TRAEFIK], ids=["nginx", "traefik"])
def test_no_forwarded_path_leads_away_or_into_a_loop(uri, proxy):
    answer = forward(behind_a_proxy(), uri, proxy=proxy, **BROWSER)
    to = answer.get("Location") or answer.get("X-Sign-In")
    assert to.startswith(f"{HTTPS}/-/auth/login")
    wanted = parse_qs(urlsplit(to).query).get("next", ["/"])[0]
    assert wanted.startswith("/")
    assert not wanted.startswith(("//", "/\\"))
    assert "evil.example" not in to.removeprefix(HTTPS) or "%" in wanted
    assert "logout" not in to
    assert "forward" not in to


@each("host", ["other.example", "app.example:8443", "app.example.evil.example", "", "evil.example, app.example"])
def test_a_page_of_another_host_is_nowhere_to_return_to(host):
    """The session is of one host; a path of another host's would lead to a wrong page of this one."""
    auth = behind_a_proxy()
    to = forward(auth, proxy={**TRAEFIK, "HTTP_X_FORWARDED_HOST": host}, **BROWSER).get("Location")
    last = host.rpartition(",")[2].strip()
    assert to == f"{HTTPS}/-/auth/login" + ("?next=/wiki/page?a=1%26b=2" if last == "app.example" else "")
    assert "next=" in forward(auth, proxy={**TRAEFIK, "HTTP_X_FORWARDED_HOST": "APP.example:443"}, **BROWSER).get(
        "Location"
    )


def test_a_path_that_no_url_has_room_for_leads_to_sign_in_alone():
    auth = behind_a_proxy()
    answer = forward(auth, "/wiki/" + "x" * 9000, **BROWSER)
    assert (answer.status, answer.get("X-Sign-In")) == (401, f"{HTTPS}/-/auth/login")
    assert forward(auth, "/wiki/" + "x" * 9000, proxy=TRAEFIK, **BROWSER).status in {303, 401}


def test_a_path_with_raw_bytes_is_quoted():
    to = forward(behind_a_proxy(), "/wiki/\xe5\xb1\xb1", **BROWSER).get("X-Sign-In")
    assert to == f"{HTTPS}/-/auth/login?next=/wiki/%25E5%25B1%25B1"


def test_a_temporary_password_passes_nowhere_and_leads_to_its_change():
    auth = behind_a_proxy()
    auth.accounts.set_password("1", "kiiroi-hana-to-midori", must_change=True)
    mine = signed_in(auth, password="kiiroi-hana-to-midori")
    for sender in (BROWSER, PROGRAM):
        answer = forward(auth, cookie=mine, **sender)
        assert (answer.status, identity(answer)) == (401, {})
        assert answer.get("X-Sign-In").startswith(f"{HTTPS}/-/auth/account/password?next=/wiki/page")
    answer = forward(auth, cookie=mine, proxy=TRAEFIK, **BROWSER)
    assert (answer.status, answer.get("Location").partition("?")[0]) == (303, f"{HTTPS}/-/auth/account/password")
    assert forward(auth, cookie=mine, proxy=TRAEFIK, **PROGRAM).status == 403


def test_sign_out_closes_the_proxy_at_once():
    auth = behind_a_proxy()
    mine = signed_in(auth)
    assert forward(auth, cookie=mine).status == 200
    auth.accounts.set_active("1", False)
    assert forward(auth, cookie=mine).status == 401


VALUES = [
    "山田 太郎",
    "a\r\nX-User-Role: admin",
    "50% off",
    "%E5%B1%B1",
    "\ud800",
    "\x00\x7f",
    "é",
    "\u2028",
    " x ",
    "",
]


@each("name", VALUES)
def test_a_value_is_ascii_and_two_values_are_never_one(name):
    auth = behind_a_proxy(identity_headers={"X-User-Name": lambda user: name})
    sent = dict(forward(auth, cookie=signed_in(auth)).headers).get("X-User-Name", "")
    assert sent.isascii()
    assert sent == "" or sent.isprintable()
    expected = name.strip().encode("utf-8", "replace").decode()
    assert unquote(sent) == expected


def test_a_function_that_gives_no_text_lets_nobody_pass():
    for broken in (lambda user: 1, lambda user: user.nothing):
        auth = behind_a_proxy(identity_headers={"X-User-Name": broken})
        assert forward(auth, cookie=signed_in(auth)).status == 503


@each("name", ["Set-Cookie", "Location", "X-Accel-Redirect", "X-Sendfile", "X-Sign-In", "X-Forwarded-Uri", "Server"])
def test_a_header_that_a_proxy_obeys_is_no_identity(name):
    with pytest.raises(ConfigError, match="another meaning"):
        behind_a_proxy(identity_headers={name: "email"})


def test_a_persistent_cookie_is_renewed_through_the_proxy():
    auth = behind_a_proxy()
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        mine = signed_in(auth)
        assert forward(auth, cookie=mine).cookies == {}
        clock.shift(31 * 86400)
        name, _, value = mine.partition("=")
        assert forward(auth, cookie=mine).cookies == {name: value}
        assert forward(auth, cookie=mine).cookies == {}, "once"


def test_an_outage_lets_nobody_pass(monkeypatch):
    auth = behind_a_proxy()
    mine = signed_in(auth)
    monkeypatch.setattr(auth._services.sessions, "_look_up", lambda key: 1 / 0)
    answer = forward(auth, cookie=mine)
    assert (answer.status, identity(answer)) == (503, {})


def test_ak11_a_proxy_that_asks_for_everybody_is_no_client_that_guesses():
    """However many forged cookies come through it, nobody is locked out and nothing is recorded."""
    auth = behind_a_proxy(trusted_proxies=0, lockout=LockoutPolicy(client_failures=5))
    before = len(events(auth))
    for n in range(50):
        assert forward(auth, cookie=f"__Host-nipo_auth=forged{n}", proxy={}, **PROGRAM).status == 401
    assert len(events(auth)) == before
    assert login(auth, REMOTE_ADDR="10.0.0.1").status == 303
