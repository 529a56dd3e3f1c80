"""The host app behind the middleware: its refusals, its layers, its pages, its own session."""

from __future__ import annotations

import time

import a2wsgi
import flask
import pytest
import time_machine
from werkzeug.exceptions import Forbidden, NotFound, Unauthorized
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from nipo_auth_mw import (
    AuthConfig,
    AuthMiddleware,
    ConfigError,
    StoreUnavailable,
    account_menu,
    auth_url,
    current_user,
    end_session,
    require_fresh,
    require_role,
    require_user,
    sign_out_form,
)
from nipo_auth_mw.testing import MemoryStore, in_memory, sign_in
from tests.kit import browser, echo, events, middleware, person, seen
from tests.security.tools import ask, breakable

HTML = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
JSON = {"Accept": "application/json"}


def fails(problem):
    def check(environ):
        raise problem

    return check


CHECKS = {
    "/user": require_user,
    "/role": lambda environ: require_role(environ, "admin"),
    "/fresh": require_fresh,
    "/missing": fails(NotFound("no such report")),
    "/own": fails(Forbidden("the month is closed")),
    "/named": fails(Unauthorized(www_authenticate=flask.Response("x").www_authenticate)),
}


def early(environ, start_response):
    CHECKS[environ["PATH_INFO"]](environ)
    return echo(environ, start_response)


def lazy(environ, start_response):
    CHECKS[environ["PATH_INFO"]](environ)
    yield from echo(environ, start_response)


def begun(environ, start_response):
    start_response("200 OK", [("X-Begun", "1")])
    CHECKS[environ["PATH_INFO"]](environ)
    return [f"user={environ['REMOTE_USER']}".encode()]


@pytest.fixture(params=[early, lazy, begun])
def auth(request):
    auth = middleware(request.param, public_paths=["/*"])
    person(auth)
    return auth


def test_a_visitor_who_is_refused_is_asked_to_sign_in(auth):
    visitor = browser(auth)
    for path in ("/user", "/role", "/fresh"):
        answer = visitor.get(path, headers=HTML)
        assert answer.location == f"/-/auth/login?next={path}"
        assert "X-Begun" not in answer.headers
        assert visitor.get(path, headers=JSON, status=401).json["code"] == "sign_in_required"


def test_a_member_without_the_role_is_told_so_in_their_language(auth):
    member = browser(auth)
    sign_in(auth, member, "1")
    page = member.get("/role", headers={**HTML, "Accept-Language": "ja"}, status=403)
    assert page.html.html["lang"] == "ja"
    assert member.get("/role", headers=JSON, status=403).json["code"] == "not_allowed"
    assert member.get("/user").text.startswith("user=1")


def test_a_stale_session_is_asked_for_the_password(auth):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        member = browser(auth)
        sign_in(auth, member, "1")
        assert member.get("/fresh").status_int == 200
        clock.shift(3600)
        assert member.get("/fresh", headers=HTML).location == "/-/auth/account/confirm?next=/fresh"


def test_other_exceptions_of_werkzeug_are_their_own_answers(auth):
    visitor = browser(auth)
    assert "no such report" in visitor.get("/missing", status=404).text
    assert "the month is closed" in visitor.get("/own", status=403).text


def helpful(environ, start_response):
    """A mounted app with links to the middleware's pages."""
    if environ["PATH_INFO"] == "/open/bare":
        start_response("401 Unauthorized", [])
        return []
    if environ["PATH_INFO"] in CHECKS:
        CHECKS[environ["PATH_INFO"]](environ)
    elif environ["PATH_INFO"] == "/open/user":
        require_user(environ)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [f"{auth_url(environ, 'account')} {account_menu(environ)}".encode()]


@pytest.mark.parametrize("settings", [{}, {"base_url": "http://localhost/portal"}], ids=["root", "portal"])
@pytest.mark.parametrize("server", ["", "/portal"])
def test_an_app_that_the_host_app_mounts_leads_to_the_middlewares_own_pages(settings, server):
    mounted = DispatcherMiddleware(echo, {"/api": helpful, "/api/v2": helpful})
    auth = middleware(mounted, public_paths=["/api/open/*", "/api/v2/open/*"], **settings)
    root = server or ("/portal" if settings else "")
    visitor, member = (browser(auth, SCRIPT_NAME=server) for _ in range(2))
    for path in ("/api/open/bare", "/api/v2/open/user?month=5", "/api/role"):
        wanted = f"{root}{path}"
        assert visitor.get(path, headers=HTML).location == f"{root}/-/auth/login?next={wanted}"
    sign_in(auth, member, person(auth))
    page = member.get("/api/v2/page")
    assert page.text.startswith(f"{root}/-/auth/account ")
    assert page.forms["sign-out"].action == f"{root}/-/auth/logout"
    with time_machine.travel(time.time() + 3600):
        confirm = f"{root}/-/auth/account/confirm"
        assert member.get("/api/fresh", headers=HTML).location == f"{confirm}?next={root}/api/fresh"
    member.post("/-/auth/logout")
    assert member.get("/api/v2/page", headers=HTML).status_int == 303


def test_a_server_may_leave_an_empty_script_name_out():
    assert ask(middleware(), path="/page", SCRIPT_NAME=None).get("Location") == "/-/auth/login?next=/page"


def test_an_exception_in_the_middle_of_an_answer_goes_to_the_server():
    def late(environ, start_response):
        start_response("200 OK", [])
        yield b"half"
        raise NotFound

    answer = middleware(late, public_paths=["/*"])({"PATH_INFO": "/", "REQUEST_METHOD": "GET"}, lambda *_: None)
    steps = iter(answer)
    assert next(steps) == b"half"
    with pytest.raises(NotFound):
        next(steps)


def test_a_generator_that_no_one_reads_to_its_end_is_closed():
    closed = []

    def slow(environ, start_response):
        start_response("200 OK", [])
        try:
            yield b"1"
            yield b"2"
        finally:
            closed.append(True)

    answer = middleware(slow, public_paths=["/*"])({"PATH_INFO": "/", "REQUEST_METHOD": "GET"}, lambda *_: None)
    next(iter(answer))
    answer.close()
    assert closed == [True]


@pytest.mark.parametrize("around", [lambda app: app, ProxyFix])
def test_an_app_that_is_wrapped_already_is_refused(around):
    app = flask.Flask("reports")
    app.wsgi_app = around(AuthMiddleware(app.wsgi_app, **in_memory()))
    for again in (app, app.wsgi_app):
        with pytest.raises(ConfigError, match="already"):
            AuthMiddleware(again, **in_memory())


async def asgi(scope, receive, send):
    await send({})


class OfASGI:
    async def __call__(self, scope, receive, send):
        await send({})


@pytest.mark.parametrize("app", [asgi, OfASGI()], ids=["function", "object"])
def test_an_app_of_asgi_is_refused_at_construction(app):
    with pytest.raises(ConfigError, match=r"app: is an ASGI app\. Give a2wsgi\.ASGIMiddleware"):
        AuthMiddleware(app, **in_memory())
    assert AuthMiddleware(a2wsgi.ASGIMiddleware(app), **in_memory())


def test_attributes_of_the_wrapped_app_stay_reachable():
    class Prefixed:
        script_name = "/books"
        __call__ = staticmethod(echo)

    auth = middleware(Prefixed())
    assert auth.script_name == "/books"
    for name in ("missing", "_private"):
        with pytest.raises(AttributeError):
            getattr(auth, name)


def test_a_flask_app_with_pages_below_the_prefix_is_told_so(caplog):
    app = flask.Flask("reports")
    early = AuthMiddleware(app.wsgi_app, **in_memory(prefix="/auth"))
    app.add_url_rule("/authors", "authors", lambda: "")
    app.add_url_rule("/auth/register", "register", lambda: "")
    for one in (app, app.wsgi_app):
        with pytest.raises(ConfigError, match="/auth/register"):
            AuthMiddleware(one, **in_memory(prefix="/auth"))
    AuthMiddleware(app.wsgi_app, **in_memory(prefix="/signin"))
    app.wsgi_app = early
    browser(early).get("/", status="*")
    browser(early).get("/", status="*")
    assert [line for line in caplog.messages if "/auth/register" in line] == [
        "the app's page /auth/register lies below prefix='/auth', so no request reaches it"
    ]


# The helpers of templates.


def helped(make):
    def app(environ, start_response):
        text = make(environ)
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [text.encode()]

    auth = middleware(app)
    person(auth)
    member = browser(auth)
    sign_in(auth, member, "1")
    return member


def test_the_sign_out_form_goes_where_the_host_app_says():
    member = helped(lambda environ: sign_out_form(environ, next="/welcome?a=1&b=2", label="<終了>", class_='"btn'))
    page = member.get("/page")
    assert page.html.button["class"] == ['"btn']
    assert page.html.button.text == "<終了>"
    assert page.forms["sign-out"].submit().location == "/welcome?a=1&b=2"


def test_sign_out_leads_to_no_other_site():
    member = helped(lambda environ: sign_out_form(environ, next="https://evil.example/"))
    assert member.get("/page").forms["sign-out"].submit().location == "/-/auth/login"


@pytest.mark.parametrize("route", ["acount", "/login", "", "staff/1/none"])
def test_a_misspelt_page_is_a_mistake_of_the_host_app(route):
    member = helped(lambda environ: auth_url(environ, route))
    with pytest.raises(ValueError, match="no page"):
        member.get("/page")


# The host app's own session.


def cookies_of(answer):
    return answer.headers.getall("Set-Cookie")


def test_sign_out_deletes_the_apps_own_cookies():
    auth = middleware(sign_out_cookies=["session", "__Secure-remember"], base_url="https://reports.example.jp/daily")
    person(auth)
    member = browser(auth)
    sign_in(auth, member, "1")
    deleted = cookies_of(member.post("/-/auth/logout"))
    for name in ("session", "__Secure-remember"):
        own = [one for one in deleted if one.startswith(f"{name}=;")]
        assert ["Path=/;" in one for one in own] == [True, False]
        assert all("Max-Age=0" in one and "; Secure" in one for one in own)


def test_the_callback_ends_the_apps_own_session_and_sees_no_secret():
    told = []

    def on_sign_out(environ, user):
        told.append((user.email if user else None, environ.get("HTTP_COOKIE")))
        return ["mine=; Max-Age=0; Path=/", "bad=1\r\nX-Injected: 1"]

    auth = middleware(on_sign_out=on_sign_out)
    person(auth)
    member = browser(auth)
    sign_in(auth, member, "1")
    member.set_cookie("mine", "kept")
    answer = member.post("/-/auth/logout")
    assert told == [("tanaka@example.com", 'mine="kept"')]
    assert "mine=; Max-Age=0; Path=/" in cookies_of(answer)
    assert "X-Injected" not in str(answer.headers)
    browser(auth).post("/-/auth/logout")
    assert told[1] == (None, None)


def test_a_callback_that_fails_keeps_no_user_signed_in(caplog):
    auth = middleware(on_sign_out=lambda environ, user: {}[user.email])
    person(auth)
    member = browser(auth)
    sign_in(auth, member, "1")
    assert member.post("/-/auth/logout").status_int == 303
    assert seen(member) == ""
    assert "on_sign_out failed" in caplog.text
    assert "tanaka" not in caplog.text


@pytest.mark.parametrize("value", ["session", ["a b"], ["a;b"], [""], ["nipo_device"], [7], None])
def test_names_that_are_no_cookies_of_the_app_are_refused(value):
    with pytest.raises(ConfigError) as refused:
        AuthConfig(secret_key="k" * 40 + "q", base_url="http://localhost", sign_out_cookies=value)
    assert refused.value.field == "sign_out_cookies"


def leaving(environ, start_response):
    if environ["PATH_INFO"] == "/leave":
        end_session(environ)
        end_session(environ)
        assert current_user(environ) is None
    return echo(environ, start_response)


def test_a_sign_out_of_the_apps_own_ends_the_session():
    auth = middleware(leaving, public_paths=["/leave"])
    person(auth)
    member, other = browser(auth), browser(auth)
    for one in (member, other):
        sign_in(auth, one, "1")
    assert member.post("/leave").text.startswith("user=-")
    assert (seen(member), seen(other)) == ("", "1")
    assert len(events(auth, "signed_out")) == 1
    assert browser(auth).post("/leave").status_int == 200
    end_session({})


def test_ev3_after_the_apps_own_sign_out_no_key_names_the_user():
    left = []

    def app(environ, start_response):
        user = environ["HTTP_X_USER"], environ["REMOTE_USER"], environ["AUTH_TYPE"]
        end_session(environ)
        left.append((user, {key for key, value in environ.items() if value in user}))
        return echo(environ, start_response)

    auth = middleware(app, identity_headers={"X-User": "email"}, remote_user="email")
    person(auth)
    member = browser(auth)
    sign_in(auth, member, "1")
    member.get("/page")
    assert left == [(("tanaka@example.com", "tanaka@example.com", "nipo_auth_mw"), set())]


def test_an_outage_during_the_apps_own_sign_out_is_not_silent():
    store = MemoryStore()
    ended = []

    def app(environ, start_response):
        failing = breakable(store, StoreUnavailable)
        failing.broken = {"*"}
        with pytest.raises(StoreUnavailable):
            end_session(environ)
        failing.broken = set()
        ended.append(current_user(environ))
        return echo(environ, start_response)

    auth = middleware(app, store=store)
    person(auth)
    member = browser(auth)
    sign_in(auth, member, "1")
    member.get("/page")
    assert ended[0].id == "1"


def test_two_middlewares_with_something_between_are_noticed(caplog):
    inner = middleware()
    outer = middleware(lambda environ, start: inner(environ, start), public_paths=["/*"])
    for _ in range(2):
        browser(outer).get("/page", status="*")
    assert [line for line in caplog.messages if "two AuthMiddlewares" in line] == [
        "the app is behind two AuthMiddlewares, and sees the users of the inner one alone"
    ]


@pytest.mark.parametrize("several", [True, False])
def test_a_store_in_memory_under_several_processes_is_noticed(caplog, several):
    middleware()({"PATH_INFO": "/", "REQUEST_METHOD": "GET", "wsgi.multiprocess": several}, lambda *_: None)
    assert ("MemoryStore is of one process" in caplog.text) is several
