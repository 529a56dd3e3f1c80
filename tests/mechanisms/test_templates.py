"""Every page in every state: well-formed, labelled, escaped, and nothing from elsewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import pytest
import time_machine
from jinja2 import DictLoader, Environment, ModuleLoader, UndefinedError
from jinja2.meta import find_undeclared_variables

import nipo_auth_mw
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.errors import ConfigError

from .conftest import LANGUAGES, config, every_page, values

TEMPLATES = Path(nipo_auth_mw.__file__).parent / "templates"
VOID = {"meta", "link", "input", "br", "hr", "img"}
XSS = [
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</title><script>alert(1)</script>",
    "</textarea><svg/onload=alert(1)>",
    '" autofocus onfocus=alert(1) x="',
    "javascript:alert(1)",
    "<!--<script>",
    "]]><script>",
    "&lt;script&gt;",
    "{{7*7}}{% import 'os' %}${7*7}#{7*7}",
    "%3Cscript%3E",
    "\u202e<b>\u2028</b>",
    "`onmouseover=alert(1)`",
]
# The scheme stands first: an address that is a person's own words would run it.
TEXT = "".join(sorted(XSS, key=lambda text: not text.startswith("javascript:")))


class Page(HTMLParser):
    """Reads a page strictly: every element closed where it should be, every attribute once, every id once."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []
        ids = self.values("id")
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute twice on {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] or "" for _, found in self.elements if attribute in found]


Read = list[tuple[str, str, Page]]


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def read(pages: Renderer, language: str) -> Read:
    """Every page in every state, as (what it is, HTML, what was read of it)."""
    return [(name, html, Page(html)) for name, html in every_page(pages, language)]


def test_every_page_is_well_made(read: Read, language: str) -> None:
    for name, html, page in read:
        assert page.all("html") == [{"lang": language}], name
        assert len(page.all("main")) == len(page.all("h1")) == len(page.all("title")) == 1, name
        metas = {meta.get("name"): meta.get("content") for meta in page.all("meta")}
        assert metas["robots"] == "noindex"
        assert metas["viewport"] == "width=device-width, initial-scale=1"
        assert re.search(r"<title>[^<]+ – 日報くん</title>", html), name
        ids = set(page.values("id"))
        for reference in ("for", "aria-describedby", "aria-labelledby"):
            assert {one for value in page.values(reference) for one in value.split()} <= ids, name
        labelled = set(page.values("for"))
        for field in page.all("input") + page.all("select"):
            assert field.get("type") == "hidden" or field["id"] in labelled, name
        # What a button without a form does needs a script, which shows the button.
        assert all("name" not in button or button["type"] == "submit" for button in page.all("button")), name
        assert all(button["type"] == "submit" or "hidden" in button for button in page.all("button")), name
        assert len(page.values("autofocus")) <= 1, name


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(read: Read) -> None:
    for name, html, page in read:
        for attribute in ("href", "src", "action"):
            for value in page.values(attribute):
                ours = value.startswith("/app/") or value == "#main"
                # What opens an app of the device, or is saved as a file, is fetched from nowhere.
                assert ours or value.startswith(("otpauth:", "data:text/plain;")), (name, value)
        assert not page.all("style"), name
        assert all(script.keys() == {"src", "defer"} for script in page.all("script")), name
        attributes = {attribute for _, found in page.elements for attribute in found}
        assert not {one for one in attributes if one == "style" or one.startswith("on")}, name
        assert not re.search(r"https?:|//", html.replace("otpauth://", "")), name


def test_every_form_whose_second_press_would_do_harm_has_an_id(read: Read) -> None:
    one_time, others = ({"-".join(one.words) for one in ROUTES if one.one_time is is_one} for is_one in (True, False))
    found = set()
    forms = {form: name for name, html, _ in read for form in re.findall(r"<form .*?</form>", html, re.DOTALL)}
    for form, name in forms.items():
        [tag, *_], ids = Page(form).all("form"), form.count('name="form_id"')
        words = (tag["action"] or "").removeprefix("/app/-/auth/").partition("?")[0].split("/")
        route = "-".join(word for word in words if word not in {"17", "18", "19"})
        # The forms behind a mailed link lead to the link itself.
        route = tag["id"] or "" if tag["action"] == values()["here"] else route
        assert ids == (tag["method"] == "post" and route in one_time), (name, tag)
        assert route in one_time | others, (name, tag)
        found.add(route)
    assert one_time <= found


# A name of a site is short.
@pytest.mark.parametrize("site", XSS)
def test_the_name_of_a_site_stays_text(site: str) -> None:
    site = site.replace("\u2028", "").replace("\u202e", "")
    page = Page(Renderer(config(site_name=site)).render("login.html", "en", **values()))
    assert site in page.text
    assert {tag for tag, _ in page.elements}.isdisjoint({"b", "img"})
    assert len(page.all("script")) == 2
    assert not {one for _, found in page.elements for one in found if one.startswith("on")}


def test_what_people_type_stays_text(language: str) -> None:
    site = XSS[0] + XSS[4]
    pages = Renderer(config(site_name=site))
    for name, html in every_page(pages, language, TEXT):
        page = Page(html)
        names = [re.sub(r".*/static/(\w+)\.\w+\.js", r"\1.js", script["src"] or "") for script in page.all("script")]
        assert names in (["auth.js"], ["auth.js", "passkeys.js"]), name
        attributes = {attribute for _, found in page.elements for attribute in found}
        assert not {one for one in attributes if one.startswith("on")}, name
        assert "b" not in {tag for tag, _ in page.elements}, name
        addresses = [value for attribute in ("href", "src", "action") for value in page.values(attribute)]
        assert not any(value.startswith("javascript:") for value in addresses), name
        # A QR code is ours.
        assert all(found.get("class") == "qr" for tag, found in page.elements if tag == "svg"), name
        # The image that shows nothing is ours.
        assert len(page.all("img")) == (name == "login.html signed out"), name
        assert site in page.text, name
        if name.startswith("login.html"):
            given = {field["name"]: field.get("value") for field in page.all("input")}
            assert given["email"] == TEXT
            assert TEXT in page.values("value")


def test_no_example_is_of_a_value_that_no_template_has(pages: Renderer) -> None:
    parsed = [pages._env.parse(path.read_text("utf-8")) for path in TEMPLATES.iterdir()]
    assert set(values()) <= set().union(*(find_undeclared_variables(one) for one in parsed))


def test_no_template_of_ours_turns_escaping_off() -> None:
    for path in TEMPLATES.iterdir():
        assert not re.search(r"\|\s*safe|autoescape|Markup", path.read_text("utf-8")), path.name


def test_a_name_nobody_gave_is_a_mistake_and_not_an_empty_place(pages: Renderer) -> None:
    with pytest.raises(UndefinedError):
        pages.render("login.html", "en", root="", here="", user=None)


def fields(html: str) -> dict[str | None, dict[str, str | None]]:
    return {field.get("name"): field for field in Page(html).all("input")}


def test_the_sign_in_form_is_what_the_contract_says(pages: Renderer) -> None:
    html = pages.render("login.html", "ja", **{**values(), "next": "/reports?day=1&x=2"})
    page = Page(html)
    form = next(form for form in page.all("form") if form["id"] == "login")
    assert form == {"id": "login", "action": "/app/-/auth/login", "method": "post"}
    given = fields(html)
    assert given["email"]["type"] == "text"
    assert given["email"]["inputmode"] == "email"
    assert given["email"]["autocomplete"] == "username webauthn"
    assert given["email"]["value"] == "hanako@example.jp"
    assert given["password"]["autocomplete"] == "current-password"
    assert "value" not in given["password"]
    assert given["remember"]["value"] == "1"
    assert "checked" in given["remember"]
    assert 'value="/reports?day=1&amp;x=2"' in html
    assert 'role="alert"' not in html
    assert "checked" not in fields(pages.render("login.html", "ja", **{**values(), "remember": False}))["remember"]
    plain = pages.render("login.html", "ja", **{**values(), "passkey": None})
    assert fields(plain)["email"]["autocomplete"] == "username"
    assert "passkey" not in plain


def test_wrong_fields_are_tied_to_the_message(pages: Renderer) -> None:
    problem = pages.problem("en", "invalid_credentials")
    given = fields(pages.render("login.html", "en", **{**values(), "problem": problem}))
    for name in ("email", "password"):
        assert given[name]["aria-invalid"] == "true"
        assert "problem" in (given[name]["aria-describedby"] or "").split()
    assert "autofocus" in given["password"]
    locked = pages.problem("en", "locked", retry_after=250)
    assert "aria-invalid" not in fields(pages.render("login.html", "en", **{**values(), "problem": locked}))["email"]


def test_the_end_of_a_lock_is_told_without_javascript_and_counted_down_with_it(pages: Renderer) -> None:
    with time_machine.travel(datetime(2026, 11, 26, 4, 53, 20, tzinfo=UTC), tick=False):
        for language in ("ja", "en"):
            problem = pages.problem(language, "locked", retry_after=250)._replace(topic="refused")
            html = pages.render("login.html", language, **{**values(), "problem": problem, "user": None})
            assert re.search("4:58(まで|)", problem.detail)
            assert problem.detail in html
            alert = html.partition('role="alert"')[2].partition("</div>")[0]
            assert "data-retry-after" not in alert, "a screen reader would read each second out"
            assert re.search(r'role="timer" aria-live="off" data-retry-after="250"[^>]* hidden>', html)
            assert 'href="/app/-/auth/help#refused"' in html


def test_a_problem_may_be_a_plain_mapping(pages: Renderer) -> None:
    problem = {"code": "busy", "title": "<T>", "detail": "one\ntwo", "retry_after": None}
    html = pages.render("problem.html", "en", **{**values(), "problem": problem})
    assert "<h1>&lt;T&gt;</h1>" in html
    assert "<p>one</p>" in html
    assert "<p>two</p>" in html


def test_the_ended_page_opens_sign_in_in_another_tab(pages: Renderer) -> None:
    problem = pages.problem("en", "sign_in_required", "sign_in_required_form")
    html = pages.render(
        "session_ended.html", "en", **{**values(), "problem": problem, "login_url": "/app/-/auth/login?next=%2F"}
    )
    link = next(link for link in Page(html).all("a") if link["href"] == "/app/-/auth/login?next=%2F")
    assert (link["target"], link["rel"]) == ("_blank", "noopener")


def test_the_account_page_names_devices_roles_and_times(pages: Renderer) -> None:
    html = pages.render("account.html", "ja", **values())
    assert html.count("この端末</span>") == 1
    assert "Chrome (Windows)" in html
    assert "不明な端末" in html
    assert "<dd>スタッフ</dd>" in html
    day = "2026/11/23（月） 21:40"
    assert f'<time datetime="2026-11-23T21:40:00Z" title="{day}">{day}</time>' in html
    assert "日時は協定世界時（UTC）で表示しています。" in html
    form = next(form for form in Page(html).all("form") if form["id"] == "logout")
    assert form["action"] == "/app/-/auth/logout"


def test_a_role_or_event_of_the_hosts_own_keeps_its_name() -> None:
    source = '{{ named("role", "foreman") }} {{ named("event", "x<y") }}'
    assert Renderer(config(), DictLoader({"x.html": source})).render("x.html", "ja") == "foreman x&lt;y"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("next=''", "/app/sign/login"),
        ("next=none", "/app/sign/login"),
        ("next='/a?b=c&d=日&e=\"'", "/app/sign/login?next=%2Fa%3Fb%3Dc%26d%3D%E6%97%A5%26e%3D%22"),
    ],
)
def test_a_url_of_ours_is_built_below_the_root(query: str, shown: str) -> None:
    pages = Renderer(config(prefix="/sign"), DictLoader({"x.html": "{{ url('login', " + query + ") }}"}))
    assert pages.render("x.html", "en", root="/app") == shown


def test_one_language_needs_no_switch() -> None:
    pages = Renderer(config(languages=("ja",), default_language="ja"))
    assert 'id="language"' not in pages.render("login.html", "ja", **values())


def test_the_switch_comes_back_to_the_page(pages: Renderer) -> None:
    page = Page(pages.render("login.html", "en", **{**values(), "sections": ()}))
    form = next(form for form in page.all("form") if form["id"] == "language")
    assert (form["action"], form["method"]) == ("/app/-/auth/language", "post")
    assert {"name": "lang", "type": "hidden", "value": "ja"} in page.all("input")
    assert "/app/-/auth/login?next=hanako@example.jp" in page.values("value")


def test_a_site_without_a_name_shows_its_address() -> None:
    html = Renderer(config(site_name="", base_url="http://localhost:5000")).render("login.html", "en", **values())
    assert "<title>Sign in – localhost:5000</title>" in html


def test_a_host_replaces_a_template_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "brand.html").write_text('<p class="brand">ACME & Söhne {{ site_name }}</p>', "utf-8")
    pages = Renderer(config(), tmp_path)
    assert "ACME & Söhne 日報くん" in pages.render("login.html", "ja", **values())
    assert "ACME" in Renderer(config(), str(tmp_path)).render("logout.html", "ja", **values())


def test_a_host_extends_the_original_by_our_name() -> None:
    source = '{% extends "nipo_auth_mw/login.html" %}{% block main %}<p>Notice</p>{{ super() }}{% endblock %}'
    html = Renderer(config(), DictLoader({"login.html": source})).render("login.html", "en", **values())
    assert "<p>Notice</p>" in html
    assert 'id="login"' in html


def test_a_hosts_templates_are_escaped_as_well() -> None:
    pages = Renderer(config(), DictLoader({"x.txt": "{{ email }}"}))
    assert pages.render("x.txt", "en", email="<b>") == "&lt;b&gt;"


def test_a_loader_without_sources_serves_templates_only(tmp_path: Path) -> None:
    assert Renderer(config(), ModuleLoader(tmp_path)).text("ja", "login.title") == "ログイン"


def test_a_directory_that_is_none_is_told_at_construction(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="templates"):
        Renderer(config(), tmp_path / "nowhere")


def test_nothing_is_compiled_before_it_is_asked_for() -> None:
    assert len(Renderer(config())._env.cache or {}) == 0


def test_a_hosts_templates_are_seen_by_its_own_middleware_alone() -> None:
    hosts = [DictLoader({"brand.html": f"<p>brand of {n}</p>", "theme.css": f"/* {n} */"}) for n in (1, 2)]
    first, second, ours = Renderer(config(), hosts[0]), Renderer(config(), hosts[1]), Renderer(config())
    for pages, wanted in ((first, {1}), (ours, set()), (second, {2}), (first, {1}), (Renderer(config()), set())):
        html = pages.render("login.html", "en", **values())
        assert {n for n in (1, 2) if f"brand of {n}" in html} == wanted
        css = pages.assets.find(pages.assets.name_of("theme.css"))
        assert css is not None
        assert {n for n in (1, 2) if css.body.endswith(f"/* {n} */".encode())} == wanted


def test_a_setting_is_seen_by_its_own_middleware_alone() -> None:
    for site, prefix in (("One", "/one"), ("Two", "/two"), ("One", "/one")):
        html = Renderer(config(site_name=site, prefix=prefix)).render("login.html", "en", **values())
        assert {name for name in ("One", "Two") if name in html} == {site}
        assert f"{prefix}/static/" in html


def test_each_of_our_templates_is_compiled_once_a_process() -> None:
    Renderer(config()).render("login.html", "en", **values())
    compiled = mock.Mock(side_effect=AssertionError("compiled again"))
    with mock.patch.object(Environment, "compile", compiled):
        Renderer(config(site_name="Another")).render("login.html", "ja", **values())
