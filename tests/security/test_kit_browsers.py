"""The test kit's browser: row RU28 of what must hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import flask
import pytest
import time_machine
import werkzeug.test
from webtest import TestApp

from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.testing import in_memory, sign_in, sign_out
from tests.kit import PASSWORD, echo, person

NEW = "midori-no-oka-to-kaze"


class Browser:
    """A test client of any library, driven in one way."""

    def __init__(self, client: Any, auth: AuthMiddleware) -> None:
        self.client, self.auth = client, auth

    def user(self) -> str:
        """Who the app sees."""
        text = self.client.get("/page", **self._expect()).text
        return text.split()[0].removeprefix("user=").removeprefix("-") if text.startswith("user=") else ""

    def post(self, path: str, form: dict[str, str]) -> int:
        if isinstance(self.client, TestApp):
            return int(self.client.post(path, form, expect_errors=True).status_int)
        return int(self.client.post(path, data=form).status_code)

    def cookies(self) -> list[str]:
        """The names of the session cookies that it holds."""
        jar = getattr(self.client, "cookiejar", None)
        names = [one.name for one in jar] if jar is not None else [one.key for one in self.client._cookies.values()]
        return [name for name in names if "nipo_auth" in name]

    def sessions(self) -> int:
        return len(self.auth._services.session_store.sessions_of("1"))

    def _expect(self) -> dict[str, Any]:
        return {"expect_errors": True} if isinstance(self.client, TestApp) else {}


def webtest(auth: AuthMiddleware, **environ: str) -> Any:
    return TestApp(auth, extra_environ=environ)


def webtest_at(host: str) -> Callable[[AuthMiddleware], Any]:
    return lambda auth: webtest(auth, HTTP_HOST=host)


def flask_client(server_name: str | None = None) -> Callable[[AuthMiddleware], Any]:
    def make(auth: AuthMiddleware) -> Any:
        app = flask.Flask("host")
        app.config["SERVER_NAME"] = server_name
        app.route("/page")(lambda: f"user={flask.request.environ.get('REMOTE_USER', '-')} ")
        auth._app, app.wsgi_app = app.wsgi_app, auth  # type: ignore[method-assign]
        return app.test_client()

    return make


def below_other_layers(auth: AuthMiddleware) -> Any:
    class Layer:
        def __init__(self, app: Any) -> None:
            self.app = app

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return self.app(environ, start_response)

    return TestApp(Layer(Layer(auth)))


CLIENTS: dict[str, Callable[[AuthMiddleware], Any]] = {
    "WebTest": webtest,
    "WebTest at localhost with a port": webtest_at("localhost:8000"),
    "WebTest at app.localhost": webtest_at("app.localhost"),
    "WebTest at an address": webtest_at("127.0.0.1"),
    "WebTest at a name": webtest_at("reports.example.jp"),
    "WebTest below other layers": below_other_layers,
    "werkzeug": werkzeug.test.Client,
    "Flask": flask_client(),
    "Flask with SERVER_NAME": flask_client("reports.example.jp:8000"),
    "Flask at app.localhost": flask_client("app.localhost"),
}


URLS = ("http://localhost", "https://reports.example.jp")
# An http base_url is for loopback hosts alone.
PAIRS = [
    (url, name) for url in URLS for name in CLIENTS if url == URLS[1] or not name.endswith(("a name", "SERVER_NAME"))
]


@pytest.fixture(params=URLS)
def auth(request: Any) -> Any:
    return made(request.param)


def made(url: str) -> AuthMiddleware:
    auth = AuthMiddleware(echo, **in_memory(base_url=url))
    person(auth)
    return auth


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[1]}, {pair[0]}")
def browser(request: Any) -> Browser:
    url, name = request.param
    auth = made(url)
    return Browser(CLIENTS[name](auth), auth)


def test_ru28_one_session_cookie_whatever_comes(browser: Browser) -> None:
    sign_in(browser.auth, browser.client, "1")
    assert (browser.user(), len(browser.cookies())) == ("1", 1)
    fields = {"current_password": PASSWORD, "password": NEW}
    assert browser.post("/-/auth/account/password", fields) == 303
    assert (browser.user(), len(browser.cookies())) == ("1", 1)
    with time_machine.travel(time.time() + 40 * 86400, tick=True):
        assert (browser.user(), len(browser.cookies())) == ("1", 1)
        assert (browser.user(), len(browser.cookies())) == ("1", 1)
        sign_in(browser.auth, browser.client, "1")
        assert (browser.user(), len(browser.cookies())) == ("1", 1)
        sign_out(browser.client)
        assert (browser.user(), browser.cookies()) == ("", [])


def test_ru28_signing_out_ends_the_session_on_the_server(browser: Browser) -> None:
    sign_in(browser.auth, browser.client, "1")
    assert browser.sessions() == 1
    sign_out(browser.client)
    assert (browser.sessions(), browser.user()) == (0, "")
    sign_out(browser.client)


def test_ru28_a_form_and_the_kit_do_not_get_in_each_others_way(browser: Browser) -> None:
    sign_in(browser.auth, browser.client, "1")
    other = person(browser.auth, "suzuki@example.com")
    form = {"email": "suzuki@example.com", "password": PASSWORD, "remember": "1"}
    assert browser.post("/-/auth/login", form) == 303
    assert (browser.user(), len(browser.cookies())) == (other.id, 1)
    assert browser.post("/-/auth/logout", {}) == 303
    assert (browser.user(), browser.cookies()) == ("", [])
    sign_in(browser.auth, browser.client, "1")
    assert (browser.user(), len(browser.cookies())) == ("1", 1)


def test_ru28_cookies_that_an_older_kit_or_a_test_left_are_replaced(auth: Any) -> None:
    test_app = TestApp(auth)
    name = auth._web.session_cookie.name
    for host in ("localhost", ".localhost", "localhost.local"):
        test_app.extra_environ["HTTP_HOST"] = host
        test_app.set_cookie(name, "stale")
    del test_app.extra_environ["HTTP_HOST"]
    sign_in(auth, test_app, "1")
    assert Browser(test_app, auth).user() == "1"


class DjangoClient:
    """As `django.test.Client` is, as far as the kit sees it."""

    def __init__(self) -> None:
        from http.cookies import SimpleCookie

        self.cookies: Any = SimpleCookie()


def test_ru28_djangos_client(auth: Any) -> None:
    client = DjangoClient()
    sign_in(auth, client, "1")
    (cookie,) = client.cookies.values()
    assert auth._services.sessions.find(cookie.value).user.id == "1"
    sign_in(auth, client, "1")
    assert len(client.cookies) == 1
    sign_out(client)
    assert len(client.cookies) == 0


def test_ru28_another_object_is_refused(auth: Any) -> None:
    for act in (lambda: sign_in(auth, object(), "1"), lambda: sign_out(object())):
        with pytest.raises(TypeError, match="test client"):
            act()
