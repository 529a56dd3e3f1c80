"""Rows HD1-HD6: the headers of every answer of ours, whatever its status."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine

from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.testing import MemoryStore
from tests.kit import WRONG, middleware, person
from tests.security.tools import HTTPS, MARKER, Answer, Inner, ask, breakable, login, session_pair, signed_in

DAY = timedelta(days=1)
JSON = {"HTTP_ACCEPT": "application/json"}


def pages() -> list[str]:
    """What can be asked for with GET, static files aside; the links of mails are broken ones."""
    paths = [route.path for route in ROUTES if "GET" in route.views and not route.path.startswith("static/")]
    return [path.replace("<token>", "broken").replace("<id>", "1") for path in paths]


def every_answer() -> dict[str, Answer]:
    """One answer of each kind that we give, pages and JSON, by a name for the message."""
    found: dict[str, Answer] = {}
    for shape, accept in (("page", {}), ("json", JSON)):
        store = MemoryStore()
        auth = middleware(base_url=HTTPS, store=store)
        person(auth)
        disabled = person(auth, email="disabled@example.com")
        auth.accounts.set_active(disabled.id, False)
        mine = signed_in(auth)

        def keep(name, answer, status, shape=shape):
            assert answer.status == status, (name, answer.status)
            found[f"{name}, {shape}"] = answer

        for route in ("login", "logout"):
            keep(f"GET {route}", ask(auth, path=f"/-/auth/{route}", **accept), 200)
        keep("GET login signed in", ask(auth, path="/-/auth/login", cookie=mine, **accept), 303)
        keep("GET account", ask(auth, path="/-/auth/account", cookie=mine, **accept), 200)
        keep("GET session", ask(auth, path="/-/auth/session", cookie=mine, **accept), 200)
        keep("GET session as a visitor", ask(auth, path="/-/auth/session", **accept), 401)
        keep("HEAD", ask(auth, "HEAD", "/-/auth/login", **accept), 200)
        keep("OPTIONS", ask(auth, "OPTIONS", "/-/auth/login", **accept), 200)
        keep("POST login", login(auth, **accept), 200 if accept else 303)
        again = signed_in(auth)
        keep("POST logout", ask(auth, "POST", "/-/auth/logout", cookie=again, **accept), 200 if accept else 303)
        person(auth, email="kanri@example.com", role="admin")
        admin = signed_in(auth, "kanri@example.com")
        for route in pages():
            answer = ask(auth, path=f"/-/auth/{route}", cookie=admin, **accept)
            keep(f"GET {route} as an administrator", answer, 410 if "/broken" in route else answer.status)
            assert answer.status < 500
        keep("wrong", login(auth, password=WRONG, **accept), 401)
        keep("disabled", login(auth, "disabled@example.com", **accept), 403)
        for _ in range(5):
            login(auth, "locked@example.com")
        keep("locked", login(auth, "locked@example.com", **accept), 429)
        keep("cross-site", login(auth, HTTP_SEC_FETCH_SITE="cross-site", **accept), 403)
        keep("language", ask(auth, "POST", "/-/auth/language", form={"lang": "ja"}, **accept), 200 if accept else 303)
        keep("unknown language", ask(auth, "POST", "/-/auth/language", form={"lang": "xx"}, **accept), 422)
        keep("no such page", ask(auth, path="/-/auth/nothing", **accept), 404)
        keep("no such file", ask(auth, path="/-/auth/static/nothing", **accept), 404)
        keep("method", ask(auth, "PUT", "/-/auth/login", **accept), 405)
        keep("type", ask(auth, "POST", "/-/auth/login", body=b"x", CONTENT_TYPE="text/plain", **accept), 415)
        keep("too large", ask(auth, "POST", "/-/auth/login", CONTENT_LENGTH="99999999", **accept), 413)
        keep("broken", ask(auth, "POST", "/-/auth/login", CONTENT_LENGTH="x", **accept), 400)
        keep("ended", ask(auth, "POST", "/page", form={}, **accept), 401)
        keep("challenge", ask(auth, **accept), 401 if accept else 303)
        local = middleware(base_url="http://localhost")
        keep("wrong host", ask(local, path="/-/auth/login", HTTP_HOST="app.example", **accept), 400)
        breakable(store, StoreUnavailable).broken = {"*"}
        keep("outage on our page", ask(auth, path="/-/auth/login", cookie=mine, **accept), 503)
        keep("outage at sign-in", login(auth, **accept), 503)
        keep("outage on the app's page", ask(auth, cookie=mine, **accept), 503)
        keep("POST logout in an outage", ask(auth, "POST", "/-/auth/logout", cookie=mine, **accept), 503)
    return found


@pytest.fixture(scope="module")
def answers():
    return every_answer()


def policy_of(answer: Answer) -> dict[str, list[str]]:
    (line,) = answer.all("Content-Security-Policy")
    return {words[0]: words[1:] for words in (part.split() for part in line.split(";")) if words}


def kept_for(headers: list[tuple[str, str]], days: int = 31) -> Answer:
    """What the app's own answer looks like to a person whose cookie is due again."""
    auth = middleware(Inner([("Content-Type", "text/plain"), *headers]), base_url=HTTPS)
    person(auth)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        mine = signed_in(auth)
        clock.shift(days * DAY)
        return ask(auth, cookie=mine)


def test_hd1_every_answer_of_ours_is_stored_nowhere(answers):
    for name, answer in answers.items():
        assert answer.all("Cache-Control") == ["no-store"], name


@pytest.mark.parametrize(
    "cache", ["public, max-age=3600", "max-age=3600,public", "s-maxage=1", "Public", "private, s-maxage=60"]
)
def test_hd1_a_cookie_due_is_withheld_from_an_answer_for_all(cache):
    answer = kept_for([("Cache-Control", cache)])
    assert answer.all("Set-Cookie") == []
    assert answer.get("Cache-Control").startswith("private")
    split = kept_for([("Cache-Control", "max-age=60"), ("cache-control", cache)])
    assert split.all("Set-Cookie") == []


def test_hd1_a_cookie_due_makes_the_answer_a_private_one():
    answer = kept_for([])
    assert session_pair(answer)
    assert (answer.get("Cache-Control"), answer.get("Vary")) == ("private, no-cache", "Cookie")


@pytest.mark.parametrize("cache", ["no-store", "private, max-age=60", "private", "no-cache, publicity=1", "x-public"])
def test_hd1_the_apps_own_word_on_caching_stays(cache):
    answer = kept_for([("Cache-Control", cache), ("Vary", "Accept-Language")])
    assert session_pair(answer)
    assert answer.get("Cache-Control").removeprefix("private, ") == cache.removeprefix("private, ")
    assert {name.strip().lower() for name in answer.get("Vary").split(",")} == {"accept-language", "cookie"}


@pytest.mark.parametrize("vary", ["Cookie", "cookie, Accept", "*"])
def test_hd1_vary_is_not_said_twice(vary):
    assert kept_for([("Vary", vary)]).all("Vary") == [vary]


def test_hd1_the_apps_answer_is_only_made_private_while_nothing_is_due():
    given = [
        ("Content-Type", "text/plain"),
        ("X-Own", "1"),
        ("X-Own", "2"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "a=2"),
    ]
    for days in (0, 29):
        assert kept_for(given[1:], days).headers == [*given, ("Cache-Control", "private, no-cache"), ("Vary", "Cookie")]
    auth = middleware(Inner(given), public_paths=("/*",))
    assert ask(auth).headers == given, "nor for a visitor"


def test_hd2_the_policy_lets_in_nothing_but_our_own_files(answers):
    for name, answer in answers.items():
        policy = policy_of(answer)
        assert policy["default-src"] == ["'none'"], name
        assert policy["base-uri"] == policy["frame-ancestors"] == ["'none'"], name
        assert policy["form-action"] == ["'self'"], name
        for sources in policy.values():
            assert sources in (["'self'"], ["'none'"]), name
        assert policy.get("object-src", policy["default-src"]) == ["'none'"]
        assert answer.all("X-Frame-Options") == ["DENY"], name
        for inline in (r"<script(?![^>]*\bsrc=)", r"<style", r"\son[a-z]+\s*=", r"\sstyle\s*=", r"javascript:"):
            assert not re.search(inline, answer.text, re.IGNORECASE), (name, inline)


def test_hd7_no_page_of_another_origin_sees_what_loads(answers):
    for name, answer in answers.items():
        assert answer.all("Cross-Origin-Resource-Policy") == ["same-origin"], name


def test_hd3_types_are_said_and_not_guessed(answers):
    for name, answer in answers.items():
        assert answer.all("X-Content-Type-Options") == ["nosniff"], name
        # The address of a mailed link is a secret, and `same-origin` would send it along to the app's own pages.
        assert answer.all("Referrer-Policy") == ["strict-origin" if "/broken" in name else "same-origin"], name
        assert answer.all("Cross-Origin-Opener-Policy") == ["same-origin"], name
        (kind,) = answer.all("Content-Type")
        kinds = {"text/html; charset=utf-8", "application/json", "application/problem+json"}
        others = {".csv": "text/csv; charset=utf-8", "GET logout/forget": "image/svg+xml"}
        assert kind in ({other for part, other in others.items() if part in name} or kinds), name
        assert len(answer.all("Content-Length")) == (".csv" not in name), name
        assert len({n.lower() for n, _ in answer.headers} - {"set-cookie"}) == len(
            [n for n, _ in answer.headers if n.lower() != "set-cookie"]
        ), name


def test_hd3_a_static_file_is_typed_and_is_no_document():
    auth = middleware(base_url=HTTPS)
    paths = re.findall(r'(?:href|src)="(/-/auth/static/[^"]+)"', ask(auth, path="/-/auth/login").text)
    assert len(paths) == 6
    for path in paths:
        answer = ask(auth, path=path)
        assert (answer.status, answer.get("X-Content-Type-Options")) == (200, "nosniff")
        assert re.match(r"text/(css|javascript)|image/(svg\+xml|png)\Z", answer.get("Content-Type"))
        assert answer.get("Content-Security-Policy") == "default-src 'none'; sandbox"
        assert answer.all("Set-Cookie") == []


def test_hd4_hd5_transport_and_wiping_are_the_hosts_business(answers):
    for name, answer in answers.items():
        assert answer.all("Strict-Transport-Security") == [], name
        assert answer.all("Clear-Site-Data") == [], name


def test_hd5_the_page_after_sign_out_makes_the_browser_forget_pages_and_nothing_else():
    auth = middleware()
    person(auth)
    for site, sent in (("same-origin", ['"cache"']), ("cross-site", []), ("same-site", []), ("none", []), (None, [])):
        out = ask(auth, "POST", "/-/auth/logout", cookie=signed_in(auth), HTTP_SEC_FETCH_SITE=None)
        assert out.all("Clear-Site-Data") == []
        flash = f"nipo_flash={out.cookies['nipo_flash']}"
        (image,) = re.findall(r'<img src="([^"]+)"', ask(auth, path="/-/auth/login", cookie=flash).text)
        assert ask(auth, path=image, HTTP_SEC_FETCH_SITE=site).all("Clear-Site-Data") == sent
    assert "<img" not in ask(auth, path="/-/auth/login").text


def test_hd6_no_answer_tells_what_runs_here(answers):
    for name, answer in answers.items():
        told = answer.text + str(answer.headers)
        for word in ("traceback", MARKER, "werkzeug", "python", "site-packages", "jinja", "debugger", "0.1.0"):
            assert word not in told.lower(), (name, word)
        # A token may hold the letters, so what ends a file's name is looked for as well.
        assert not re.search(r"\.pyc?[\s\"':,;)]", told), name
        assert answer.all("Server") == answer.all("X-Powered-By") == []


@pytest.mark.parametrize("error", [StoreUnavailable, RuntimeError, KeyError, RecursionError, MemoryError, UnicodeError])
def test_hd6_whatever_fails_in_us_is_a_plain_503(error, caplog):
    store = MemoryStore()
    auth = middleware(store=store)
    person(auth)
    mine = signed_in(auth)
    failing = breakable(store, error)
    for broken in (
        "find_by_email",
        "find_session_with_account",
        "open_session",
        "end_session",
        "sessions_of",
        "account_state",
        "events",
    ):
        failing.broken = {broken}
        for answer in (
            ask(auth, cookie=mine),
            ask(auth, path="/-/auth/login", cookie=mine),
            ask(auth, path="/-/auth/account", cookie=mine),
            ask(auth, path="/-/auth/session", cookie=mine),
            login(auth),
            login(auth, cookie=mine),
            ask(auth, "POST", "/-/auth/logout", cookie=mine),
        ):
            assert answer.status in {200, 303, 503}
            assert answer.status != 503 or answer.get("Retry-After")
            assert MARKER not in answer.text
            assert "Traceback" not in answer.text
        failing.broken = set()
        mine = signed_in(auth)
    told = "".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records)
    assert MARKER not in told, "nor does the log get a message that may hold what was typed"
