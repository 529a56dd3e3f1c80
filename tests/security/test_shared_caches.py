"""Row RU29: no page of a signed-in user comes out of a shared cache to anyone else."""

from __future__ import annotations

import functools

import pytest

from tests.each import each
from tests.kit import middleware, person
from tests.security.tools import Inner, ask, signed_in

HTML = ("Content-Type", "text/html; charset=utf-8")
CSS = ("Content-Type", "text/css")
YEAR = "public, max-age=31536000, immutable"
# What the app says, and what leaves.
SAID = [
    (None, "private, no-cache"),
    ("public", "private"),
    ("public, max-age=60", "private, max-age=60"),
    ("PUBLIC,Max-Age=60", "private, max-age=60"),
    ("s-maxage=60", "private"),
    ("max-age=5 , s-maxage = 60", "private, max-age=5"),
    ('max-age=5, s-maxage="60"', "private, max-age=5"),
    ("max-age=60", "private, max-age=60"),
    ("max-age=60, immutable, stale-while-revalidate=30", "private, max-age=60, immutable, stale-while-revalidate=30"),
    ("no-cache", "private, no-cache"),
    ("must-revalidate, proxy-revalidate", "private, must-revalidate, proxy-revalidate"),
    ("private", "private"),
    ("Private, max-age=60", "Private, max-age=60"),
    ("private, public, max-age=60", "private, max-age=60"),
    ("private, s-maxage=60", "private"),
    ('private="Set-Cookie", max-age=60', "private, max-age=60"),
    ('no-cache="Set-Cookie", max-age=60', 'private, no-cache="Set-Cookie", max-age=60'),
    ("no-store", "no-store"),
    ("no-store, max-age=0", "no-store, max-age=0"),
    ("public, no-store", "no-store"),
    ("no-store=1, max-age=60", "private, no-store=1, max-age=60"),
    ("", "private, no-cache"),
    (",, ,", "private"),
    ("own, own=1, own=\"a, public\", x='y'", "private, own, own=1, own=\"a, public\", x='y'"),
    ('own="a, public, max-age=60', "private, no-cache"),
    ('public "max-age=60"', "private, no-cache"),
    ("publicity, xs-maxage=60", "private, publicity, xs-maxage=60"),
]


INNER = Inner()


@functools.cache
def house():
    """One for all answers, and the cookie of its user's session."""
    auth = middleware(INNER, public_paths=["/open/*"])
    person(auth)
    return auth, signed_in(auth)


def answered(*headers, path="/page", status="200 OK", **more):
    """The answer to a session, of an app that sends these headers."""
    INNER.headers, INNER.status = list(headers) or [HTML], status
    auth, cookie = house()
    return ask(auth, path=path, cookie=cookie, **more)


@pytest.mark.parametrize("path", ["/page", "/open/page"])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "302 Found"])
@each("told, leaves", SAID)
def test_ru29_an_answer_to_a_session_is_private(told, leaves, path, status):
    answer = answered(HTML, *([("cache-control", told)] if told is not None else []), path=path, status=status)
    assert answer.all("Cache-Control") == [leaves]
    assert answer.all("Vary") == ["Cookie"]


def test_ru29_several_lines_count_as_one():
    answer = answered(
        HTML, ("Cache-Control", "max-age=60"), ("Cache-Control", "public"), ("Vary", "Accept"), ("Vary", "X")
    )
    assert answer.all("Cache-Control") == ["private, max-age=60"]
    assert answer.all("Vary") == ["Accept, X, Cookie"]


@pytest.mark.parametrize("vary", ["*", "Cookie", "Accept, cookie", "COOKIE , X"])
def test_ru29_a_vary_that_says_so_stays(vary):
    assert answered(HTML, ("Vary", vary)).all("Vary") == [vary]


TARGETED = ["CDN-Cache-Control", "Surrogate-Control", "Cloudflare-CDN-Cache-Control", "Vercel-CDN-Cache-Control"]
TARGETED += ["Netlify-CDN-Cache-Control", "X-LiteSpeed-Cache-Control", "Akamai-Cache-Control", "Edge-Control"]


@pytest.mark.parametrize("name", [*TARGETED, "cdn-cache-control", "Some-Cache-Control"])
@pytest.mark.parametrize("path", ["/page", "/open/page"])
def test_ru29_no_header_for_one_cache_undoes_it(name, path):
    for value in ("public, max-age=60", "max-age=60", "s-maxage=60", "", "!junk", 'private="Set-Cookie", max-age=60'):
        for cache in ([], [("Cache-Control", "private")], [("Cache-Control", "no-store")]):
            answer = answered(HTML, *cache, (name, value), path=path)
            assert answer.all(name) == [], value
            assert answer.get("Cache-Control").startswith(("private", "no-store"))
    for value in ("no-store", "private, max-age=60"):
        assert answered(HTML, (name, value), path=path).all(name) == [value], "what is stricter stays"


@pytest.mark.parametrize("value", ["60", "@1800000000", "public"])
def test_ru29_nor_does_nginxs_own(value):
    assert answered(HTML, ("X-Accel-Expires", value)).all("X-Accel-Expires") == []
    assert answered(HTML, ("X-Accel-Expires", "0")).all("X-Accel-Expires") == ["0"]


def test_ru29_what_the_app_said_of_the_browsers_cache_stays():
    """An asset of a protected path is kept by the browser, and checked by ETag or kept for its time."""
    etag, modified = ("ETag", '"1"'), ("Last-Modified", "Mon, 23 Nov 2026 00:00:00 GMT")
    assert answered(CSS, etag, modified).get("Cache-Control") == "private, no-cache"
    assert answered(CSS, ("Cache-Control", YEAR)).get("Cache-Control") == "private, max-age=31536000, immutable"
    expires = ("Expires", "Mon, 23 Nov 2037 00:00:00 GMT")
    answer = answered(CSS, etag, expires)
    assert (answer.get("Cache-Control"), answer.get("Expires")) == ("private", expires[1])
    not_modified = answered(etag, status="304 Not Modified")
    assert (not_modified.all("Cache-Control"), not_modified.get("Vary")) == ([], "Cookie")
    assert answered(etag, ("Cache-Control", YEAR), status="304 Not Modified").get("Cache-Control").startswith("private")


@pytest.mark.parametrize(
    "kind", ["text/css", "application/javascript", "image/png", "font/woff2", "IMAGE/PNG", "video/mp4"]
)
def test_ru29_an_asset_of_a_public_path_stays_in_shared_caches_when_its_app_says_so(kind):
    told = [("Content-Type", kind), ("Cache-Control", YEAR), ("CDN-Cache-Control", "max-age=60")]
    assert answered(*told, path="/open/app.css").headers == told
    assert answered(*told[1:], path="/open/app.css", status="304 Not Modified").headers == told[1:]
    assert answered(*told, path="/page").get("Cache-Control").startswith("private")
    assert answered(*told, path="/open//app.css").get("Cache-Control").startswith("private"), "an odd spelling"
    unsaid = answered(told[0], path="/open/me.png")
    assert (unsaid.get("Cache-Control"), unsaid.get("Vary")) == ("private, no-cache", "Cookie")
    assert answered(told[0], ("Cache-Control", "max-age=60"), path="/open/me.png").get("Cache-Control")[:7] == "private"


@pytest.mark.parametrize("cookie", ["", "nipo_auth=forged"])
def test_ru29_a_visitors_answer_is_the_apps_own(cookie):
    told = [HTML, ("Cache-Control", "public, max-age=60"), ("Surrogate-Control", "max-age=60")]
    auth = middleware(Inner(told), public_paths=["/open/*"])
    assert ask(auth, path="/open/page", cookie=cookie).headers == told
    challenge = ask(auth, path="/page", cookie=cookie)
    assert (challenge.status, challenge.get("Cache-Control")) == (303, "no-store")


def test_ru29_lazy_apps_and_second_starts_are_private_too():
    def app(environ, start_response):
        start_response("200 OK", [HTML, ("Cache-Control", "public")])
        try:
            raise KeyError("late")
        except KeyError:
            import sys

            start_response("500 Internal Server Error", [HTML, ("Cache-Control", "public")], sys.exc_info())
        yield b"page"

    auth = middleware(app)
    person(auth)
    answer = ask(auth, cookie=signed_in(auth))
    assert (answer.status, answer.get("Cache-Control"), answer.get("Vary")) == (500, "private", "Cookie")
