"""What a visitor meets on a page that needs a session, and what becomes of the app's own 401."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest

from nipo_auth_mw._web.guard import Guard
from tests.each import each
from tests.kit import browser, events, middleware, person, seen, sign_in
from tests.security.tools import ask, signed_in

BARE = [("Content-Type", "text/plain")]
NAMED = [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")]


class Body:
    def __init__(self):
        self.closed = 0

    def __iter__(self):
        yield b"the app's own text"

    def close(self):
        self.closed += 1


def refusing(headers, body=None):
    def app(environ, start_response):
        start_response("401 Unauthorized", headers)
        return body if body is not None else [b"the app's own text"]

    return app


def lazily_refusing(environ, start_response):
    start_response("401 Unauthorized", BARE)
    yield b"the app's own text"


def writing(environ, start_response):
    start_response("401 Unauthorized", BARE)(b"written")
    return [b"the app's own text"]


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"Accept": "text/html"}, True),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Accept": "*/*", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Accept": ""}, True),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, False),
        ({"Accept": "*/*"}, False),
        ({"Accept": "application/json"}, False),
    ],
)
def test_people_are_led_to_the_sign_in_page_and_programs_are_told(headers, asked):
    answer = browser(middleware()).get("/reports?day=1&x=%E6%97%A5", headers=headers, expect_errors=True)
    if asked:
        assert answer.status_int == 303
        assert answer.location == "/-/auth/login?next=/reports?day=1%26x=%25E6%2597%25A5"
    else:
        assert (answer.status_int, answer.json["code"]) == (401, "sign_in_required")
        assert "WWW-Authenticate" not in answer.headers
        assert answer.content_type == "application/problem+json"


def test_the_destination_survives_sign_in_exactly():
    auth = middleware()
    person(auth)
    test_app = browser(auth)
    path = "/reports/%E6%97%A5%E5%A0%B1?day=1&x=%E6%97%A5&y=a+b"
    form = test_app.get(test_app.get(path).location).forms["login"]
    form["email"], form["password"] = "tanaka@example.com", "aoi-umi-to-shiroi-kumo"
    assert form.submit().location == path


def test_a_form_sent_after_the_session_ended_gets_a_page_that_says_so():
    called = []

    def app(environ, start_response):
        called.append(environ["REQUEST_METHOD"])
        start_response("200 OK", BARE)
        return [b""]

    auth = middleware(app)
    person(auth)
    test_app = browser(auth)
    sign_in(test_app)
    auth.accounts.set_active("1", False)
    answer = test_app.post("/reports", {"body": "typed for an hour"}, expect_errors=True)
    assert answer.status_int == 401
    link = answer.html.find("a", target="_blank")
    assert link["href"] == "/-/auth/login"
    assert "noopener" in link["rel"]
    assert "typed for an hour" not in answer.text
    auth.accounts.set_active("1", True)
    sign_in(test_app)
    assert called == [], "nothing is stored and replayed"


@pytest.mark.parametrize("app", [refusing(BARE), lazily_refusing, writing])
def test_the_apps_bare_401_becomes_the_question_for_visitors_only(app):
    auth = middleware(app, public_paths=["/*"])
    person(auth)
    test_app = browser(auth)
    answer = test_app.get("/reports")
    assert answer.location == "/-/auth/login?next=/reports"
    assert "own text" not in answer.text
    sign_in(test_app)
    assert "own text" in test_app.get("/reports", expect_errors=True).text


def test_a_401_that_names_its_own_way_passes():
    test_app = browser(middleware(refusing(NAMED), public_paths=["/*"]))
    answer = test_app.get("/reports", expect_errors=True)
    assert (answer.status_int, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "own text" in answer.text


def test_the_iterable_of_a_replaced_answer_is_closed_once():
    body = Body()
    browser(middleware(refusing(BARE, body), public_paths=["/*"])).get("/reports")
    assert body.closed == 1


RULES = {
    "public_paths": ["/", "/healthz", "/static/*", "/公開/*", "/static/inside/open/*", "/a/b/*"],
    "protected_paths": ["/static/inside/*", "/static/one", "/a/b"],
}
# Paths as a client writes them in a URL.
OPEN = [
    "/",
    "/healthz",
    "/static",
    "/static/",
    "/static/app.css",
    "/static/one/two",
    "/static/insider",
    "/static/inside/open",
    "/static/inside/open/deep",
    "/static/...",
    "/static/.hidden",
    "/static/a b",
    "/static/100%25",
    "/static/100%25z0",
    "/%E5%85%AC%E9%96%8B",
    "/%E5%85%AC%E9%96%8B/x",
    "/%73tatic/app.css",
    "/a/b/",
    "/a/b/c",
]
CLOSED = [
    "/anything",
    "/healthz/",
    "/healthz/x",
    "/healthzz",
    "/Healthz",
    "/staticky",
    "/static/one",
    "/static/inside",
    "/static/inside/",
    "/static/inside/deep",
    "/static/inside/opened",
    "/%E5%85%AC%E9%96",
    "/%E5%85%AC%E9%96%8Bx",
    "/a/b",
    "/a",
]
ODD_SPELLINGS = [
    "//",
    "//healthz",
    "/./healthz",
    "/static//app.css",
    "/static//inside",
    "/static/./inside",
    "/static/x/../inside",
    "/static/x/..",
    "/static/.",
    "/static/app.css;x",
    "/static/a%5Cb",
    "/static/a%00b",
    "/static/a%0Ab",
    "/static/a%7Fb",
    "/static/a%20/b",
    "/static/a%20",
    "/static/%FF",
    "/static/%2569nside",
    "/static/%252e%252e/x",
    "/static/a%252Fb",
    "/static/a%25C3%25A9",
]


@each("path, open_", [(path, True) for path in OPEN] + [(path, False) for path in (*CLOSED, *ODD_SPELLINGS)])
def test_a_rule_is_one_path_or_a_subtree_and_the_longer_match_wins(path, open_):
    answer = browser(middleware(**RULES)).get(path, expect_errors=True)
    assert (answer.status_int == 200) is open_


@pytest.mark.parametrize("path", [*OPEN, *CLOSED, "/static/inside"])
def test_where_the_whole_app_is_public_exceptions_are_protected(path):
    auth = middleware(public_paths=["/*"], protected_paths=["/static/inside/*", "/a"])
    # A broken byte sequence stays an odd spelling.
    closed = path in {"/a", "/static/inside", "/%E5%85%AC%E9%96"} or path.startswith("/static/inside/")
    assert (browser(auth).get(path, expect_errors=True).status_int == 200) is not closed


@pytest.mark.parametrize("path", ODD_SPELLINGS)
def test_an_odd_spelling_needs_a_session_though_the_whole_app_is_public_and_the_app_sees_it_as_it_came(path):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode("latin-1")]

    auth = middleware(app, public_paths=["/*"])
    person(auth)
    came = unquote_to_bytes(path)
    assert ask(auth, path=came.decode("latin-1")).status == 303
    answer = ask(auth, path=came.decode("latin-1"), cookie=signed_in(auth))
    assert (answer.status, answer.body) == (200, came)


@pytest.mark.parametrize("path", ["", "healthz", "static/app.css", "http://localhost/healthz", "*"])
def test_a_path_without_its_slash_needs_a_session(path):
    guard = Guard(["/*", "/healthz", "/static/*"], [])
    assert guard.needs_session(path)


def test_without_rules_every_path_needs_a_session():
    guard = Guard([], [])
    assert all(guard.needs_session(path) for path in ("", "/", "/*", "/static/*", "/healthz"))


def test_under_a_script_name_every_path_starts_with_it():
    auth = middleware()
    person(auth)
    test_app = browser(auth, SCRIPT_NAME="/app")
    assert test_app.get("/reports").location == "/app/-/auth/login?next=/app/reports"
    page = test_app.get("/-/auth/login?next=/app/reports")
    assert page.forms["login"].action == "/app/-/auth/login"
    assert "/app/-/auth/static/" in page.text
    assert sign_in(test_app, next="/app/reports").location == "/app/reports"
    assert sign_in(test_app, next="").location == "/app/"
    assert test_app.post("/-/auth/logout").location == "/app/-/auth/login"


def test_a_mount_in_base_url_wins_over_the_servers():
    auth = middleware(base_url="http://localhost/portal")
    assert browser(auth).get("/reports").location == "/portal/-/auth/login?next=/portal/reports"
    assert browser(auth, SCRIPT_NAME="/other").get("/reports").location.startswith("/portal/-/auth/login")


def test_a_refused_request_from_elsewhere_is_in_the_audit_log_once_a_minute():
    auth = middleware()
    person(auth)
    test_app = browser(auth)
    sign_in(test_app)
    for _ in range(5):
        assert (
            test_app.post("/-/auth/logout", headers={"Sec-Fetch-Site": "cross-site"}, expect_errors=True).status_int
            == 403
        )
    assert seen(test_app) == "1"
    assert len(events(auth, "cross_site_refused")) == 1


def test_a_mount_that_a_proxy_passes_on_is_told_and_makes_no_loop(caplog):
    auth = middleware(base_url="http://localhost/reports")
    person(auth)
    visitor = browser(auth)
    for _ in range(2):
        answer = visitor.get("/reports/-/auth/login", status=404)
        assert "let it cut /reports off the path" in answer.text
    assert [one.getMessage() for one in caplog.records].count(
        "the proxy passes the mount '/reports' on; let the proxy cut it off, or set SCRIPT_NAME to it"
    ) == 1
    assert visitor.get("/-/auth/login").status_int == 200, "a proxy that cuts it off"
    assert ask(auth, path="/-/auth/login", SCRIPT_NAME="/reports").status == 200
    assert ask(auth, path="/reports/-/auth/login", SCRIPT_NAME="/reports").status == 303, "a path of the app's own"
