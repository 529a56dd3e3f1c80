"""Rows BD1-BD8: methods, lengths, types and bodies of requests to our own pages; the app's are never touched."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.testing import fast_hasher
from tests.each import each
from tests.kit import PASSWORD, SpyHasher, events, middleware, person
from tests.security.corpora.bodies import FORMS, JSON, LENGTHS, ODD_PARAMETERS, OTHER_TYPES
from tests.security.tools import FORM, Inner, ask, login, rows, signed_in

CAP = 64 * 1024
GOOD = b"email=tanaka%40example.com&password=" + PASSWORD.encode()
POSTS = ("login", "logout", "language")


class Stream(io.RawIOBase):
    """An endless body that counts what is read of it, or one that fails."""

    def __init__(self, error: Exception | None = None, ends_after: int = 10**12) -> None:
        self.error, self.left, self.taken = error, ends_after, 0

    def read(self, size: int = -1) -> bytes:
        if self.error is not None:
            raise self.error
        assert size >= 0, "reading to the end may never come back"
        got = min(size, self.left)
        self.left -= got
        self.taken += got
        return b"a" * got


@pytest.fixture
def auth():
    auth = middleware()
    person(auth)
    return auth


def failures(auth) -> int:
    return len(events(auth, "sign_in_failed", "signed_in"))


@pytest.mark.parametrize(
    "method",
    ["PUT", "PATCH", "DELETE", "TRACE", "TRACK", "CONNECT", "GeT", "post", "FOO\x00", "FOO", "", "GET ", "POST\n"],
)
def test_bd1_other_methods_are_refused_and_told_which_will_do(auth, method):
    for route, allowed in (("login", {"GET", "HEAD", "POST", "OPTIONS"}), ("language", {"POST", "OPTIONS"})):
        answer = ask(auth, method, f"/-/auth/{route}", body=GOOD, CONTENT_TYPE=FORM, HTTP_X_MARKER="marker")
        assert answer.status in {405, 501}
        assert {name.strip() for name in answer.get("Allow").split(",")} == allowed
        assert "marker" not in answer.text
    assert (rows(auth), failures(auth)) == (0, 0)


def test_bd1_head_is_get_without_a_body_and_options_is_harmless(auth):
    mine = signed_in(auth)
    for route in ("login", "logout", "account", "session", "static/x.css", "nothing"):
        read, head = (ask(auth, method, f"/-/auth/{route}", cookie=mine) for method in ("GET", "HEAD"))
        assert (head.status, head.body) == (read.status, b"")
        assert [pair for pair in head.headers if pair[0] != "Date"] == [
            pair for pair in read.headers if pair[0] != "Date"
        ]
        options = ask(auth, "OPTIONS", f"/-/auth/{route}", cookie=mine, body=GOOD, CONTENT_TYPE=FORM)
        assert options.status in {200, 204, 404}
        assert options.all("Set-Cookie") == []
    assert rows(auth) == 1


@pytest.mark.parametrize("kind", [FORM, "application/json", "multipart/form-data; boundary=x", "text/plain"])
@pytest.mark.parametrize("length", [CAP + 1, 10**7, 10**8, 9_999_999_999])
def test_bd2_a_big_body_is_refused_unread(auth, kind, length):
    stream = Stream()
    began = time.thread_time()
    for route in POSTS:
        answer = ask(
            auth, "POST", f"/-/auth/{route}", CONTENT_TYPE=kind, CONTENT_LENGTH=str(length), **{"wsgi.input": stream}
        )
        assert answer.status in {413, 415}
    assert stream.taken <= CAP + 1
    assert time.thread_time() - began < 0.3


@pytest.mark.parametrize("body", FORMS, ids=range(len(FORMS)))
def test_bd2_too_many_fields_broken_text_and_fields_given_twice_are_refused(auth, body):
    began = time.thread_time()
    assert ask(auth, "POST", "/-/auth/login", body=body, CONTENT_TYPE=FORM).status in {400, 413}
    assert time.thread_time() - began < 0.2
    assert failures(auth) == 0


def test_bd2_pw14_one_field_of_the_whole_body_is_a_wrong_password_without_a_hash():
    spy = SpyHasher(fast_hasher())
    auth = middleware(hasher=spy)
    person(auth)
    answer = login(auth, password="x" * 60_000)
    assert (answer.status, spy.verified) == (401, [])
    assert login(auth, password="x" * 10_000_000).status == 413


@pytest.mark.parametrize("body", [b"\r" * 60_000, b"--x\r\n" * 10_000, b"\r\n--x" + b"\n" * 60_000])
def test_bd2_multipart_is_not_read_at_all(auth, body):
    began = time.thread_time()
    assert ask(auth, "POST", "/-/auth/login", body=body, CONTENT_TYPE="multipart/form-data; boundary=x").status == 415
    assert time.thread_time() - began < 0.2


@pytest.mark.parametrize("length", LENGTHS)
def test_bd3_a_length_is_ascii_digits_and_nothing_else(auth, length):
    for route in POSTS:
        answer = ask(auth, "POST", f"/-/auth/{route}", body=GOOD, CONTENT_TYPE=FORM, CONTENT_LENGTH=length)
        assert answer.status in {400, 411, 413}
    assert (rows(auth), failures(auth)) == (0, 0)


@pytest.mark.parametrize("length", ["", None, "0", "00"])
def test_bd3_no_length_is_an_empty_form(auth, length):
    answer = ask(auth, "POST", "/-/auth/login", body=GOOD, CONTENT_TYPE=FORM, CONTENT_LENGTH=length)
    assert answer.status == 401
    assert ask(auth, "POST", "/-/auth/logout", CONTENT_LENGTH=length, CONTENT_TYPE="text/odd").status == 303


@pytest.mark.parametrize(
    "broken",
    [
        {"CONTENT_LENGTH": "1000", "wsgi.input": io.BytesIO(b"email=a")},
        {"CONTENT_LENGTH": "1000", "wsgi.input": Stream(ends_after=10)},
        {"CONTENT_LENGTH": "10", "wsgi.input": Stream(OSError("request data read error"))},
        {"CONTENT_LENGTH": "10", "wsgi.input": Stream(ConnectionResetError())},
        {"CONTENT_LENGTH": "10", "wsgi.input": Stream(TimeoutError())},
        {"CONTENT_LENGTH": None, "wsgi.input_terminated": True, "wsgi.input": Stream(OSError("Invalid chunk header"))},
        {"CONTENT_LENGTH": None, "wsgi.input_terminated": True, "wsgi.input": Stream(Exception("a server's own"))},
        {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Stream()},
    ],
    ids=range(8),
)
def test_bd4_a_short_broken_or_endless_body_is_refused_and_counts_for_nobody(auth, broken):
    for kind in (FORM, "application/json"):
        assert ask(auth, "POST", "/-/auth/login", CONTENT_TYPE=kind, **broken).status == 400
    assert failures(auth) == 0


@each("kind", OTHER_TYPES)
def test_bd5_other_types_are_refused(auth, kind):
    began = time.thread_time()
    for body in (GOOD, b'{"email": "tanaka@example.com", "password": "%s"}' % PASSWORD.encode()):
        for route in POSTS:
            assert ask(auth, "POST", f"/-/auth/{route}", body=body, CONTENT_TYPE=kind).status in {400, 415}
    assert time.thread_time() - began < 0.5
    assert (rows(auth), failures(auth)) == (0, 0)


@pytest.mark.parametrize("kind", ODD_PARAMETERS)
def test_bd5_the_senders_charset_is_not_believed(auth, kind):
    assert ask(auth, "POST", "/-/auth/login", body=GOOD, CONTENT_TYPE=kind).status in {303, 400, 415}
    utf7 = b"email=%2BAHQ-anaka%40example.com&password=" + PASSWORD.encode()
    assert ask(auth, "POST", "/-/auth/login", body=utf7, CONTENT_TYPE=kind).status != 303
    utf16 = GOOD.decode().encode("utf-16")
    assert ask(auth, "POST", "/-/auth/login", body=utf16, CONTENT_TYPE=kind).status in {400, 401, 415}


@pytest.mark.parametrize("byte", [b"\xff", b"\xc0\xae", b"\xed\xa0\x80", b"\xe3\x81", b"\x8a\xa0"])
def test_bd5_what_is_no_utf_8_is_refused_and_counts_for_nobody(auth, byte):
    spelt = "".join(f"%{number:02x}" for number in byte).encode()
    for kind, body in (
        (FORM, b"password=x&email=tanaka" + byte),
        (FORM, b"password=x&email=tanaka" + spelt),
        (f"{FORM}; charset=iso-8859-1", b"password=x&email=tanaka" + byte),
        (f"{FORM}; charset=iso-8859-1", b"password=x&email=tanaka" + spelt),
        ("application/json", b'{"password": "x", "email": "tanaka' + byte + b'"}'),
        ("application/json; charset=iso-8859-1", b'{"password": "x", "email": "tanaka' + byte + b'"}'),
    ):
        assert ask(auth, "POST", "/-/auth/login", body=body, CONTENT_TYPE=kind).status == 400
    assert failures(auth) == 0


@each("body", JSON)
def test_bd6_json_that_readers_disagree_about_is_refused(auth, body):
    for route in POSTS:
        answer = ask(auth, "POST", f"/-/auth/{route}", body=body, CONTENT_TYPE="application/json")
        refused = (400, 401, 422) if body == b'{"email": "\x00"}' else (400,)
        assert answer.status in refused
        assert answer.code
    assert rows(auth) == 0


def test_bd7_query_and_body_are_never_mixed(auth):
    query = GOOD.decode()
    for body, kind in ((b"", None), (b"", FORM), (b"remember=1", FORM), (b"{}", "application/json")):
        answer = ask(auth, "POST", "/-/auth/login", query=query, body=body, CONTENT_TYPE=kind)
        assert (answer.status, answer.all("Set-Cookie")) == (401, [])
    half = ask(auth, "POST", "/-/auth/login", query="password=" + PASSWORD, form={"email": "tanaka@example.com"})
    assert half.status == 401
    for twice in (GOOD + b"&email=tanaka%40example.com", GOOD + b"&password=x", b"password=x&" + GOOD):
        assert ask(auth, "POST", "/-/auth/login", body=twice, CONTENT_TYPE=FORM).status == 400
    assert rows(auth) == 0


def test_bd8_the_apps_bodies_are_not_touched():
    got = []

    def inner(environ, start_response):
        got.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    auth = middleware(inner, public_paths=("/open/*",))
    person(auth)
    body = bytes(range(256)) * 4096
    for cookie, path in ((signed_in(auth), "/page"), ("", "/open")):
        for kind in (FORM, "application/json", "multipart/form-data; boundary=x", None):
            assert ask(auth, "POST", path, body=body, CONTENT_TYPE=kind, cookie=cookie).status == 200
    assert got == [body] * 8


def test_bd8_a_body_that_fails_is_not_read_by_us():
    class Unreadable:
        def __getattr__(self, name):
            raise AssertionError(name)

    auth = middleware(Inner(), public_paths=("/open/*",))
    person(auth)
    broken = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000", "CONTENT_TYPE": FORM}
    for cookie, path, status in ((signed_in(auth), "/page", 200), ("", "/open", 200), ("", "/page", 401)):
        assert ask(auth, "POST", path, cookie=cookie, **broken).status == status


class Held(io.BytesIO):
    """A body of which nothing comes until `meanwhile` has been called, once."""

    def __init__(self, body: bytes, meanwhile) -> None:
        super().__init__(body)
        self.meanwhile = meanwhile

    def read(self, size: int = -1) -> bytes:
        self.meanwhile()
        self.meanwhile = lambda: None
        return super().read(size)


def held(auth, path, form, meanwhile, **more):
    body = urlencode(form).encode()
    stream = {"wsgi.input": Held(body, meanwhile), "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": FORM}
    return ask(auth, "POST", path, **stream, **more)


def test_bd4_a_body_that_is_held_back_holds_up_nobody_else(auth):
    comes = threading.Event()
    with ThreadPoolExecutor(1) as server:
        slow = server.submit(held, auth, "/-/auth/language", {"lang": "ja"}, lambda: comes.wait(30))
        began = time.monotonic()
        assert login(auth).status == 303
        assert time.monotonic() - began < 15
        comes.set()
        assert slow.result().status == 303


BACKDOOR = {"email": "backdoor@example.com", "role": "admin", "password": "midori-no-oka-to-kaze"}


@pytest.mark.parametrize(
    ("path", "form", "meanwhile"),
    [
        ("/-/auth/staff/create", BACKDOOR, lambda accounts: accounts.set_active("2", False)),
        ("/-/auth/staff/create", BACKDOOR, lambda accounts: accounts.set_role("2", "staff")),
        ("/-/auth/staff/1/password", {"password": "midori-no-oka-to-kaze"}, lambda a: a.set_role("2", "staff")),
        (
            "/-/auth/account/profile",
            {"notify_email": "thief@example.com"},
            lambda a: a.set_password("2", PASSWORD + "!"),
        ),
        ("/-/auth/account/profile", {"notify_email": "thief@example.com"}, lambda a: a.delete("2")),
        ("/-/auth/account/sessions/end", {"all": "1"}, lambda accounts: accounts.set_active("2", False)),
    ],
)
def test_se7_se9_ad3_a_body_that_was_held_back_has_no_power_that_its_sender_lost(auth, path, form, meanwhile):
    person(auth, "boss@example.com", role="admin")
    mine = signed_in(auth, "boss@example.com")
    person(auth, "another@example.com", role="admin")
    done = ("account_created", "profile_changed", "notify_email_changed")
    before = len(events(auth, *done))
    answer = held(auth, path, form, lambda: meanwhile(auth.accounts), cookie=mine, HTTP_ACCEPT="application/json")
    assert answer.status in {401, 403}
    assert len(events(auth, *done)) == before
    assert auth.accounts.find("backdoor@example.com") is None
    assert login(auth).status == 303


def route_to_post(path: str) -> str:
    return "/-/auth/" + "/".join("x" if part.startswith("<") else part for part in path.split("/"))


POSTED = [route_to_post(route.path) for route in ROUTES if "POST" in route.views]


@pytest.mark.parametrize("path", POSTED)
def test_ru14_a_body_without_a_length_counts_as_one_with_a_length(auth, path):
    """gunicorn marks the end of each body, of one that is not there too (RFC 9112, section 6.3)."""
    ended = {"CONTENT_LENGTH": None, "wsgi.input_terminated": True}
    for kind in (FORM, "application/json"):
        for body in (b"", GOOD if kind == FORM else b"{}"):
            plain = ask(auth, "POST", path, body=body, CONTENT_TYPE=kind)
            told = {} if not body else {"HTTP_TRANSFER_ENCODING": "chunked"}
            other = ask(auth, "POST", path, body=body, CONTENT_TYPE=kind, **ended, **told)
            assert (other.status, other.get("Location")) == (plain.status, plain.get("Location"))


@each("path", POSTED)
def test_ru14_a_body_over_the_cap_is_refused_wherever_it_ends(auth, path):
    mine = signed_in(auth)
    for endless in (Stream(), Stream(ends_after=CAP + 1)):
        ended = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": endless}
        answer = ask(auth, "POST", path, CONTENT_TYPE=FORM, cookie=mine, HTTP_ACCEPT="application/json", **ended)
        assert endless.taken == CAP + 1, "no more is read"
        assert answer.status in {403, 404, 410, 413}, "the rights are looked at before the fields"
    exactly = Stream(ends_after=CAP)
    ended = {"wsgi.input_terminated": True, "wsgi.input": exactly}
    assert ask(auth, "POST", path, CONTENT_TYPE=FORM, cookie=mine, **ended).status != 413


def test_ru14_sign_in_over_the_cap_is_413(auth):
    ended = {"wsgi.input_terminated": True, "wsgi.input": Stream()}
    assert ask(auth, "POST", "/-/auth/login", CONTENT_TYPE=FORM, **ended).status == 413
