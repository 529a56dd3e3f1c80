"""Rows PA1-PA5: no spelling of a path opens what it names."""

from __future__ import annotations

import posixpath
import re
import time
import unicodedata
from typing import Any

import a2wsgi
import flask
import pytest

from nipo_auth_mw._web.guard import Guard
from tests._services import needed
from tests.kit import PASSWORD, events, middleware, person
from tests.security.corpora.paths import BELOW_PUBLIC, BROKEN, LOGIN, SPELLINGS
from tests.security.django_site import django_app
from tests.security.tools import Inner, ask, login, signed_in

SECRET = {"inside/secret", "open/secret"}


def flask_app(ran: list[str]) -> Any:
    app = flask.Flask(__name__)
    for path in SECRET:
        for rule in (f"/{path}", f"/{path}/"):
            app.add_url_rule(
                rule, endpoint=rule, view_func=lambda: ran.append("secret") or "secret", methods=["GET", "POST"]
            )
    app.add_url_rule("/<path:rest>", endpoint="other", view_func=lambda rest: "other")
    return app.wsgi_app


def tidying_app(ran: list[str]) -> Any:
    """A very obliging reader of paths: it tidies up whatever the contract calls no canonical path."""

    def app(environ, start_response):
        path = environ["PATH_INFO"].replace("\\", "/").encode("latin-1").decode("utf-8", "ignore")
        path = re.sub(r"[\x00-\x1f\x7f]", "", re.sub(r";[^/]*| +(?=/|\Z)", "", path))
        path = posixpath.normpath("/" + path.removeprefix("http://app.example")).strip("/")
        if path in SECRET:
            ran.append("secret")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"other"]

    return app


APPS = {"flask": flask_app, "django": django_app, "bare": tidying_app}


@pytest.mark.parametrize("kind", APPS)
@pytest.mark.parametrize(
    ("public", "protected"), [("/open/*", ("/open/secret/*",)), ("/*", ("/inside/*", "/open/secret/*"))]
)
def test_pa1_no_spelling_of_a_protected_path_runs_its_view(kind, public, protected):
    ran: list[str] = []
    auth = middleware(APPS[kind](ran), public_paths=(public,), protected_paths=protected)
    person(auth)
    mine = signed_in(auth)
    for path in ("/inside/secret", "/open/secret"):
        assert ask(auth, path=path, cookie=mine).status == 200
    assert ran == ["secret", "secret"], "with a session the view runs"
    ran.clear()
    spellings = [spelling.format(path) for spelling in SPELLINGS for path in SECRET] + BELOW_PUBLIC
    assert len(spellings) >= 80
    for path in spellings:
        for method in ("GET", "POST", "HEAD"):
            ask(auth, method, path)
            assert ran == [], (method, path)
    assert ask(auth, path="/open/page").status == 200, "public is public"


def folder(ran: list[str]) -> Any:
    """A folder on a file system that takes many spellings for one name, as those of Windows and macOS do."""

    def app(environ, start_response):
        path = unicodedata.normalize("NFKD", environ["PATH_INFO"].encode("latin-1").decode("utf-8")).casefold()
        if re.sub(r":[^:/]*:\$[^/]*|(?<=/) +|[. ]+(?=/|\Z)", "", path).strip("/") in FILES:
            ran.append(path)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"other"]

    return app


FILES = {unicodedata.normalize("NFKD", name) for name in ("open/secret", "open/secret/x", "open/ガイド/x", "open/page")}


@pytest.mark.parametrize("protected", [("/open/Secret", "/open/secret/x", "/open/ガイド/*"), ("/open/*",)])
def test_pa5_no_spelling_that_a_file_system_takes_for_an_exception_opens_it(protected):
    ran: list[str] = []
    auth = middleware(folder(ran), public_paths=("/*", "/open/page"), protected_paths=protected)
    secret = ["/open/secret", "/open/SECRET", "/Open/Secret.", "/open./secret", "/open/secret/", "/ｏｐｅｎ/secret"]
    secret += ["/open/secret/X", "/open/secret../x./", "/open/カ\u3099イト\u3099/x", "/open/ｶﾞｲﾄﾞ/x"]
    secret += [
        "/open/secret. .",
        "/open/secret .. ./x",
        "/open/secret\u3000",
        "/open/secret\xa0./x",
        "/open\u2003/secret",
    ]
    secret += ["/open/secret::$DATA", "/open/secret:$I30:$INDEX_ALLOCATION/x", "/open/ secret", "/\u3000open/secret"]
    for path in secret:
        ask(auth, path=path.encode().decode("latin-1"))
        assert ran == [], path
    assert ask(auth, path="/open/page").status == 200
    assert len(ran) == 1, "the public file is public"


@pytest.mark.parametrize("page", ["my-reports", "my.reports", "MY~reports/2", "my＿reports", "my*reports"])
def test_pa5_an_exception_covers_what_cherrypy_takes_for_the_name_of_a_method(page):
    auth = middleware(public_paths=("/*",), protected_paths=("/my_reports/*",))
    assert ask(auth, path=f"/{page}".encode().decode("latin-1")).status == 303
    assert ask(auth, path="/myreports").status == 200


def test_pa1_an_asgi_app_that_cuts_a_mount_off_by_itself_shows_no_page_by_another_name():
    """FastAPI with `root_path` does so."""
    needed("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    class Told(Starlette):
        root_path = "/api/"

        async def __call__(self, scope, receive, send):
            await super().__call__({**scope, "root_path": "/api"}, receive, send)

    async def page(request):
        return PlainTextResponse(request.url.path)

    app = Told(routes=[Route(path, page) for path in ("/open", "/admin/staff")])
    auth = middleware(a2wsgi.ASGIMiddleware(app), public_paths=("/*",), protected_paths=("/admin/*",))
    for path, status in (("/open", 200), ("/api/open", 200), ("/admin/staff", 303), ("/api/admin/staff", 303)):
        assert ask(auth, path=path).status == status, path
    inner = middleware(a2wsgi.ASGIMiddleware(app), public_paths=("/api/*",))
    assert ask(inner, path="/api/admin/staff").status == 303


@pytest.mark.parametrize("path", ["/" + "\xcc\x81\xcc\xa3" * 15_000, "/" + "." * 60_000 + "x", "/." * 30_000 + "x"])
def test_pa5_no_path_takes_long_to_compare_with_an_exception(path):
    guard, begun = Guard(["/*"], ["/admin", "/山"]), time.process_time()
    guard.needs_session(path)
    assert time.process_time() - begun < 0.2


@pytest.mark.parametrize("rule", ["/admin", "/admin/"])
def test_pa5_an_exception_covers_its_page_with_and_without_a_slash(rule):
    app = flask.Flask(__name__)
    app.add_url_rule("/admin/", "admin", lambda: "secret")
    app.add_url_rule("/login", "login", lambda: "open")
    auth = middleware(app.wsgi_app, public_paths=("/*",), protected_paths=(rule,))
    for path in ("/admin", "/admin/"):
        assert ask(auth, path=path).status == 303
    assert ask(auth, path="/login").status == 200
    subtree = middleware(public_paths=("/admin/*",), protected_paths=("/admin",))
    assert [ask(subtree, path=path).status for path in ("/admin", "/admin/")] == [303, 200], "a rule of its own counts"


def test_pa5_of_two_rules_that_differ_in_case_alone_each_covers_its_own_spelling():
    auth = middleware(public_paths=("/*", "/Docs/*"), protected_paths=("/docs/*",))
    assert [ask(auth, path=path).status for path in ("/Docs/a", "/docs/a")] == [200, 303]


@pytest.mark.parametrize("path", LOGIN)
def test_pa1_a_spelling_of_sign_in_is_counted_or_not_ours(path):
    inner = Inner()
    auth = middleware(inner)
    person(auth)
    answer = ask(auth, "POST", path, form={"email": "tanaka@example.com", "password": "wrong"})
    counted = len(events(auth, "sign_in_failed"))
    assert counted == (path == "/-/auth/login") or answer.status == 401
    assert answer.status in {401, 404}
    assert inner.seen == []
    right = ask(auth, "POST", path, form={"email": "tanaka@example.com", "password": PASSWORD})
    assert (right.status == 303) == bool(right.all("Set-Cookie")) == (path == "/-/auth/login")


def test_pa2_a_mount_shows_in_every_path_and_no_header_steers():
    inner = Inner()
    auth = middleware(inner, public_paths=("/open/*",))
    person(auth)
    assert ask(auth, SCRIPT_NAME="/app").get("Location") == "/app/-/auth/login?next=/app/page"
    assert login(auth, SCRIPT_NAME="/app").get("Location") == "/app/"
    page = ask(auth, path="/-/auth/login", SCRIPT_NAME="/app").text
    assert set(re.findall(r'(?:action|href|src)="(/[^/"]*)/', page)) == {"/app"}
    for target in ("/open", "/-/auth/login", "/"):
        headers = {
            f"HTTP_{name}": target
            for name in (
                "SCRIPT_NAME",
                "PATH_INFO",
                "X_ORIGINAL_URL",
                "X_REWRITE_URL",
                "X_FORWARDED_PREFIX",
                "X_FORWARDED_PATH",
                "X_FORWARDED_URI",
                "X_SCRIPT_NAME",
                "REQUEST_URI",
                "X_ORIGINAL_URI",
            )
        }
        raw = {
            "REQUEST_URI": target,
            "RAW_URI": target,
            "SCRIPT_URL": target,
            "REDIRECT_URL": target,
            "PATH_TRANSLATED": target,
        }
        answer = ask(auth, path="/page", **headers, **raw)
        assert (answer.status, answer.get("Location")) == (303, "/-/auth/login?next=/page")
    assert inner.seen == []


def test_pa2_public_and_protected_paths_are_matched_below_the_mount():
    inner = Inner()
    auth = middleware(inner, public_paths=("/open/*",), protected_paths=("/open/secret/*",))
    for path, reached in (("/open", 1), ("/open/x", 1), ("/open/secret", 0), ("/openly", 0), ("/app/open", 0)):
        inner.seen.clear()
        ask(auth, path=path, SCRIPT_NAME="/app")
        assert len(inner.seen) == reached, path


@pytest.mark.parametrize("path", BROKEN)
def test_pa4_a_broken_path_is_no_error_and_no_entrance(path):
    inner = Inner()
    auth = middleware(inner, public_paths=("/open/*",))
    person(auth)
    mine = signed_in(auth)
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        for more in (
            {},
            {"HTTP_ACCEPT": "application/json"},
            {"QUERY_STRING": "\xff\x00"},
            {"QUERY_STRING": "\ud800=日"},
        ):
            assert ask(auth, method, path, **more).status < 500
    assert inner.seen == []
    assert ask(auth, path=path, cookie=mine).status < 500
    assert ask(auth, path=path, PATH_INFO=None).status in {303, 401}
