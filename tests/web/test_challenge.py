"""What a visitor meets on a page that needs a session, and what becomes of the app's own 401."""

from __future__ import annotations

import pytest

from tests.kit import browser, events, middleware, person, seen, sign_in

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
        assert answer.location == "/auth/login?next=/reports?day=1%26x=%25E6%2597%25A5"
    else:
        assert (answer.status_int, answer.json["code"]) == (401, "sign_in_required")
        assert answer.headers["WWW-Authenticate"] == "Session"
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
    assert answer.headers["WWW-Authenticate"] == "Session"
    link = answer.html.find("a", target="_blank")
    assert link["href"] == "/auth/login"
    assert "noopener" in link["rel"]
    assert "typed for an hour" not in answer.text
    auth.accounts.set_active("1", True)
    sign_in(test_app)
    assert called == [], "nothing is stored and replayed"


@pytest.mark.parametrize("app", [refusing(BARE), lazily_refusing, writing])
def test_the_apps_bare_401_becomes_the_question_for_visitors_only(app):
    auth = middleware(app, public=["/"])
    person(auth)
    test_app = browser(auth)
    answer = test_app.get("/reports")
    assert answer.location == "/auth/login?next=/reports"
    assert "own text" not in answer.text
    sign_in(test_app)
    assert "own text" in test_app.get("/reports", expect_errors=True).text


def test_a_401_that_names_its_own_way_passes():
    test_app = browser(middleware(refusing(NAMED), public=["/"]))
    answer = test_app.get("/reports", expect_errors=True)
    assert (answer.status_int, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "own text" in answer.text


def test_the_iterable_of_a_replaced_answer_is_closed_once():
    body = Body()
    browser(middleware(refusing(BARE, body), public=["/"])).get("/reports")
    assert body.closed == 1


RULES = {"public": ["/static", "/", "/公開"], "protect": ["/static/inside", "/private"]}


@pytest.mark.parametrize(
    ("path", "open_"),
    [
        ("/", True),
        ("/anything", True),
        ("/static", True),
        ("/static/app.css", True),
        ("/staticky", True),
        ("/static/inside", False),
        ("/static/inside/deep", False),
        ("/static/insider", True),
        ("/private", False),
        ("/private/", False),
        ("/privateer", True),
        ("/static//inside", False),
        ("/static/./inside", False),
        ("/static/x/../inside", False),
        ("/%E5%85%AC%E9%96%8B/x", True),
        ("/%E5%85%AC%E9%96", False),
    ],
)
def test_whole_segments_the_longest_match_and_plain_spellings(path, open_):
    answer = browser(middleware(**RULES)).get(path, expect_errors=True)
    assert (answer.status_int == 200) is open_


def test_under_a_script_name_every_path_starts_with_it():
    auth = middleware()
    person(auth)
    test_app = browser(auth, SCRIPT_NAME="/app")
    assert test_app.get("/reports").location == "/app/auth/login?next=/app/reports"
    page = test_app.get("/auth/login?next=/app/reports")
    assert page.forms["login"].action == "/app/auth/login"
    assert "/app/auth/static/" in page.text
    assert sign_in(test_app, next="/app/reports").location == "/app/reports"
    assert sign_in(test_app, next="").location == "/app/"
    assert test_app.post("/auth/logout").location == "/app/auth/login"


def test_a_mount_in_base_url_wins_over_the_servers():
    auth = middleware(base_url="http://localhost/portal")
    assert browser(auth).get("/reports").location == "/portal/auth/login?next=/portal/reports"
    assert browser(auth, SCRIPT_NAME="/other").get("/reports").location.startswith("/portal/auth/login")


def test_a_refused_request_from_elsewhere_is_in_the_history_once_a_minute():
    auth = middleware()
    person(auth)
    test_app = browser(auth)
    sign_in(test_app)
    for _ in range(5):
        assert (
            test_app.post("/auth/logout", headers={"Sec-Fetch-Site": "cross-site"}, expect_errors=True).status_int
            == 403
        )
    assert seen(test_app) == "1"
    assert len(events(auth, "cross_site_refused")) == 1
