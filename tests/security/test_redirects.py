"""Rows RD1-RD8: no user is sent to another origin, and no header is split."""

from __future__ import annotations

import html
import json
import re
import time
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._web.host_api import auth_url
from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.each import each
from tests.kit import PASSWORD, middleware, person
from tests.security.corpora.nexts import EVIL, GOOD, MOUNTS, ODD, OWN, PATHS
from tests.security.corpora.texts import HEADER_SPLITS
from tests.security.tools import HTTPS, SAFE_LOCATION, Answer, Inner, ask, login, session_pair, signed_in


@pytest.fixture(scope="module")
def auth():
    auth = middleware(base_url=HTTPS)
    person(auth)
    return auth


def as_query(value: str) -> str:
    return "next=" + quote(value, safe="")


def locations(auth, value: str) -> dict[str, str]:
    """Where every channel for `next` leads to."""
    mine = signed_in(auth)
    jumps = {
        "login": login(auth, fields={"next": value}),
        "login, signed in": ask(auth, path="/-/auth/login", query=as_query(value), cookie=mine),
        "language": ask(auth, "POST", "/-/auth/language", form={"lang": "ja", "next": value}),
        "logout": ask(auth, "POST", "/-/auth/logout", form={"next": value}, cookie=mine),
        "logout, visitor": ask(auth, "POST", "/-/auth/logout", form={"next": value}),
    }
    assert {name: answer.status for name, answer in jumps.items()} == dict.fromkeys(jumps, 303)
    assert all(len(answer.all("Location")) == 1 for answer in jumps.values())
    found = {name: answer.get("Location") for name, answer in jumps.items()}
    sent = {"email": "tanaka@example.com", "password": PASSWORD, "next": value}
    for route, fields in (("login", sent), ("logout", {"next": value}), ("language", {"lang": "en", "next": value})):
        found[f"{route} as JSON"] = json.loads(ask(auth, "POST", f"/-/auth/{route}", data=fields).body)["next"]
    return found


@each("value", EVIL)
def test_rd1_an_evil_next_leads_nowhere(auth, value):
    for channel, location in locations(auth, value).items():
        assert SAFE_LOCATION.match(location), channel
        assert location in {"/", "/-/auth/login"}, channel


@each("value", ODD)
def test_rd1_an_odd_next_stays_at_home(auth, value):
    for channel, location in locations(auth, value).items():
        assert SAFE_LOCATION.match(location), channel


def test_rd2_pages_carry_no_evil_next_on(auth):
    for value in EVIL:
        for path in ("/-/auth/login", "/-/auth/logout"):
            answer = ask(auth, path=path, query=as_query(value))
            assert answer.status == 200
            persistent = kept_next(answer)
            assert persistent == "" or SAFE_LOCATION.match(persistent), value


def test_rd2_every_other_channel_is_deaf(auth):
    evil = "https://evil.example/"
    headers = {"HTTP_REFERER": evil, "HTTP_ORIGIN": HTTPS, "HTTP_X_NEXT": evil, "HTTP_X_ORIGINAL_URL": evil}
    answer = ask(
        auth,
        "POST",
        "/-/auth/login",
        query=as_query(evil) + "&" + as_query("/page"),
        form=[("email", "tanaka@example.com"), ("password", PASSWORD), ("next[]", evil), ("Next", evil), ("url", evil)],
        **headers,
    )
    assert (answer.status, answer.get("Location")) == (303, "/")
    mine = session_pair(answer)
    for path in ("/-/auth/login", "/-/auth/logout"):
        twice = ask(auth, path=path, query=f"{as_query('/page')}&{as_query(evil)}", cookie=mine)
        assert twice.get("Location") == "/" if path.endswith("login") else kept_next(twice) == ""
        assert (
            ask(
                auth,
                "POST",
                path,
                body=b"next=/page&next=https://evil.example",
                CONTENT_TYPE="application/x-www-form-urlencoded",
            ).status
            == 400
        )
    ended = ask(auth, "POST", "/page", form={"text": "x"}, **headers)
    assert ended.status == 401
    assert "evil" not in ended.text
    assert ask(auth, "POST", "/-/auth/logout", cookie=mine, **headers).get("Location") == "/-/auth/login"
    assert ask(auth, "POST", "/-/auth/language", form={"lang": "ja"}, **headers).get("Location") == "/-/auth/login"
    assert ask(auth, path="/-/auth/login", cookie=signed_in(auth), **headers).get("Location") == "/"


def kept_next(answer: Answer) -> str:
    """What the form of a page carries on as `next`."""
    return html.unescape(re.search(r'name="next" value="([^"]*)"', answer.text)[1])


def test_rd2_pages_that_ask_for_the_password_lead_no_further_than_sign_in():
    with time_machine.travel(time.time(), tick=False) as clock:
        auth = middleware(base_url=HTTPS)
        person(auth)
        mine, passwords = signed_in(auth), (PASSWORD, "midori-no-oka-to-kaze")
        for number, value in enumerate([*EVIL, *ODD]):
            # An account may change its password a few times an hour.
            clock.shift(3600)
            old, new = passwords[number % 2], passwords[1 - number % 2]
            confirmed = ask(auth, "POST", "/-/auth/account/confirm", form={"password": old, "next": value}, cookie=mine)
            change = {"current_password": old, "password": old, "next": value}
            refused = ask(auth, "POST", "/-/auth/account/password", form=change, cookie=mine)
            changed = ask(auth, "POST", "/-/auth/account/password", form={**change, "password": new}, cookie=mine)
            mine = session_pair(changed)
            assert [answer.status for answer in (confirmed, refused, changed)] == [303, 422, 303]
            pages = [
                ask(auth, path=f"/-/auth/account/{p}", query=as_query(value), cookie=mine)
                for p in ("confirm", "password")
            ]
            ends = [confirmed.get("Location"), changed.get("Location")]
            persistent = [kept_next(page) for page in (*pages, refused)]
            assert all(SAFE_LOCATION.match(end) for end in (*ends, *filter(None, persistent))), value
            if value in EVIL:
                assert (ends, persistent) == (["/-/auth/account"] * 2, [""] * 3), value


def test_rd2_a_password_that_must_be_changed_leads_no_further():
    auth = middleware(base_url=HTTPS)
    person(auth)
    auth.accounts.set_password("1", PASSWORD, must_change=True)
    for value in EVIL:
        url = urlsplit(login(auth, fields={"next": value}).get("Location"))
        assert (url.netloc, url.path, parse_qs(url.query)) == ("", "/-/auth/account/password", {"next": ["/"]}), value


@pytest.mark.parametrize("value", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_rd2_the_links_of_a_change_of_address_end_at_home(value):
    mailer = MemoryMailer()
    auth = middleware(base_url=HTTPS, mailer=mailer)
    person(auth)
    new = {"email": "hanako@example.com", "password": PASSWORD}
    ask(auth, "POST", "/-/auth/account/email", form={**new, "next": value}, cookie=signed_in(auth))
    cancel, confirm = (link_in(mail).removeprefix(HTTPS) for mail in mailer.outbox)
    for path, end in ((confirm, "/-/auth/login"), (cancel, "/-/auth/forgot")):
        answer = ask(auth, "POST", path, query=as_query(value), form={"next": value}, HTTP_REFERER=value)
        assert (answer.status, answer.get("Location")) == (303, end)


@pytest.mark.parametrize("mount", MOUNTS)
@each("path", PATHS)
def test_rd3_a_next_made_of_the_request_is_checked_too(auth, mount, path):
    answer = ask(auth, path=path, query="x=//evil.example", SCRIPT_NAME=mount)
    assert answer.status == 303
    location = answer.get("Location")
    assert SAFE_LOCATION.match(location)
    carried = parse_qs(urlsplit(location).query).get("next", [""])[0]
    assert carried == "" or SAFE_LOCATION.match(carried)
    landed = login(auth, fields={"next": carried}, SCRIPT_NAME=mount).get("Location")
    assert SAFE_LOCATION.match(landed)


@pytest.mark.parametrize("mount", MOUNTS)
def test_rd3_nor_does_one_lead_past_the_change_of_a_password(mount):
    auth = middleware(base_url=HTTPS)
    person(auth)
    auth.accounts.set_password("1", PASSWORD, must_change=True)
    mine = signed_in(auth)
    for path in PATHS:
        answer = ask(auth, path=path, query="x=//evil.example", SCRIPT_NAME=mount, cookie=mine)
        location = answer.get("Location")
        assert (answer.status, bool(SAFE_LOCATION.match(location))) == (303, True), path
        carried = parse_qs(urlsplit(location).query).get("next", [""])[0]
        assert carried == "" or SAFE_LOCATION.match(carried), path


@pytest.mark.parametrize("value", HEADER_SPLITS)
def test_rd4_no_input_reaches_a_header_unescaped(value):
    # `ask` looks for control characters in every header; here the number of headers is compared as well.
    auth = middleware(base_url=HTTPS)
    person(auth)
    mine = signed_in(auth)
    names = [name for name, _ in login(auth, fields={"next": "/"}).headers]
    assert [name for name, _ in login(auth, fields={"next": value}).headers] == names
    plain = [name for name, _ in ask(auth, "POST", "/-/auth/language", form={"lang": "x", "next": "/"}).headers]
    assert [n for n, _ in ask(auth, "POST", "/-/auth/language", form={"lang": value, "next": value}).headers] == plain
    refused = [name for name, _ in login(auth, "a@example.com").headers]
    assert [name for name, _ in login(auth, value).headers] == refused
    latin = value.encode().decode("latin-1")
    cookies = f"nipo_lang={latin}; __Host-nipo_device={latin}"
    for path in ("/-/auth/login", "/-/auth/account", f"/-/auth/{latin}", f"/{latin}"):
        for query in (latin, as_query(value)):
            answer = ask(auth, path=path, query=query, cookie=f"{cookies}; {mine}", HTTP_ACCEPT_LANGUAGE=latin)
            assert "X-Evil" not in [name for name, _ in answer.headers]


@each("value", GOOD)
def test_rd5_good_values_survive_exactly(auth, value):
    assert set(locations(auth, value).values()) == {value}
    form = (
        TestApp(auth, extra_environ={"HTTP_HOST": "app.example"}).get(f"/-/auth/login?{as_query(value)}").forms["login"]
    )
    assert form["next"].value == value


@pytest.mark.parametrize(
    "target",
    ["/reports?day=1&to=https%3A%2F%2Fother.example", "/a%20b/%E6%97%A5?q=%26%2B%25", "/a;v=1?x=[1]&y='\"", "/a+b"],
)
def test_rd5_the_page_asked_for_is_the_page_landed_on(auth, target):
    app = TestApp(auth, extra_environ={"HTTP_HOST": "app.example", "HTTP_ACCEPT": "text/html"})
    form = app.get(app.get(target).headers["Location"]).forms["login"]
    form["email"], form["password"] = "tanaka@example.com", PASSWORD
    landed = form.submit().headers["Location"]
    seen = []

    def inner(environ, start_response):
        seen.append((environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])))
        return Inner()(environ, start_response)

    for url in (target, landed):
        TestApp(inner).get(url)
    assert seen[0] == seen[1]


@each("value", OWN)
def test_rd6_our_own_pages_are_not_landed_on(auth, value):
    found = locations(auth, value)
    assert {found[name] for name in ("login", "login, signed in", "login as JSON")} == {"/"}
    assert not any("logout" in location for location in found.values())


def test_rd6_under_a_mount_our_own_pages_are_known_too():
    auth = middleware(base_url="https://app.example/mount")
    person(auth)
    for value in ("/mount/-/auth/logout", "/mount/-/auth/login?next=/mount/-/auth/logout"):
        assert login(auth, fields={"next": value}).get("Location") == "/mount/"


@pytest.mark.parametrize(
    "value", ['/"><script>alert(1)</script>', "/'><script>", "/<script>", "/</input><script>", "/&quot;><script>"]
)
def test_rd8_next_is_escaped_on_pages(auth, value):
    for path in ("/-/auth/logout", "/-/auth/login"):
        before = ask(auth, path=path).text.lower().count("<script")
        for query in (as_query(value), "next=" + value, value, f"{as_query(value)}&{as_query(value)}"):
            answer = ask(auth, path=path, query=query)
            assert answer.text.lower().count("<script") == before
    refused = login(auth, password="wrong", fields={"next": value})
    assert (refused.status, refused.text.lower().count("<script")) == (401, before)


def test_rd8_auth_url_quotes_what_a_template_gives_it():
    environ: dict = {}

    def inner(given, start_response):
        environ.update(given)
        return Inner()(given, start_response)

    auth = middleware(inner, public_paths=("/*",))
    ask(auth)
    url = auth_url(environ, "logout", next='/a?b=1&c="><script>#x')
    assert SAFE_LOCATION.match(url)
    assert "<" not in url
    assert parse_qs(urlsplit(url).query) == {"next": ['/a?b=1&c="><script>#x']}
