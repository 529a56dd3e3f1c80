"""A kept session's cookie goes out again after 30 days, on the app's own answer (rows SE9, SE17, HD1)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tests.kit import browser, middleware, person, sign_in

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class App:
    """An app whose answer's headers a test chooses, and which does what it is told meanwhile."""

    def __init__(self):
        self.headers = []
        self.meanwhile = lambda: None

    def __call__(self, environ, start_response):
        self.meanwhile()
        start_response("200 OK", [("Content-Type", "text/plain"), *self.headers])
        return [b"page"]


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as clock:
        yield clock


@pytest.fixture
def app():
    return App()


@pytest.fixture
def auth(app):
    auth = middleware(app)
    person(auth)
    return auth


def due(auth, clock, **fields):
    """A browser whose cookie was sent 31 days ago."""
    test_app = browser(auth)
    sign_in(test_app, **fields)
    clock.shift(timedelta(days=31))
    return test_app


def test_the_same_value_goes_out_again_once(auth, clock):
    test_app = due(auth, clock)
    before = test_app.cookies["nipo_auth"]
    answer = test_app.get("/page")
    (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith(f"nipo_auth={before.strip(chr(34))};")
    assert "Max-Age=34560000" in cookie
    assert "Set-Cookie" not in test_app.get("/page").headers


def test_before_thirty_days_nothing_is_sent(auth, clock):
    test_app = browser(auth)
    sign_in(test_app)
    clock.shift(timedelta(days=30))
    answer = test_app.get("/page")
    assert "Set-Cookie" not in answer.headers


def test_a_session_that_ends_with_the_browser_is_never_sent_again(auth, clock):
    test_app = browser(auth)
    sign_in(test_app, remember=None)
    for _ in range(70):
        clock.shift(timedelta(hours=11))
        assert "Set-Cookie" not in test_app.get("/page").headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("Cache-Control", cache)
            for cache in (
                *("public", "public, max-age=3600", "max-age=5, PUBLIC", "s-maxage=60", "max-age=1,s-maxage = 60"),
                *("max-age=60", "no-cache, Max-Age=0", 'private="X", max-age=1', "public, private", 'private, own="'),
            )
        ),
        ("CDN-Cache-Control", "max-age=60"),
        ("Cloudflare-CDN-Cache-Control", "public"),
        ("Surrogate-Control", "max-age=60"),
        ("X-Accel-Expires", "60"),
        ("Expires", "Mon, 23 Nov 2037 00:00:00 GMT"),
    ],
)
def test_it_is_withheld_from_answers_that_shared_caches_keep(auth, app, clock, name, value):
    app.headers = [(name, value)]
    test_app = due(auth, clock)
    answer = test_app.get("/page")
    assert "Set-Cookie" not in answer.headers
    app.headers = []
    assert "Set-Cookie" in test_app.get("/page").headers, "still due"


def test_the_answer_says_that_it_is_one_persons(auth, app, clock):
    answer = due(auth, clock).get("/page")
    assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Cookie", "private, no-cache")


@pytest.mark.parametrize("cache", ["private", "private, max-age=60", "no-store", "no-store, max-age=0", "no-cache"])
def test_what_the_app_said_of_caching_stays(auth, app, clock, cache):
    app.headers = [("Cache-Control", cache), ("Vary", "Accept-Language"), ("CDN-Cache-Control", "no-store")]
    answer = due(auth, clock).get("/page")
    assert "Set-Cookie" in answer.headers
    assert answer.headers["Cache-Control"] == (cache if cache != "no-cache" else "private, no-cache")
    assert {part.strip() for part in answer.headers["Vary"].split(",")} == {"Accept-Language", "Cookie"}


def test_the_apps_own_cookies_survive_in_their_order(auth, app, clock):
    app.headers = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Set-Cookie", "a=3")]
    cookies = due(auth, clock).get("/page").headers.getall("Set-Cookie")
    assert cookies[:3] == ["a=1", "b=2", "a=3"]
    assert len(cookies) == 4


def test_a_session_that_ended_while_the_app_worked_is_not_revived(auth, app, clock):
    test_app = due(auth, clock)
    copied = test_app.cookies["nipo_auth"].strip('"')
    app.meanwhile = lambda: auth.accounts.set_active("1", False)
    assert "Set-Cookie" not in test_app.get("/page").headers
    app.meanwhile = lambda: None
    auth.accounts.set_active("1", True)
    test_app.set_cookie("nipo_auth", copied)
    assert test_app.get("/page").status_int == 303


def test_parallel_requests_all_pass_with_one_value(auth, clock):
    value = due(auth, clock).cookies["nipo_auth"].strip('"')
    answers, barrier = [], threading.Barrier(10)

    def ask():
        test_app = browser(auth)
        test_app.set_cookie("nipo_auth", value)
        barrier.wait()
        answers.append(test_app.get("/page"))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_int for answer in answers] == [200] * 10
    sent = {cookie.partition(";")[0] for answer in answers for cookie in answer.headers.getall("Set-Cookie")}
    assert sent == {f"nipo_auth={value}"}
