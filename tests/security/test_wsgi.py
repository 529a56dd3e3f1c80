"""PEP 3333: around the app as if we were not there, and correct towards the server ourselves (rows WS, BD8)."""

from __future__ import annotations

import io
import os
from pathlib import Path
from urllib.parse import urlencode
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
import time_machine

from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import sign_in as put_cookie
from tests.contract import workers
from tests.kit import PASSWORD, browser, echo, middleware, person
from tests.security.tools import ask, login, session_pair, signed_in, who

TEXT = [("Content-Type", "text/plain")]


class Server:
    """As small a WSGI server as there is; keeps what it was told, and when."""

    def __init__(self, auth, path="/public", **environ):
        self.environ = {"PATH_INFO": path, "REMOTE_ADDR": "192.0.2.1", **environ}
        setup_testing_defaults(self.environ)
        self.written = []
        self.started = []
        self.auth = auth

    def start_response(self, status, headers, exc_info=None):
        if exc_info and self.written:
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info or not self.started, "start_response twice without exc_info"
        self.started.append((status, headers))
        return self.written.append

    def call(self):
        return self.auth(self.environ, self.start_response)


class Closing:
    """An iterable that counts how often it is closed."""

    def __init__(self, *chunks):
        self.chunks, self.closed = chunks, 0

    def __iter__(self):
        return iter(self.chunks)

    def close(self):
        self.closed += 1


@pytest.fixture(params=["visitor", "signed in"])
def serve(request):
    """Serves an app to a visitor on a public page, and to a signed-in person."""

    def build(app, **environ):
        auth = middleware(app, public_paths=["/public/*"])
        if request.param == "signed in":
            test_app = browser(auth)
            put_cookie(auth, test_app, person(auth))
            (cookie,) = test_app.cookiejar
            environ["HTTP_COOKIE"] = f"{cookie.name}={cookie.value}"
        return Server(auth, **environ)

    return build


def test_ws2_chunks_are_passed_on_as_they_come(serve):
    made = []

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        for chunk in (b"one", b"two", b"three"):
            made.append(chunk)
            yield chunk

    chunks = iter(serve(app).call())
    assert next(chunks) == b"one"
    assert made == [b"one"]
    assert list(chunks) == [b"two", b"three"]


def test_ws2_an_eager_apps_iterable_goes_back_untouched(serve):
    body = Closing(b"one")

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    assert serve(app).call() is body


def test_ws2_a_file_wrapper_reaches_the_server(serve):
    made = []

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        made.append(environ["wsgi.file_wrapper"](io.BytesIO(b"file"), 2))
        return made[0]

    server = serve(app, **{"wsgi.file_wrapper": FileWrapper})
    assert server.call() is made[0]


def test_ws2_write_reaches_the_server_at_once(serve):
    server = None

    def app(environ, start_response):
        write = start_response("200 OK", TEXT)
        write(b"written")
        assert server.written == [b"written"]
        return [b"returned"]

    server = serve(app)
    assert list(server.call()) == [b"returned"]


def test_ws2_a_lazy_app_may_yield_nothing_before_it_starts(serve):
    def app(environ, start_response):
        yield b""
        start_response("200 OK", TEXT)
        yield b"body"

    server = serve(app)
    assert b"".join(server.call()) == b"body"
    assert server.started[0][0] == "200 OK"


def test_ws2_a_second_start_with_exc_info_replaces_the_first(serve):
    def app(environ, start_response):
        start_response("200 OK", TEXT)
        try:
            raise ValueError
        except ValueError:
            import sys

            start_response("500 Oops", TEXT, sys.exc_info())
        return [b"sorry"]

    server = serve(app)
    assert list(server.call()) == [b"sorry"]
    assert server.started[-1][0] == "500 Oops"


@pytest.mark.parametrize("steps", [0, 1, 99])
def test_ws3_close_is_called_once_at_the_end_or_when_the_server_stops_early(serve, steps):
    body = Closing(b"one", b"two", b"three")

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    answer = serve(app).call()
    for _ in zip(range(steps), answer, strict=False):
        pass
    answer.close()
    assert body.closed == 1


def test_ws3_close_reaches_a_lazy_apps_generator_once(serve):
    ends = []

    def app(environ, start_response):
        try:
            start_response("200 OK", TEXT)
            yield b"one"
            yield b"two"
        finally:
            ends.append(1)

    answer = serve(app).call()
    chunks = iter(answer)
    next(chunks)
    answer.close()
    assert ends == [1]


class Failing(Closing):
    """An iterable that breaks down after its chunks."""

    def __iter__(self):
        yield from self.chunks
        raise OSError("the app's file is gone")


def test_ws3_close_is_called_once_after_a_failure_and_after_head(serve):
    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    body = Failing(b"one")
    answer = serve(app).call()
    with pytest.raises(OSError, match="gone"):
        list(answer)
    answer.close()
    assert body.closed == 1
    body = Closing()
    answer = serve(app, REQUEST_METHOD="HEAD").call()
    assert list(answer) == []
    answer.close()
    assert body.closed == 1


@pytest.mark.parametrize("lazy", [False, True])
def test_ws3_the_iterable_of_a_replaced_401_is_closed_once(lazy):
    body = Closing(b"own")

    class Refusing:
        def __init__(self, start_response):
            self.start_response = start_response

        def __iter__(self):
            self.start_response("401 Unauthorized", TEXT)
            yield b"own"

        def close(self):
            body.close()

    def app(environ, start_response):
        if lazy:
            return Refusing(start_response)
        start_response("401 Unauthorized", TEXT)
        return body

    server = Server(middleware(app, public_paths=["/public/*"]), HTTP_ACCEPT="text/html")
    answer = server.call()
    assert b"own" not in b"".join(answer)
    answer.close()
    assert (server.started[-1][0][:3], body.closed) == ("303", 1)


@pytest.mark.parametrize("late", [False, True])
def test_ws4_the_apps_exceptions_pass_unchanged_and_the_next_request_is_clean(serve, late):
    class OwnError(Exception):
        pass

    def app(environ, start_response):
        if environ["PATH_INFO"].endswith("bad"):
            if late:
                start_response("200 OK", TEXT)
            raise OwnError("as it was")
        return echo(environ, start_response)

    server = serve(app, PATH_INFO="/public/bad")
    with pytest.raises(OwnError, match="as it was"):
        list(server.call())
    again = serve(app, PATH_INFO="/public/good")
    assert b"user=" in b"".join(again.call())


def test_ws4_an_app_that_fails_before_it_answers_uses_up_no_cookie_that_was_due():
    down = [False]

    def app(environ, start_response):
        if down[0]:
            raise OSError("as it was")
        return echo(environ, start_response)

    auth = middleware(app)
    person(auth)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        mine = signed_in(auth)
        clock.shift(31 * 86400)
        down[0] = True
        with pytest.raises(OSError, match="as it was"):
            ask(auth, cookie=mine)
        down[0] = False
        assert session_pair(ask(auth, cookie=mine)) == mine
        assert session_pair(ask(auth, cookie=mine)) == ""


def test_a_body_sent_to_the_app_is_not_touched(serve):
    sent = bytes(range(256)) * 4096
    got = []

    def app(environ, start_response):
        got.append(environ["wsgi.input"].read())
        start_response("200 OK", TEXT)
        return [b""]

    list(serve(app, REQUEST_METHOD="POST", **{"wsgi.input": io.BytesIO(sent), "CONTENT_LENGTH": str(len(sent))}).call())
    assert got == [sent]


def test_an_input_that_cannot_be_read_is_left_alone(serve):
    class Broken:
        def read(self, *size):
            raise OSError("gone")

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return [b"fine"]

    server = serve(app, REQUEST_METHOD="POST", **{"wsgi.input": Broken(), "CONTENT_LENGTH": "10"})
    assert list(server.call()) == [b"fine"]


PATHS = sorted({route.path.replace("<token>", "broken").replace("<id>", "2") for route in ROUTES} | {"nowhere"})
SENT = {
    "good": {"email": "tanaka@example.com", "password": PASSWORD, "current_password": PASSWORD, "lang": "ja"},
    "wrong": {"email": "x@example.com", "password": "x", "current_password": "x", "lang": "xx"},
}


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("role", ["", "staff", "admin"])
@pytest.mark.parametrize("sent", SENT)
def test_ws1_every_route_passes_the_validator_with_every_method_and_for_everybody(role, kind, sent):
    auth = middleware(validator(echo))
    user = person(auth, role=role or "staff")
    person(auth, "suzuki@example.com", role="admin")

    def answer_to(method, path):
        test_app = browser(validator(auth), HTTP_ACCEPT=kind, HTTP_ACCEPT_LANGUAGE="ja")
        if role:
            put_cookie(auth, test_app, user)
        body = urlencode({**SENT[sent], "role": "staff"}).encode() if method in {"PUT", "POST"} else b""
        return test_app.request(
            f"/-/auth/{path}?next=/reports",
            method=method,
            body=body,
            content_type="application/x-www-form-urlencoded",
            expect_errors=True,
        )

    for path in PATHS:
        page, head = answer_to("GET", path), answer_to("HEAD", path)
        assert (head.status, head.body) == (page.status, b""), path
        for answer in (page, *(answer_to(method, path) for method in ("OPTIONS", "PUT", "POST"))):
            assert answer.status_int < 500, path


def test_ws1_the_app_inside_sees_a_valid_request_and_the_server_a_valid_answer():
    auth = middleware(validator(echo), public_paths=["/public/*"])
    user = person(auth)
    test_app = browser(validator(auth))
    assert "user=-" in test_app.get("/public/x").text
    assert test_app.get("/private").status_int == 303
    put_cookie(auth, test_app, user)
    assert "user=1" in test_app.get("/private").text
    assert "sent=report" in test_app.post("/private", "report").text


def of_file(path):
    """How many descriptors this process has open on the database file and its neighbours, where the system tells."""
    found = Path("/proc/self/fd")
    return sum(os.path.realpath(one).startswith(str(path)) for one in found.iterdir()) if found.is_dir() else 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_ws6_children_forked_after_a_request_share_no_connection_and_make_secrets_of_their_own(tmp_path):
    path = tmp_path / "auth.db"
    store = SQLStore(f"sqlite:///{path}")
    store.create_schema()
    auth = middleware(store=store)
    person(auth)
    before = signed_in(auth)

    def child():
        assert of_file(path) == 0
        assert who(auth, before) == "1"
        (tmp_path / f"{os.getpid()}.cookie").write_text(session_pair(login(auth)))

    assert workers.in_children(child) == 4
    cookies = {file.read_text() for file in tmp_path.glob("*.cookie")}
    assert len(cookies) == 4
    assert len(cookies | {before, signed_in(auth)}) == 6
    assert {who(auth, cookie) for cookie in cookies | {before}} == {"1"}
    store.close()
