"""Rows HO2-HO4: Host is the sender's word, and nothing we say is built from it."""

from __future__ import annotations

import pytest

from nipo_auth_mw import AuthConfig, ConfigError
from tests.each import each
from tests.kit import PASSWORD, middleware, person, without_challenge
from tests.security.corpora.hosts import EVIL, OTHER_HEADERS
from tests.security.tools import HTTPS, Answer, ask, login, signed_in

SECRET = "a secret of these tests that is long enough"


@pytest.fixture(scope="module", params=["https://app.example", "http://localhost"])
def auth(request):
    auth = middleware(base_url=request.param, public_paths=("/open/*",))
    person(auth)
    return auth


def everything(auth, **environ) -> list[Answer]:
    good = {"email": "tanaka@example.com", "password": PASSWORD}
    asked = [
        ask(auth, path=path, **environ)
        for path in ("/page", "/open", "/-/auth/login", "/-/auth/account", "/-/auth/nothing", "/-/auth/")
    ]
    asked += [
        ask(auth, "POST", f"/-/auth/{r}", form=good, **environ) for r in ("login", "logout", "language", "account")
    ]
    asked += [ask(auth, "POST", "/page", form={}, **environ), ask(auth, "HEAD", "/-/auth/login", **environ)]
    asked += [ask(auth, path="/-/auth/session", **environ), login(auth, password="wrong", **environ)]
    auth.accounts.unlock("1")
    return asked


@each("host", EVIL)
def test_ho2_ho4_an_evil_host_breaks_nothing_and_is_never_repeated(auth, host):
    shown = host.removeprefix("http").strip(":/.")[:20].lower()
    for answer in everything(auth, HTTP_HOST=host):
        assert answer.status < 500
        told = answer.text + "".join(f"{name}{value}" for name, value in answer.headers)
        assert shown not in told.lower()
        assert "evil" not in told.lower()
        assert not answer.get("Location") or answer.get("Location").startswith("/")
    if not auth.config.secure:
        answer = login(auth, HTTP_HOST=host, HTTP_ACCEPT="application/json")
        assert (answer.status, answer.code, answer.all("Set-Cookie")) == (400, "wrong_host", [])


@pytest.mark.parametrize("header", OTHER_HEADERS)
def test_ho2_no_other_header_is_taken_for_the_host(auth, header):
    value = "for=1.2.3.4;host=evil.example;proto=https" if header == "HTTP_FORWARDED" else "evil.example"
    for answer in everything(auth, **{header: value}):
        assert answer.status < 500
        assert "evil" not in answer.text + "".join(value for _, value in answer.headers)


def test_ho2_a_proxys_host_moves_no_location_either():
    auth = middleware(base_url=HTTPS, trusted_proxies=1)
    person(auth)
    proxied = {
        "HTTP_X_FORWARDED_HOST": "evil.example",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_FOR": "1.2.3.4",
    }
    for answer in everything(auth, **proxied):
        assert answer.status < 500
        assert "evil" not in answer.text + "".join(value for _, value in answer.headers)


def test_ho2_links_and_redirects_are_the_same_for_every_host():
    auth = middleware(base_url=HTTPS)
    person(auth)
    plain = [(a.status, a.get("Location"), without_challenge(a)) for a in everything(auth)]
    strange = [(a.status, a.get("Location"), without_challenge(a)) for a in everything(auth, HTTP_HOST="evil.example")]
    assert plain == strange


@each(
    "base_url",
    [
        None,
        "",
        "/",
        "app.example",
        "//app.example",
        "ftp://app.example",
        "https://",
        "https:///x",
        "http://app.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "https://u:p@app.example",
        "https://app.example?x",
        "https://app.example/#x",
        "http://0.0.0.0",
        "https://app.example\\x",
        "https://app.example/..",
        "https://app.example:x",
        "https://app .example",
        "http://192.168.1.5",
        "http://intranet",
        "javascript:alert(1)",
        5,
        b"https://app.example",
    ],
)
def test_ho3_base_url_is_required_and_an_address(base_url):
    with pytest.raises(ConfigError) as refused:
        AuthConfig(secret_key=SECRET, base_url=base_url)
    assert "base_url" in str(refused.value)


def test_ho3_leaving_base_url_out_is_refused():
    with pytest.raises((ConfigError, TypeError)):
        AuthConfig(secret_key=SECRET)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="BASE_URL"):
        AuthConfig.from_mapping({"NIPO_AUTH_SECRET_KEY": SECRET})


def test_ho4_no_host_and_no_server_name_is_no_error(auth):
    for answer in everything(auth, HTTP_HOST=None, SERVER_NAME="", SERVER_PORT=""):
        assert answer.status < 500
    for answer in everything(auth, HTTP_HOST="", SERVER_NAME=None, SERVER_PORT=None, SERVER_PROTOCOL=None):
        assert answer.status < 500
    cookie = signed_in(auth)
    assert ask(auth, cookie=cookie, HTTP_HOST="evil.example").status == 200, (
        "the app's own pages are the app's business"
    )
