"""Row RU16: links and pages bear what mail programs, trackers and browsers do to them."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import pytest

from nipo_auth_mw._flows.invitations import invite
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._web.mail_links import token_in
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.testing import link_in
from tests.kit import PASSWORD, browser, events, middleware, person
from tests.security.test_returning import WINDOW
from tests.security.tools import HTTPS, ask, login, signed_in

NEW = "another-" + PASSWORD
MAILED = [route for route in ROUTES if route.mailed]

# What stands after a link in a mail, as the browser sends it: percent-encoded once.
AFTER = [
    "/",
    "//",
    ".",
    "..",
    ",",
    ";",
    ":",
    "!",
    ")",
    "]",
    "}",
    ">",
    "&gt;",
    "%3E",
    '"',
    "'",
    "”",
    "’",
    "。",
    "、",
    "」",
    "＞",
    "）",
]
AFTER += [
    "です",
    " ",
    "  ",
    "\u3000",
    "\u00a0",
    "\u200b",
    "\ufeff",
    "\t",
    "\r\n",
    "\n",
    "%0D%0A",
    "=",
    "=\r\n",
    "=3D",
    "*",
    "~",
    "|",
    "/.",
]
AFTER += [" click here", ">click here</a>", "/index.html", "<br>", "\\", "%", "%2", "%20", "%252F", "%25252F"]


@pytest.fixture
def auth(mailer):
    auth = middleware(base_url=HTTPS, mailer=mailer)
    person(auth)
    return auth


def path_of(mail):
    return link_in(mail).removeprefix(HTTPS)


def links(auth, mailer):
    """A link of each kind that mails hold, by the route that it leads to."""
    ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
    change = {"email": "hanako@example.com", "password": PASSWORD}
    ask(auth, "POST", "/-/auth/account/email", form=change, cookie=signed_in(auth))
    guest = auth.accounts.find("guest@example.com") or person(auth, "guest@example.com", password=None)
    invite(auth._services, guest.id, actor=Actor("script"))
    paths = [path_of(mail) for mail in mailer.outbox if "/-/auth/" in mail.text and link_in(mail)]
    return {route.path: next(path for path in paths if f"/{route.path.partition('<')[0]}" in path) for route in MAILED}


def as_sent(path):
    """PATH_INFO of a path that a browser encodes, as WSGI holds it."""
    return unquote(quote(path, safe="/%"), "latin-1")


@pytest.mark.parametrize("route", MAILED, ids=lambda route: route.path)
def test_ru16_a_link_bears_what_follows_it(auth, mailer, route):
    path = links(auth, mailer)[route.path]
    for after in AFTER:
        answer = ask(auth, path=as_sent(path + after))
        assert answer.status == 200, after
        assert f'action="{path}"' in answer.text, "its form leads to the link itself"


def test_ru16_a_link_bears_what_comes_into_it(auth, mailer):
    path = links(auth, mailer)["reset/<token>"]
    head, _, token = path.rpartition("/")
    for between in ("\r\n", "\n", "%0A", " ", "=\r\n", "\u200b", "\u00ad", "\u2060", " \n "):
        broken = "".join(token[start : start + 30] + between for start in range(0, len(token), 30))
        assert ask(auth, path=as_sent(f"{head}/{broken}")).status == 200, repr(between)
    for spelling in (
        token.replace(".", "%2E"),
        token.replace(".", "%252E"),
        "/" + token,
        "<" + token + ">",
        token + "?",
    ):
        assert ask(auth, path=as_sent(f"{head}/{spelling}")).status == 200, spelling
    assert ask(auth, "POST", as_sent(path + "。"), form={"password": NEW}).get("Location") == "/-/auth/login"
    assert login(auth, password=NEW).status == 303


@pytest.mark.parametrize(
    "odd", ["", "/", ".", "...", "\x00", "\xff\xfe", "%", "a" * 100_000, "日本", "<script>", "🙂" * 5000]
)
def test_ru16_what_holds_no_token_opens_nothing(auth, odd):
    for route in MAILED:
        answer = ask(auth, path=as_sent("/-/auth/" + route.path.replace("<token>", odd)))
        assert answer.status == 410
        assert "<script>" not in answer.text


def test_ru16_a_token_is_found_or_the_text_is_no_token():
    signature = "s" * 43
    assert token_in(f"MQ.1.a.{signature}。次") == f"MQ.1.a.{signature}"
    assert token_in(f"MQ.1.a.{signature} and more") == f"MQ.1.a.{signature}"
    assert token_in("cut.off) and more") == "cut.off"


PAGES = [route for route in ROUTES if "GET" in route.views and route.page and "<" not in route.path]
QUERIES = [
    "utm_source=mail&utm_medium=a",
    "a=1&a=2&a=3",
    "q=%93%fa%95%f1",
    "%93%fa=%95%f1&%93%fa=1",
    "fbclid=x&gclid=y&mc_eid=",
    "&".join(f"f{n}=1" for n in range(500)),
    "=&&;&=x",
    "next=/a&next=/b",
    "next=%93%fa",
    "x=%",
    "x=%ZZ&y=%u3042",
    "lang=ja&lang=en",
]


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.path)
def test_ru16_a_page_bears_a_query_that_it_does_not_need(auth, route):
    auth.accounts.set_role(auth.accounts.find("tanaka@example.com").id, "admin")
    mine = "" if route.path == "login" else signed_in(auth)
    plain = ask(auth, path=f"/-/auth/{route.path}", cookie=mine)
    for query in QUERIES:
        answer = ask(auth, path=f"/-/auth/{route.path}", query=query, cookie=mine)
        assert answer.status == plain.status, query
        # Pages about a proof refuse an account that has none, whatever the query.
        assert plain.status == 200 or route.path.startswith(("login/second", "account/security/"))
        assert "/b" not in re.findall(r'name="next" value="([^"]*)"', answer.text)


def test_ru16_a_reset_link_bears_a_query(auth, mailer):
    path = links(auth, mailer)["reset/<token>"]
    assert {ask(auth, path=path, query=query).status for query in QUERIES} == {200}


def test_ru16_two_values_of_a_filter_are_refused(auth):
    auth.accounts.set_role(auth.accounts.find("tanaka@example.com").id, "admin")
    mine = signed_in(auth)
    for path, query in (("staff", "q=a&q=b"), ("audit", "email=a&email=b")):
        assert ask(auth, path=f"/-/auth/{path}", query=query, cookie=mine).status == 400


WELL_KNOWN = "/.well-known/change-password"


def test_ru16_the_well_known_path_leads_to_the_page_for_a_new_password(auth):
    for cookie in ("", signed_in(auth)):
        answer = ask(auth, path=WELL_KNOWN, cookie=cookie)
        assert (answer.status, answer.get("Location")) == (302, "/-/auth/account/password")
    assert ask(auth, "POST", WELL_KNOWN, form={}).status in {401, 404}
    mounted = middleware(base_url=HTTPS + "/reports")
    assert ask(mounted, path=WELL_KNOWN).get("Location") == "/reports/-/auth/account/password"


@pytest.mark.parametrize(
    ("public", "of_the_app"), [((), False), (("/*",), False), ((WELL_KNOWN,), True), (("/.well-known/*",), True)]
)
def test_ru16_an_app_that_answers_the_well_known_path_goes_on_to(public, of_the_app):
    auth = middleware(public_paths=public)
    assert (ask(auth, path=WELL_KNOWN).status == 200) is of_the_app


FETCHED = [
    "/favicon.ico",
    "/favicon-32x32.png",
    "/favicon.svg",
    "/robots.txt",
    "/apple-touch-icon.png",
    "/sitemap.xml",
    "/ads.txt",
]
FETCHED += [
    "/apple-touch-icon-precomposed.png",
    "/apple-touch-icon-120x120.png",
    "/apple-touch-icon-120x120-precomposed.png",
]
FETCHED += ["/browserconfig.xml", "/.well-known/apple-app-site-association", "/apple-app-site-association"]
FETCHED += ["/.well-known/security.txt", "/.well-known/assetlinks.json", "/.well-known/traffic-advice", "/FAVICON.ICO"]
FETCHED += ["/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200"]
SENDERS = [WINDOW, {"HTTP_ACCEPT": "*/*"}, {"HTTP_ACCEPT": None}, {"HTTP_ACCEPT": "image/avif,image/*;q=0.8"}]


@pytest.mark.parametrize("path", FETCHED)
def test_ru16_what_is_fetched_without_a_user_is_not_found(auth, path):
    for sender in SENDERS:
        for method in ("GET", "HEAD"):
            answer = ask(auth, method, path, **sender)
            assert (answer.status, answer.get("Location")) == (404, "")
            assert "user=" not in answer.text
    assert ask(auth, path=path, cookie=signed_in(auth)).text.startswith("user=1"), "a user gets the app's"
    public = middleware(public_paths=[path])
    assert ask(public, path=path).text.startswith("user=-"), "and so does a visitor, where the app says so"


@pytest.mark.parametrize(
    "path", ["/favicon.ico/x", "/a/favicon.ico", "/robots.txt.html", "/faviconico", "/.well-knownx", "/x"]
)
def test_ru16_no_other_path_is_taken_for_one(auth, path):
    assert ask(auth, path=path).status == 303


def test_ru16_a_reset_link_opened_by_another_user_says_that_it_was_done(auth, mailer):
    colleague = person(auth, "suzuki@example.com")
    there = browser(auth)
    there.extra_environ["HTTP_HOST"] = "app.example"
    there.extra_environ["wsgi.url_scheme"] = "https"
    there.post("/-/auth/login", {"email": "suzuki@example.com", "password": PASSWORD})
    path = links(auth, mailer)["reset/<token>"]
    page = there.get(path)
    page.forms["reset"]["password"] = NEW
    done = page.forms["reset"].submit().follow()
    assert "The password was changed" in done.text
    assert "suzuki@example.com" in done.text, "who is signed in here"
    assert there.get("/page").text.startswith(f"user={colleague.id}"), "nobody was signed out unasked"
    done.forms["logout"].submit()
    again = there.post("/-/auth/login", {"email": "tanaka@example.com", "password": NEW})
    assert again.status_int == 303
    assert events(auth, "password_reset")


def test_ru16_a_reset_link_opened_by_its_own_user_or_a_visitor_leads_to_sign_in(auth, mailer):
    path = links(auth, mailer)["reset/<token>"]
    answer = ask(auth, "POST", path, form={"password": NEW}, cookie=signed_in(auth))
    assert answer.get("Location") == "/-/auth/login"


def test_ru16_a_confirm_link_opened_by_another_user_says_that_it_was_done(auth, mailer):
    person(auth, "suzuki@example.com")
    path = links(auth, mailer)["email/confirm/<token>"]
    mine = signed_in(auth, "suzuki@example.com")
    answer = ask(auth, "POST", path, form={}, cookie=mine)
    assert answer.get("Location") == "/-/auth/logout"
    flash = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    assert "was changed" in ask(auth, path="/-/auth/logout", cookie=f"{mine}; {flash}").text
