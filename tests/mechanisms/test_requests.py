"""What is read of a request: each reader takes what the standards allow, and says so when it does not."""

from __future__ import annotations

import io
import json

import pytest

from nipo_auth_mw import AuthConfig
from nipo_auth_mw._web import origin
from nipo_auth_mw._web import request as reading
from nipo_auth_mw._web.body import BadRequest
from nipo_auth_mw._web.problems import status_of
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.routes import ROUTES
from tests.each import each
from tests.kit import middleware, person
from tests.security.tools import FORM, ask, login

SECRET = "k" * 40 + "q"
PLAIN = AuthConfig(secret_key=SECRET, base_url="http://localhost")
MOUNTED = AuthConfig(secret_key=SECRET, base_url="https://app.example/portal")
SECURE = AuthConfig(secret_key=SECRET, base_url="https://app.example")


def sent(body: bytes = b"", kind: str | None = FORM, **environ) -> Request:
    whole = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), **environ}
    return Request({"wsgi.input": io.BytesIO(body), **whole}, PLAIN)


def refused(request: Request, name: str = "fields") -> tuple[int, str]:
    with pytest.raises(BadRequest) as caught:
        getattr(request, name)
    assert str(caught.value) == caught.value.code
    return status_of(caught.value.code), caught.value.code


# The body.


def test_a_form_of_fifty_fields_is_read_and_no_larger_one():
    fields = {f"f{n}": str(n) for n in range(50)}
    body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    assert sent(body).fields == fields
    assert refused(sent(body + b"&f50=")) == (400, "bad_request")
    assert sent(json.dumps(fields).encode(), "application/json").fields == fields
    assert refused(sent(json.dumps({**fields, "f50": ""}).encode(), "application/json")) == (400, "bad_request")


def test_a_body_of_64_kibibytes_is_read_and_no_larger_one():
    body = b"email=" + b"a" * (64 * 1024 - 6)
    assert len(sent(body).fields["email"]) == len(body) - 6
    assert refused(sent(body + b"a")) == (413, "too_large")


def test_a_body_that_comes_in_pieces_is_read_whole_and_one_byte_short_not_at_all():
    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    body = "email=田中&password=xyz".encode()
    assert len(body) % 3 == 1
    request = sent(body, **{"wsgi.input": Slow(body)})
    assert request.fields == {"email": "田中", "password": "xyz"}
    assert request.fields is request.fields, "it is read once"
    assert refused(sent(body, **{"wsgi.input": Slow(body[:-1])})) == (400, "bad_request")


def test_what_follows_the_length_is_not_read():
    body = io.BytesIO(b"email=a&password=b")
    assert sent(b"email=a", **{"wsgi.input": body}).fields == {"email": "a"}
    assert body.read() == b"&password=b"


@pytest.mark.parametrize("length", ["0", "", None])
def test_no_body_is_an_empty_form_of_any_type(length):
    for kind in (FORM, "application/json", "text/plain", "", None):
        assert sent(b"unread", kind, CONTENT_LENGTH=length).fields == {}
    assert sent(b"unread", CONTENT_LENGTH="0", **{"wsgi.input_terminated": True}).fields == {}


def test_chunks_that_the_server_does_not_decode_are_refused():
    assert refused(sent(b"email=a", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")) == (400, "bad_request")


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (FORM, {"a": "1"}),
        (f"{FORM}; charset=utf-8", {"a": "1"}),
        (f" \t{FORM.upper()}\t ;x=;y", {"a": "1"}),
        (f"{FORM}\x0b", 415),
        (f"X{FORM}", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("", 415),
        (None, 415),
    ],
)
def test_a_form_is_named_by_its_type_whatever_its_case_and_parameters(kind, wanted):
    if wanted == 415:
        assert refused(sent(b"a=1", kind)) == (415, "unsupported_media_type")
    else:
        assert sent(b"a=1", kind).fields == wanted


def test_text_that_is_not_utf8_is_refused():
    for body in (b"email=\xff", b"email=%ff", b"%ff=1"):
        assert refused(sent(body)) == (400, "bad_request")
    assert refused(sent(b'{"email":"\xff"}', "application/json")) == (400, "bad_request")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"email"',
        b"1",
        b"null",
        b"{",
        b'{"email":1}',
        b'{"email":null}',
        b'{"email":true}',
        b'{"remember":"yes"}',
        b'{"remember":1}',
        b'{"email":"a","email":"b"}',
        b'{"email":NaN}',
        b'{"remember":Infinity}',
        b'{"email":"\\ud800"}',
        b'{"email":"\\udfff"}',
        b'{"\\udabc":"a"}',
    ],
)
def test_json_is_one_object_of_texts_and_flags(body):
    assert refused(sent(body, "application/json")) == (400, "bad_request")


def test_json_that_is_one_is_read():
    data = {"email": "a\ud7ff\ue000😀", "remember": True, "active": False, "all": True, "must_change": False, "": ""}
    assert sent(json.dumps(data).encode(), "application/json").fields == data
    assert sent(json.dumps(data, ensure_ascii=False).encode(), "Application/JSON;charset=utf-8").fields == data


# Fields.


@pytest.mark.parametrize(
    ("body", "flag", "given"),
    [
        (b"x=", False, False),
        (b"all=", False, False),
        (b"all=0", False, False),
        (b"all=no", False, False),
        (b"all=NO", False, False),
        (b"all=off", False, False),
        (b"all=False", False, False),
        (b"all=1", True, True),
        (b"all=on", True, True),
        (b"all=yes", True, True),
        (b'{"x":""}', True, False),
        (b'{"all":true}', True, True),
        (b'{"all":false}', False, False),
    ],
)
def test_a_check_box_that_is_absent_is_no_in_a_form_and_the_default_in_json(body, flag, given):
    request = sent(body, "application/json" if body.startswith(b"{") else FORM)
    assert (request.flag("all"), request.given_flag("all")) == (flag, given)


def test_a_text_is_the_field_or_nothing():
    assert sent(b"email=a+b").text("email") == "a b"
    assert sent(b"email=").text("name") == ""
    assert sent(b'{"all":true}', "application/json").text("all") == ""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_options_names_the_methods_of_a_route_to_anyone_and_nothing_else(route):
    path = "/-/auth/" + route.path.replace("<id>", "1").replace("<token>", "x").replace("<name>", "x")
    for more in ({}, {"HTTP_ORIGIN": "https://evil.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}):
        answer = ask(middleware(base_url="https://app.example"), "OPTIONS", path, **more)
        assert answer.get("Allow") == ", ".join(route.methods)
        assert (answer.status, answer.text == "{}") == ((200, True) if route.options else (405, False))
        assert not answer.cookies
        assert "Access-Control" not in str(answer.headers)


def test_a_field_of_the_query_that_is_given_twice_is_refused_where_it_is_read():
    query = sent(QUERY_STRING="q=/a%20b&empty=&twice=1&twice=2&odd=%ff").query
    assert (query.get("q"), query.get("empty"), query.get("absent"), query.get("odd")) == ("/a b", "", "", "\ufffd")
    with pytest.raises(BadRequest):
        query.get("twice")
    assert sent(QUERY_STRING="next=/a&next=/b").wanted == ""
    assert sent(QUERY_STRING="next=/a&x=1&x=2").wanted == "/a"


def test_the_client_is_the_peer_and_its_words_in_bounds():
    client = sent(REMOTE_ADDR="2" * 100, HTTP_USER_AGENT="b" * 5000).client
    assert (client.address, client.user_agent) == ("2" * 64, "b" * 1000)
    for absent in ({}, {"REMOTE_ADDR": None, "HTTP_USER_AGENT": None}):
        assert (sent(**absent).client.address, sent(**absent).client.user_agent) == ("", "")


def test_the_client_reads_the_language_that_was_found_for_the_request():
    request = sent()
    request.language = "ja"
    assert request.client.language == "ja"


def test_a_route_that_forgot_to_ask_for_a_session_has_none():
    with pytest.raises(LookupError):
        sent().signed_in  # noqa: B018


def test_a_server_may_leave_out_what_is_empty():
    auth = middleware(public_paths=("/*",))
    person(auth)
    absent = dict.fromkeys(("SCRIPT_NAME", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_ACCEPT"))
    assert ask(auth, path="/-/auth/login", **absent).status == 200
    assert ask(auth, path="/page", **absent).status == 200
    assert ask(middleware(), path="/page", **absent).get("Location") == "/-/auth/login?next=/page"
    assert ask(middleware(), path="/page", **absent, PATH_INFO=None).get("Location") == "/-/auth/login"
    assert login(auth, SCRIPT_NAME=None, QUERY_STRING=None).get("Location") == "/"


# What the sender wants to see.


@each(
    "accept, as_json, html",
    [
        (None, False, False),
        ("", False, False),
        ("*/*", False, False),
        ("text/*", False, False),
        ("application/json", True, False),
        ("Application/JSON", True, False),
        ("application/problem+json", True, False),
        ("text/html", False, True),
        ("TEXT/HTML", False, True),
        ("application/xhtml+xml", False, True),
        ("text/html, application/json", False, True),
        ("application/json, text/html", False, True),
        ("application/json, text/html;q=0.9", True, True),
        ("application/json;q=0.9, text/html;q=0.8", True, True),
        ("application/json;q=0.8, application/xhtml+xml;q=0.9", False, True),
        ("application/json;q=0.8, text/html;q=0.800", False, True),
        ("application/json;v=1;q=0.8, text/html;q=0.9", False, True),
        ("application/json ; Q=0.8 , text/html ; q = 0.9", False, True),
        ("application/json;q=0", False, False),
        ("text/html;q=0", False, False),
        ("text/html;q=0.001", False, True),
        ("text/html;q=1.000, application/json;q=0.999", False, True),
        ("text/html;q=1.0000", False, False),
        ("text/html;q=2, application/json;q=0.1", True, False),
        ("text/html;q=x", False, False),
        ("text/html;q=", False, False),
        ("text/html;level=1", False, True),
        (",,;q=1,text/html", False, True),
        ("x/y," * 255 + "json", False, False),
        ("a" * 1014 + ",text/html", False, True),
        ("a" * 1015 + ",text/html", False, False),
    ],
)
def test_what_accept_asks_for(accept, as_json, html):
    request = sent(HTTP_ACCEPT=accept)
    assert (request.wants_json, reading.accepts_html(request.environ)) == (as_json, html)
    assert sent(b"{}", "application/json", HTTP_ACCEPT=accept).wants_json


@pytest.mark.parametrize(
    ("method", "mode", "accept", "navigation"),
    [
        ("GET", None, None, True),
        ("GET", None, "", True),
        ("HEAD", None, None, True),
        ("GET", None, "text/html,*/*", True),
        ("GET", None, "*/*", False),
        ("GET", None, "*/*;q=0.9,text/html;q=0.8", False),
        ("GET", None, "application/json", False),
        ("GET", "same-origin", "text/html", True),
        ("GET", "same-origin", "*/*", False),
        ("GET", "same-origin", None, False),
        ("GET", "cors", "text/html,application/xhtml+xml", True),
        ("GET", "cors", "text/html,application/xhtml+xml;q=0", False),
        ("GET", "navigate", "*/*", True),
        ("HEAD", "navigate", "*/*", True),
        ("GET", "cors", "text/html", False),
        ("GET", "", "text/html", False),
        ("POST", "navigate", "text/html", False),
        (None, "navigate", "text/html", False),
    ],
)
def test_a_navigation_is_what_a_browser_calls_so_or_looks_like_one(method, mode, accept, navigation):
    environ = {"REQUEST_METHOD": method, "HTTP_SEC_FETCH_MODE": mode, "HTTP_ACCEPT": accept}
    assert reading.is_navigation({key: value for key, value in environ.items() if value is not None}) is navigation


# Where it came from and where to.


@each(
    "config, headers, elsewhere",
    [
        (SECURE, {}, False),
        (SECURE, {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "https://evil.example"}, False),
        (SECURE, {"HTTP_SEC_FETCH_SITE": "none"}, False),
        (SECURE, {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_ORIGIN": "https://app.example"}, True),
        (SECURE, {"HTTP_SEC_FETCH_SITE": "cross-site"}, True),
        (SECURE, {"HTTP_SEC_FETCH_SITE": ""}, True),
        (SECURE, {"HTTP_ORIGIN": "https://app.example"}, False),
        (MOUNTED, {"HTTP_ORIGIN": "https://app.example"}, False),
        (SECURE, {"HTTP_ORIGIN": "http://app.example"}, True),
        (SECURE, {"HTTP_ORIGIN": "null"}, True),
        (SECURE, {"HTTP_ORIGIN": ""}, True),
        (SECURE, {"HTTP_ORIGIN": "http://localhost"}, True),
        (PLAIN, {"HTTP_ORIGIN": "http://localhost"}, False),
        (PLAIN, {"HTTP_ORIGIN": "http://127.0.0.1:8000"}, False),
        (PLAIN, {"HTTP_ORIGIN": "http://[::1]:8000"}, False),
        (PLAIN, {"HTTP_ORIGIN": "https://localhost"}, True),
        (PLAIN, {"HTTP_ORIGIN": "http://localhost/path"}, True),
        (PLAIN, {"HTTP_ORIGIN": "http://evil.example"}, True),
        (PLAIN, {"HTTP_ORIGIN": "http://"}, True),
        (PLAIN, {"HTTP_ORIGIN": "null"}, True),
        (PLAIN, {"HTTP_ORIGIN": "http://[::1"}, True),
    ],
)
def test_a_request_from_another_origin_is_known_as_such(config, headers, elsewhere):
    assert origin.is_from_elsewhere(headers, config) is elsewhere


@each(
    "host, wrong",
    [
        (None, False),
        ("", False),
        ("localhost", False),
        ("LOCALHOST:8000", False),
        ("reports.localhost:8000", False),
        ("127.0.0.1", False),
        ("127.9.9.9:65535", False),
        ("[::1]", False),
        ("[::1]:8000", False),
        ("[0:0:0:0:0:0:0:1]:80", False),
        ("[::FFFF:10.0.0.1]", True),
        ("app.example", True),
        ("app.example:8000", True),
        ("192.0.2.1", True),
        ("localhost.app.example", True),
        ("localhost:", True),
        ("localhost:x", True),
        ("localhost:123456", True),
        ("localhost:80:80", True),
        ("localhost/", True),
        ("localhost ", True),
        ("user@localhost", True),
        ("::1", True),
        ("[localhost]", True),
    ],
)
def test_on_a_development_set_up_only_this_machine_is_the_right_host(host, wrong):
    environ = {} if host is None else {"HTTP_HOST": host}
    assert origin.names_wrong_host(environ, PLAIN) is wrong
    assert origin.names_wrong_host(environ, SECURE) is False


@pytest.mark.parametrize(
    ("script", "path", "query", "shown"),
    [
        ("", "/page", "", "/page"),
        ("/app", "/page", "", "/app/page"),
        ("//app//", "/page", "", "/app/page"),
        ("/", "/page", "", "/page"),
        ("/a/b", "/page", "", "/a/b/page"),
        ("/XaX", "/page", "", "/XaX/page"),
        ("/日報".encode().decode("latin-1"), "/page", "", "/%E6%97%A5%E5%A0%B1/page"),
        ("", "/日".encode().decode("latin-1"), "", "/%E6%97%A5"),
        ("", '/a b?c#d%"<>\\', "", "/a%20b%3Fc%23d%25%22%3C%3E%5C"),
        ("", "/a:@!$&'()*+,=~-._b;", "", "/a:@!$&'()*+,=~-._b%3B"),
        ("", "/", "a=%26&b=/?:@!$'()*+,;-._~[]", "/?a=%26&b=/?:@!$'()*+,;-._~[]"),
        ("", "/", "日".encode().decode("latin-1") + ' "#\n', "/?%E6%97%A5%20%22%23%0A"),
        ("", "/日", "日", "/%3F??"),
        ("", "", "", ""),
    ],
)
def test_the_path_asked_for_is_written_as_people_see_it(script, path, query, shown):
    environ = {"SCRIPT_NAME": script, "PATH_INFO": path, "QUERY_STRING": query}
    assert reading.path_of(environ, SECURE) == shown
    assert reading.path_of({**environ, "SCRIPT_NAME": "/other"}, MOUNTED) == "/portal" + shown.removeprefix(
        reading.root_of(environ, SECURE)
    )
    assert Request(environ, MOUNTED).root == "/portal"


def test_the_route_is_what_follows_the_prefix():
    assert Request({"PATH_INFO": "/-/auth/login"}, SECURE).route == "login"
    assert Request({"PATH_INFO": "/-/auth/reset/a.b"}, SECURE).route == "reset/a.b"
    assert Request({"PATH_INFO": "/-/auth"}, SECURE).route == ""
    assert Request({}, SECURE).route == ""


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_link_on_another_site_leads_to_our_pages(method):
    answer = ask(middleware(), method, "/-/auth/login", HTTP_SEC_FETCH_SITE="cross-site")
    assert answer.status in {200, 204}
