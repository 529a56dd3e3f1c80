"""Rows RU13 and RU31: people get pages, programs get data, and the app's own refusals reach its programs."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from nipo_auth_mw import require_user
from tests.kit import middleware, person
from tests.security.tools import Inner, ask, signed_in

CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
LYNX = "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01"
AGENT = "something/1.0"


def sent(
    accept: str | None = None, mode: str | None = None, agent: str | None = AGENT, **more: str
) -> dict[str, object]:
    return {"HTTP_ACCEPT": accept, "HTTP_SEC_FETCH_MODE": mode, "HTTP_USER_AGENT": agent, **more}


PEOPLE = {
    "a browser": sent(CHROMIUM, "navigate"),
    "a browser of 2020": sent(FIREFOX),
    "a text browser": sent(LYNX),
    "a navigation without a wish": sent("*/*", "navigate"),
    "JSON and HTML alike": sent("application/json, text/html"),
    # Measured in Chromium 156: fetch(event.request), new Request(url, {headers}), {mode: "same-origin"}.
    "a service worker, the request itself": sent(CHROMIUM, "navigate", HTTP_SEC_FETCH_DEST="empty"),
    "a service worker, its own request": sent(CHROMIUM, "cors", HTTP_SEC_FETCH_DEST="empty"),
    "a service worker, same-origin": sent(CHROMIUM, "same-origin", HTTP_SEC_FETCH_DEST="empty"),
    "a service worker that asks for HTML": sent("text/html", "same-origin", HTTP_SEC_FETCH_DEST="empty"),
    "Turbo": sent("text/html, application/xhtml+xml", "cors", HTTP_SEC_FETCH_DEST="empty"),
    "a web view, named by its app": sent(FIREFOX, HTTP_X_REQUESTED_WITH="com.example.app"),
    "a test client": sent(agent=None),
}
PROGRAMS = {
    "urllib": sent(agent="Python-urllib/3.12"),
    "curl, requests, git, hg": sent("*/*"),
    "pip": sent(PIP),
    "git": sent("application/x-git-upload-pack-result"),
    "hg": sent("application/mercurial-0.1"),
    "axios": sent("application/json, text/plain, */*"),
    "JSON above HTML": sent("application/json, text/html;q=0.9"),
    "anything above HTML": sent("*/*, text/html;q=0.9"),
    "HTML refused": sent("text/html;q=0, application/xhtml+xml;q=0.000"),
    "HTML by a bad quality": sent("text/html;q=2"),
    "fetch of JSON": sent("application/json", "cors"),
    "fetch of a fragment": sent("text/html", "cors"),
    "jQuery, a fragment": sent("text/html, */*; q=0.01", HTTP_X_REQUESTED_WITH="XMLHttpRequest"),
    "an image": sent("image/avif,image/webp,*/*;q=0.8", "no-cors"),
    "a websocket": sent(mode="websocket"),
    "an unknown mode": sent("text/html", "teleport"),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", PEOPLE)
def test_ru13_people_get_the_sign_in_page(name, method):
    answer = ask(middleware(), method, "/reports", **PEOPLE[name])
    assert (answer.status, answer.get("Location")) == (303, "/-/auth/login?next=/reports")


@pytest.mark.parametrize("name", PROGRAMS)
def test_ru31_programs_get_a_plain_401(name):
    for cookie in ("", "nipo_auth=forged"):
        answer = ask(middleware(), path="/reports", cookie=cookie, **PROGRAMS[name])
        assert (answer.status, answer.code) == (401, "sign_in_required")
        assert answer.all("WWW-Authenticate") == answer.all("Location") == []
        assert answer.get("Content-Type") == "application/problem+json"


@pytest.mark.parametrize("headers", [PEOPLE["a browser"], PROGRAMS["urllib"]], ids=["person", "program"])
def test_ru31_no_401_of_ours_names_a_scheme(headers):
    auth = middleware()
    person(auth)
    wrong = {"email": "tanaka@example.com", "password": "akai-yama"}
    for answer in (
        ask(auth, "POST", "/reports", form={"a": "b"}, **headers),
        ask(auth, "POST", "/-/auth/login", form=wrong, **headers),
        ask(auth, "POST", "/-/auth/login", data=wrong, **headers),
        ask(auth, path="/-/auth/session", HTTP_ACCEPT="application/json"),
    ):
        assert answer.status == 401
        assert answer.all("WWW-Authenticate") == []


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("lazy", [False, True])
def test_ru31_the_apps_own_401_reaches_its_programs_byte_for_byte(name, lazy):
    headers = [("Content-Type", "application/json"), ("X-Own", "1"), ("Content-Length", "28")]

    def app(environ, start_response):
        start_response("401 Missing Key", list(headers))
        yield b'{"error": "missing api key"}'

    def eager(environ, start_response):
        return list(app(environ, start_response))

    answer = ask(middleware(app if lazy else eager, public_paths=["/api/*"]), path="/api/checks", **PROGRAMS[name])
    assert (answer.status, answer.headers, answer.body) == (401, headers, b'{"error": "missing api key"}')
    assert ask(middleware(app, public_paths=["/api/*"]), path="/api/checks", **PEOPLE["a browser"]).status == 303


class Server:
    """A WSGI app on a port, that counts what is asked of it."""

    def __init__(self, app) -> None:
        class Quiet(WSGIRequestHandler):
            def log_message(self, *args):
                pass

        self.asked = []

        def counting(environ, start_response):
            self.asked.append(environ["PATH_INFO"])
            return app(environ, start_response)

        self.server = make_server("127.0.0.1", 0, counting, handler_class=Quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(middleware())
    yield server
    server.stop()


def passwords(url: str) -> urllib.request.HTTPPasswordMgr:
    known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    known.add_password(None, url, "tanaka@example.com", "aoi-umi-to-shiroi-kumo")
    return known


HANDLERS = [
    (),
    (urllib.request.HTTPBasicAuthHandler,),
    (urllib.request.HTTPDigestAuthHandler,),
    (urllib.request.HTTPBasicAuthHandler, urllib.request.HTTPDigestAuthHandler),
]


@pytest.mark.parametrize("handlers", HANDLERS, ids=lambda some: "+".join(one.__name__ for one in some) or "plain")
@pytest.mark.parametrize("data", [None, b"a=b"])
def test_ru31_urllib_reports_the_401(server, handlers, data):
    opener = urllib.request.build_opener(*(handler(passwords(server.url)) for handler in handlers))
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(f"{server.url}/reports", data)
    with refused.value as answer:
        assert (answer.code, json.load(answer)["code"]) == (401, "sign_in_required")
    assert server.asked == ["/reports"], "asked once, and led nowhere"


# Libraries that fetch parts of a page: their script is told which page to open.

HTMX = {"HTTP_HX_REQUEST": "true", "HTTP_ACCEPT": "*/*", "HTTP_SEC_FETCH_MODE": "cors", "HTTP_USER_AGENT": AGENT}
OLD_HTMX = {"HTTP_HX_REQUEST": "true", "HTTP_ACCEPT": "text/html, */*"}
INERTIA = {
    "HTTP_X_INERTIA": "true",
    "HTTP_ACCEPT": "text/html, application/xhtml+xml",
    "HTTP_X_REQUESTED_WITH": "XMLHttpRequest",
    "HTTP_SEC_FETCH_MODE": "cors",
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("htmx", [HTMX, OLD_HTMX])
def test_ru13_htmx_goes_to_sign_in_and_comes_back_to_its_page(method, ended, htmx):
    auth = middleware()
    person(auth)
    cookie = signed_in(auth) if ended else ""
    if ended:
        auth.accounts.set_active("1", False)
    page = "http://localhost/orders?day=1&x=%E6%97%A5#top"
    answer = ask(auth, method, "/orders/7/row", cookie=cookie, HTTP_HX_CURRENT_URL=page, **htmx)
    assert answer.status == 401, "htmx sees no header of a redirect"
    assert answer.get("HX-Redirect") == "/-/auth/login?next=/orders?day=1%26x=%25E6%2597%25A5%23top"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://localhost/orders",
        "http://evil.example/orders",
        "http://localhost.evil.example/orders",
        "http://localhost@evil.example/orders",
        "http://localhost:81/orders",
        "http://localhost",
        "http://localhost//evil.example",
        "http://localhost/\\evil.example",
        "http://localhost/a b",
        "http://localhost/-/auth/logout",
        "http://localhost/" + "a" * 70_000,
        "http://localhost//evil.example/" + "a" * 7_000,
        "http://localhost/\\evil.example/" + "a" * 7_000,
        "/orders",
        "javascript:alert(1)",
    ],
)
def test_ru13_a_page_of_another_origin_is_no_way_back(url):
    answer = ask(middleware(), path="/row", HTTP_HX_CURRENT_URL=url, **HTMX)
    assert (answer.status, answer.get("HX-Redirect")) == (401, "/-/auth/login")


def test_ru13_htmx_is_led_from_a_requirement_and_from_the_apps_own_401_too():
    def app(environ, start_response):
        return require_user(environ) and []

    auth = middleware(public_paths=["/open/*"])
    person(auth)
    auth.accounts.set_password("1", "kiiroi-hana-to-midori", must_change=True)
    temporary = signed_in(auth, password="kiiroi-hana-to-midori")
    answer = ask(auth, path="/row", cookie=temporary, HTTP_HX_CURRENT_URL="http://localhost/orders", **HTMX)
    assert (answer.status, answer.code) == (403, "password_change_required")
    assert answer.get("HX-Redirect") == "/-/auth/account/password?next=/orders"
    bare = middleware(Inner(status="401 Unauthorized"), public_paths=["/*"])
    assert ask(bare, path="/row", **HTMX).get("HX-Redirect") == "/-/auth/login"


def test_ru13_inertia_opens_sign_in_as_a_page():
    auth = middleware()
    answer = ask(auth, path="/orders", query="day=1", **INERTIA)
    assert (answer.status, answer.get("X-Inertia-Location")) == (409, "/-/auth/login?next=/orders?day=1")
    assert ask(auth, "POST", "/orders", **INERTIA).get("X-Inertia-Location") == "/-/auth/login"


def test_ru13_turbo_opens_our_pages_as_pages_of_their_own():
    """It follows the redirect by script, and would put the sign-in page into the app's page, or into a frame of it."""
    answer = ask(middleware(), path="/-/auth/login", **PEOPLE["Turbo"])
    assert '<meta name="turbo-visit-control" content="reload">' in answer.text


@pytest.mark.parametrize("headers", [{}, {"HTTP_HX_REQUEST": "false"}, {"HTTP_X_INERTIA": ""}])
def test_ru13_other_scripts_get_no_header_of_a_library(headers):
    answer = ask(middleware(), path="/row", HTTP_ACCEPT="*/*", HTTP_SEC_FETCH_MODE="cors", **headers)
    assert (answer.status, answer.code) == (401, "sign_in_required")
    assert answer.all("HX-Redirect") == answer.all("X-Inertia-Location") == []
