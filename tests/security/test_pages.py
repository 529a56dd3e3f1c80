"""Rows PG1-PG3: every echo is escaped, languages are only compared, nothing is fetched from elsewhere."""

from __future__ import annotations

import json
import re
import resource
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from nipo_auth_mw._mail.addresses import has_wrong_letters
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.each import each
from tests.kit import middleware, person, without_challenge
from tests.security.corpora.texts import LANGUAGES, MARKUP
from tests.security.tools import HTTPS, Answer, ask, login, signed_in


class Outline(HTMLParser):
    """The elements of a page and the names of their attributes, without any text or value."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.urls: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *sorted(name for name, _ in attrs if name not in {"autofocus"})))
        self.urls += [
            value or "" for name, value in attrs if name in {"href", "src", "action", "formaction", "data", "srcset"}
        ]

    handle_startendtag = handle_starttag


def outline(answer: Answer) -> list[tuple[str, ...]]:
    return Outline(answer.text).tags


@pytest.fixture
def auth():
    auth = middleware(base_url=HTTPS)
    person(auth)
    return auth


@pytest.mark.parametrize("text", MARKUP)
def test_pg1_what_is_typed_comes_back_as_text(auth, text):
    # A hint stands beside an address with letters that no address has.
    plain = outline(login(auth, "\u3042@example.com" if has_wrong_letters(text) else "x@example.com"))
    answer = login(auth, text, fields={"next": "/" + text.replace(" ", "")})
    assert answer.status == 401
    assert outline(answer) == plain
    assert "1022117" not in answer.text, "no template is evaluated"
    form = re.search(r'name="email"[^>]*value="([^"]*)"', answer.text)
    assert form
    assert '"' not in form[1]
    data = login(auth, text, HTTP_ACCEPT="application/json")
    assert data.get("Content-Type") == "application/problem+json"
    assert isinstance(json.loads(data.body), dict)


@pytest.mark.parametrize("text", MARKUP)
def test_pg1_nothing_else_of_a_request_comes_back_as_markup(auth, text):
    latin = text.encode().decode("latin-1")
    for path, status in (("/-/auth/login", 200), ("/-/auth/logout", 200), ("/-/auth/nothing", 404)):
        plain = outline(ask(auth, path=path))
        odd = {
            "HTTP_USER_AGENT": latin,
            "HTTP_REFERER": latin,
            "HTTP_ACCEPT_LANGUAGE": latin,
            "HTTP_COOKIE": f"nipo_lang={latin}; __Host-nipo_auth={latin}; __Host-nipo_device={latin}",
            "HTTP_X_FORWARDED_FOR": latin,
        }
        for query in (
            latin,
            "next=" + quote(text),
            f"x={latin}&next=/{quote(text)}",
            f"email={quote(text)}&error={quote(text)}",
        ):
            answer = ask(auth, path=path, query=query, **odd)
            assert answer.status in {status, 400}
            if answer.status == status:
                assert outline(answer) == plain
    broken = ask(auth, path=f"/-/auth/{latin}")
    assert outline(broken) == outline(ask(auth, path="/-/auth/nothing"))


@pytest.mark.parametrize("text", MARKUP)
def test_pg1_names_and_devices_are_text_on_the_account_page(text):
    pages = []
    for name, agent in (("Plain", "Plain/1.0"), (text.replace("\u2028", ""), text)):
        auth = middleware(base_url=HTTPS, site_name=name)
        person(auth, name=name)
        mine = signed_in(
            auth, HTTP_USER_AGENT=agent.encode().decode("latin-1"), REMOTE_ADDR=agent.encode().decode("latin-1")
        )
        pages.append(ask(auth, path="/-/auth/account", cookie=mine, REMOTE_ADDR="192.0.2.1"))
    assert [page.status for page in pages] == [200, 200]
    assert outline(pages[0]) == outline(pages[1])
    assert "1022117" not in pages[1].text


def shown_to_administrators(word: str) -> list[tuple[int, list[tuple[str, ...]]]]:
    """Statuses and outlines of pages that hold `word` as a name, a note, a search and part of other people's requests,
    and its text nowhere evaluated."""
    auth = middleware(base_url=HTTPS)
    person(auth, "kanri@example.com", role="admin")
    person(auth, name=word)
    admin = signed_in(auth, "kanri@example.com")
    latin, query = word.encode().decode("latin-1"), quote(word)
    login(auth, word, HTTP_USER_AGENT=latin, REMOTE_ADDR=latin)
    signed_in(auth, HTTP_USER_AGENT=latin, REMOTE_ADDR=latin)
    ask(auth, "POST", f"/-/auth/{latin}", HTTP_SEC_FETCH_SITE="cross-site")
    note = {"name": word, "memo": word}
    assert ask(auth, "POST", "/-/auth/staff/2/profile", form=note, cookie=admin).status == 303
    asked = [("staff", "sort=email")]
    asked += [(path, "") for path in ("staff/2", "staff/2/delete", "audit", "staff/" + latin.replace("/", ""))]
    asked += [("staff", f"q={query}"), ("staff", f"q={query}xyz")]
    asked += [("audit", f"email={query}"), ("audit", "email=tanaka@example.com")]
    answers = [ask(auth, path=f"/-/auth/{path}", query=query, cookie=admin) for path, query in asked]
    cell = '"' + word.replace('"', '""') + '"'
    for sent in ({"emails": f"email\tname\n{cell}\t{cell}\nok@example.com\t{cell}"}, {"emails": cell, "confirm": "1"}):
        answers.append(ask(auth, "POST", "/-/auth/staff/bulk", form=sent, cookie=admin))
    assert not any("1022117" in answer.text for answer in answers)
    return [(answer.status, outline(answer)) for answer in answers]


@pytest.fixture(scope="module")
def plainly_shown():
    return shown_to_administrators("Plain")


@pytest.mark.parametrize("text", MARKUP)
def test_pg1_names_notes_and_searches_are_text_to_administrators(text, plainly_shown):
    assert shown_to_administrators(text.replace("\u2028", "")) == plainly_shown


@pytest.mark.parametrize("text", MARKUP)
def test_pg1_a_token_is_never_shown(text):
    auth = middleware(base_url=HTTPS, mailer=MemoryMailer())
    latin = text.replace("/", "").encode().decode("latin-1")
    for route in ("reset", "email/confirm", "email/cancel"):
        for method in ("GET", "POST"):
            plain, odd = (ask(auth, method, f"/-/auth/{route}/{token}", form={}) for token in ("x", latin))
            assert (odd.status, outline(odd)) == (plain.status, outline(plain)) == (410, outline(plain))


@each("wish", LANGUAGES)
def test_pg2_an_odd_language_is_the_default_one(auth, wish):
    began = time.thread_time()
    default = without_challenge(ask(auth, path="/-/auth/login"))
    for odd in ({"HTTP_ACCEPT_LANGUAGE": wish}, {"HTTP_COOKIE": f"nipo_lang={wish[:20_000]}"}):
        answer = ask(auth, path="/-/auth/login", **odd)
        assert answer.status == 200
        assert answer.get("Content-Language") in {"en", "ja"}
        if not wish.startswith("ja"):
            assert without_challenge(answer) == default
    answer = ask(auth, "POST", "/-/auth/language", form={"lang": wish[:20_000]})
    assert (answer.status, answer.all("Set-Cookie")) == (422, [])
    assert time.thread_time() - began < 0.5


def test_pg2_a_header_of_a_megabyte_is_cheap(auth):
    began = time.thread_time()
    for text in (
        "a" * 2**20,
        "en," * 350_000,
        ";" * 2**20,
        "ja;q=0." + "1" * 2**20,
        "-" * 2**20,
        " " * 2**20,
        "en-" * 350_000,
    ):
        assert ask(auth, path="/-/auth/login", HTTP_ACCEPT_LANGUAGE=text).status == 200
    assert time.thread_time() - began < 1


def resident() -> int:
    """Bytes in memory now; where the system does not tell, the most there ever were."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_pg2_many_different_wishes_leave_nothing_behind(auth):
    def wish(start: int, count: int) -> None:
        for i in range(start, start + count):
            ask(auth, path="/-/auth/session", HTTP_ACCEPT_LANGUAGE=f"x{i:07d}" * 50, HTTP_USER_AGENT=f"agent {i} " * 50)

    wish(0, 1000)
    before = resident()
    wish(1000, 5_000)
    assert resident() - before < 2 * 2**20, "5.5 MB of headers came in"


def test_pg3_pages_ask_for_nothing_of_another_origin():
    auth = middleware(base_url=HTTPS, mailer=MemoryMailer())
    person(auth)
    person(auth, "kanri@example.com", role="admin")
    routes = [route.path.replace("<token>", "x").replace("<id>", "1") for route in ROUTES if "GET" in route.views]
    cookies = ("", signed_in(auth), signed_in(auth, "kanri@example.com"))
    pages = [ask(auth, path=f"/-/auth/{route}", cookie=cookie) for route in (*routes, "nothing") for cookie in cookies]
    ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
    link = link_in(auth._services.outbox._mailer.outbox[-1]).removeprefix(HTTPS)
    pages += [ask(auth, path=link), login(auth, password="wrong"), ask(auth, "POST", "/page", form={})]
    urls = [url for page in pages if "html" in page.get("Content-Type") for url in Outline(page.text).urls]
    assert len(urls) > 200
    assert all(re.match(r"/(?![/\\])|#|otpauth:", url) for url in urls), urls
    for url in {url for url in urls if "/static/" in url}:
        text = ask(auth, path=url).text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(\s*['\"]?(?!data:)|//[a-z0-9-]+\.[a-z]", text)
        assert not re.search(r"fetch\(|XMLHttpRequest|sendBeacon|eval\(|innerHTML", text)


def test_pw10_password_managers_are_helped_and_nothing_hinders_pasting():
    auth = middleware(base_url=HTTPS, mailer=MemoryMailer())
    person(auth)
    cookie = signed_in(auth)
    ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
    link = link_in(auth._services.outbox._mailer.outbox[-1]).removeprefix(HTTPS)
    wanted = {"/-/auth/login": ["current"], "/-/auth/account/password": ["current", "new"], link: ["new"]}
    wanted |= {"/-/auth/account/confirm": ["current"], "/-/auth/account/email": ["current"]}
    for path, kinds in wanted.items():
        text = ask(auth, path=path, cookie="" if path == "/-/auth/login" else cookie).text
        found = [tag for tag in re.findall(r"<input[^>]*>", text) if 'name="password"' in tag or "_password" in tag]
        assert len(found) >= len(kinds), path
        for tag in found:
            assert 'type="password"' in tag
            assert re.search(r'autocomplete="(current|new)-password"', tag), tag
        assert {kind for kind in kinds if f'autocomplete="{kind}-password"' in text} == set(kinds), path
        assert "onpaste" not in text
    for path in re.findall(r'src="(/-/auth/static/[^"]+)"', ask(auth, path="/-/auth/login").text):
        assert '"paste"' not in ask(auth, path=path).text
