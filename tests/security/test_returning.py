"""Rows RU12, RU13, RU15: users arrive where they wanted to go, or are told why not."""

from __future__ import annotations

import html
import re
from urllib.parse import quote, unquote

import pytest

from nipo_auth_mw import TwoStepPolicy
from nipo_auth_mw._flows.password_change import PASSWORD_CHANGE
from nipo_auth_mw._web.redirects import LONGEST, LONGEST_IN_URL
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.testing import code_of, enrol_app
from tests.each import each
from tests.kit import PASSWORD, WRONG, browser, events, middleware, person
from tests.security.corpora.nexts import EVIL
from tests.security.tools import HTTPS, SAFE_LOCATION, ask, login, signed_in

WINDOW = {"HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document", "HTTP_SEC_FETCH_SITE": "same-origin"}
REFRESH = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]*)">')
NEXT = re.compile(r'name="next" value="([^"]*)"')


@pytest.fixture
def auth():
    auth = middleware(base_url=HTTPS)
    person(auth)
    return auth


def led_to(answer):
    """Where an answer leads a browser: by Location, or by the page that leads on."""
    if answer.status == 200 and (found := REFRESH.search(answer.text)):
        return html.unescape(found[1])
    return answer.get("Location")


def nexts(answer):
    return [html.unescape(value) for value in NEXT.findall(answer.text)]


def test_ru12_a_browsers_form_ends_in_a_page_that_leads_to_the_app(auth):
    answer = login(auth, fields={"next": "/report?a=1&b=%22'#x"}, **WINDOW)
    assert (answer.status, led_to(answer)) == (200, "/report?a=1&b=%22'#x")
    assert answer.cookies
    assert "form-action 'self';" in answer.get("Content-Security-Policy")
    assert 'href="/report?a=1&amp;b=%22&#39;#x"' in answer.text, "a link for browsers that follow no refresh"
    assert "<form" not in answer.text


def test_ru12_programs_and_older_browsers_get_a_redirect(auth):
    for more in ({}, {"HTTP_SEC_FETCH_SITE": "same-origin"}, {"HTTP_SEC_FETCH_DEST": "empty"}):
        answer = login(auth, fields={"next": "/report"}, **more)
        assert (answer.status, answer.get("Location")) == (303, "/report")


@pytest.mark.parametrize("form", ["login", "logout", "account/confirm", "account/password"])
def test_ru12_every_form_of_ours_that_leads_to_the_app_does_so_by_a_page(auth, form):
    fields = {"email": "tanaka@example.com", "password": PASSWORD, "current_password": PASSWORD, "next": "/report"}
    fields |= {"password": "another-" + PASSWORD} if form == "account/password" else {}
    answer = ask(auth, "POST", f"/-/auth/{form}", form=fields, cookie=signed_in(auth), **WINDOW)
    assert (answer.status, led_to(answer)) == (200, "/report")


def test_ru12_a_page_of_ours_that_a_form_led_to_leads_to_the_app_by_a_page_too(auth):
    mine = signed_in(auth)
    came = {**WINDOW, "HTTP_REFERER": f"{HTTPS}/-/auth/login"}
    assert ask(auth, path="/-/auth/login", query="next=/report", cookie=mine, **WINDOW).status == 303
    answer = ask(auth, path="/-/auth/login", query="next=/report", cookie=mine, **came)
    assert (answer.status, led_to(answer)) == (200, "/report")


def test_ru12_a_page_of_ours_is_reached_by_a_redirect(auth):
    answer = login(auth, fields={"next": "/-/auth/account"}, **WINDOW)
    assert (answer.status, answer.get("Location")) == (303, "/-/auth/account")


@each("target", EVIL)
def test_ru12_ru13_no_page_leads_to_another_site(auth, target):
    for fields in ({"next": target}, {"next": target + "#/orders"}, {"next": "/#" + target}):
        to = led_to(login(auth, fields=fields, **WINDOW))
        assert SAFE_LOCATION.match(to), to
        framed = ask(auth, path=target, **WINDOW | {"HTTP_SEC_FETCH_DEST": "iframe"})
        links = re.findall(r'<a[^>]* href="([^"]*)"', framed.text)
        assert all(SAFE_LOCATION.match(html.unescape(link)) or link == "#main" for link in links)


FRAGMENTS = ["#/orders/42", "#!/orders", "#a=1&b=2", "#'\"><script>", "#%E6%97%A5", "#", "##", "#//evil.example"]


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_ru13_the_fragment_that_the_script_adds_comes_back(auth, fragment):
    wanted = "/app?x=1" + fragment
    wrong = login(auth, password=WRONG, fields={"next": wanted})
    assert nexts(wrong)[0] == wanted
    switch = next(value for value in nexts(wrong) if value.startswith("/-/auth/"))
    switched = ask(auth, "POST", "/-/auth/language", form={"lang": "en", "next": switch})
    path, _, query = switched.get("Location").partition("?")
    assert nexts(ask(auth, path=path, query=query))[0] == wanted
    right = login(auth, fields={"next": nexts(wrong)[0]}, **WINDOW)
    assert led_to(right) == wanted


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_ru13_the_fragment_survives_a_requirement(auth, fragment):
    auth.accounts.set_password(auth.accounts.find("tanaka@example.com").id, PASSWORD, must_change=True)
    wanted = "/app?x=1" + fragment
    answer = login(auth, fields={"next": wanted})
    path, _, query = answer.get("Location").partition("?")
    cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    form = ask(auth, path=path, query=query, cookie=cookie)
    assert nexts(form)[0] == wanted
    fields = {"current_password": PASSWORD, "password": "another-" + PASSWORD, "next": wanted}
    assert led_to(ask(auth, "POST", path, form=fields, cookie=cookie, **WINDOW)) == wanted


@pytest.mark.parametrize("length", [100, 2000, 3900, 4001, 6000, 8000, LONGEST])
@pytest.mark.parametrize("character", ["a", "%E6", "&", "日"])
def test_ru13_a_long_next_is_kept_over_sign_in(auth, length, character):
    query = ("f=" + character * length)[: length - len("/report?")]
    wanted = f"/report?{query}" if character != "日" else "/report?" + quote("f=日" * 2000)[: length - len("/report?")]
    query = wanted.partition("?")[2]
    page = ask(auth, path="/report", query=query, **WINDOW)
    if page.status == 303:
        url = page.get("Location")
        assert len(url) <= LONGEST_IN_URL, "gunicorn takes a request line of 4,094 bytes"
        path, _, asked = url.partition("?")
        page = ask(auth, path=path, query=asked, **WINDOW)
    else:
        assert page.status == 401
    assert nexts(page)[0] == wanted
    wrong = login(auth, password=WRONG, fields={"next": nexts(page)[0]}, **WINDOW)
    assert nexts(wrong)[0] == wanted
    assert led_to(login(auth, fields={"next": nexts(wrong)[0]}, **WINDOW)) == wanted
    for shown in (page, wrong):
        switch = nexts(shown)[-1]
        to = ask(auth, "POST", "/-/auth/language", form={"lang": "en", "next": switch}, **WINDOW)
        assert unquote(led_to(to)) in {switch, unquote(switch)}
        assert to.status == 200 or len(to.get("Location")) <= LONGEST_IN_URL


@pytest.mark.parametrize("route", [route for route in ROUTES if route.satisfies is PASSWORD_CHANGE])
def test_ru13_a_long_next_is_kept_over_a_requirement(auth, route):
    account = auth.accounts.find("tanaka@example.com")
    auth.accounts.set_password(account.id, PASSWORD, must_change=True)
    wanted = "/report?f=" + "a" * 6000
    answer = login(auth, fields={"next": wanted}, **WINDOW)
    assert led_to(answer) == wanted
    cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    page = ask(auth, path="/report", query=wanted.partition("?")[2], cookie=cookie, **WINDOW)
    assert (page.status, nexts(page)[0]) == (403, wanted)
    fields = {"current_password": PASSWORD, "password": "another-" + PASSWORD, "next": wanted}
    assert led_to(ask(auth, "POST", f"/-/auth/{route.path}", form=fields, cookie=cookie, **WINDOW)) == wanted


@pytest.mark.parametrize("length", [100, 3900, 4001, 8000, LONGEST])
def test_ru13_a_long_next_is_kept_over_the_second_step(auth, length):
    account = auth.accounts.find("tanaka@example.com")
    key = enrol_app(auth, account)
    wanted = ("/report?f=" + "a" * length)[:length]
    answer = login(auth, fields={"next": wanted}, **WINDOW)
    cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    assert [name for name in answer.cookies if name.endswith("second")]
    path = "/-/auth/login/second"
    if answer.status == 303:
        assert len(answer.get("Location")) <= LONGEST_IN_URL
        answer = ask(auth, path=path, query=answer.get("Location").partition("?")[2], cookie=cookie, **WINDOW)
    assert (answer.status, nexts(answer)[0]) == (200, wanted)
    wrong = ask(auth, "POST", path, form={"code": "", "next": wanted}, cookie=cookie, **WINDOW)
    assert (wrong.status, nexts(wrong)[0]) == (401, wanted)
    assert (
        led_to(ask(auth, "POST", path, form={"code": code_of(key), "next": wanted}, cookie=cookie, **WINDOW)) == wanted
    )


def test_ru13_a_second_step_that_has_to_begin_again_leads_back_to_sign_in_and_on(auth):
    for wanted, kept in (("/report?a=1", "/report?a=1"), ("//evil.example/", ""), ("/r?" + "a" * 6000, "")):
        for answer in (
            ask(auth, path="/-/auth/login/second", query="next=" + quote(wanted, safe=""), **WINDOW),
            ask(auth, "POST", "/-/auth/login/second", form={"code": "123456", "next": wanted}, **WINDOW),
        ):
            link = html.unescape(re.search(r'<a class="button main" href="([^"]*)"', answer.text)[1])
            assert answer.status == 410
            assert unquote(link) == "/-/auth/login" + (f"?next={kept}" if kept else "")


def test_ru13_no_link_to_the_set_up_of_two_steps_is_too_long_for_a_url():
    auth = middleware(base_url=HTTPS, two_step=TwoStepPolicy(required_for=("staff",)))
    person(auth)
    answer = login(auth, fields={"next": "/report?f=" + "a" * 6000}, **WINDOW)
    cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    page = ask(auth, path="/report", query="f=" + "%E6" * 1500, cookie=cookie, **WINDOW)
    assert page.status == 403
    links = re.findall(r'<a[^>]* href="([^"]*)"', page.text)
    assert any("account/security/app" in link for link in links)
    assert max(len(html.unescape(link)) for link in links) <= LONGEST_IN_URL


def test_ru13_a_user_is_told_that_a_next_is_too_long_to_keep(auth):
    page = ask(auth, path="/report", query="f=" + "a" * LONGEST, **WINDOW)
    assert page.status == 401
    assert "too long to come back to" in page.text
    assert nexts(page)[0] == ""
    asked = ask(auth, path="/-/auth/login", query="next=/" + "a" * LONGEST, **WINDOW)
    assert "too long to come back to" in asked.text
    assert "too long to come back to" not in ask(auth, path="/report", query="f=" + "a" * 6000, **WINDOW).text


def test_ru13_htmx_opens_the_page_itself_if_its_address_is_long(auth):
    url = f"{HTTPS}/report?f=" + "a" * 6000
    answer = ask(auth, path="/part", HTTP_HX_REQUEST="true", HTTP_HX_CURRENT_URL=url, HTTP_ACCEPT="*/*")
    assert answer.get("HX-Redirect") == url.removeprefix(HTTPS)


OPENED = ["http://192.168.1.5:8000", "http://app.example", "https://other.example", "http://[2001:db8::1]:8000"]


def test_ru15_a_proxy_that_replaces_host_hides_the_right_address_from_nobody(auth):
    answer = ask(auth, "POST", "/-/auth/login", form={}, HTTP_HOST="127.0.0.1:8000", HTTP_ORIGIN="http://192.168.1.5")
    assert answer.status == 403
    assert f"{HTTPS} " in answer.text


@pytest.mark.parametrize("opened", OPENED)
@each("route", [route.path for route in ROUTES if "POST" in route.views])
def test_ru15_a_form_on_another_address_of_the_site_names_the_right_one(auth, opened, route):
    answer = ask(
        auth,
        "POST",
        f"/-/auth/{route}",
        form={"email": "tanaka@example.com", "password": PASSWORD},
        HTTP_HOST=opened.partition("//")[2],
        HTTP_ORIGIN=opened,
    )
    assert answer.status == 403
    assert f"{HTTPS} " in answer.text
    assert not answer.cookies
    assert not events(auth, "signed_in")


def test_ru15_another_sites_page_is_told_nothing(auth):
    for origin in ("https://evil.example", "null", "http://", ""):
        answer = ask(auth, "POST", "/-/auth/login", form={}, HTTP_HOST="app.example", HTTP_ORIGIN=origin)
        assert answer.status == 403
        assert HTTPS not in answer.text
    sent = {"HTTP_ORIGIN": "http://evil.example", "HTTP_SEC_FETCH_SITE": "cross-site"}
    assert HTTPS not in ask(auth, "POST", "/-/auth/login", form={}, HTTP_HOST="app.example", **sent).text


@pytest.mark.parametrize("opened", [HTTPS, *OPENED])
def test_ru15_a_browser_that_keeps_no_cookie_is_told_why(auth, opened):
    host = {"HTTP_HOST": opened.partition("//")[2]}
    assert login(auth, **host).cookies, "and the browser drops them"
    back = ask(auth, path="/-/auth/login", query="next=/", HTTP_REFERER=f"{opened}/-/auth/login?next=/", **host)
    assert "settings prevent signing in" in back.text
    assert (f"{HTTPS} " in back.text) == (opened != HTTPS)
    assert "settings prevent signing in" not in ask(auth, path="/-/auth/login", query="next=/", **host).text
    elsewhere = ask(auth, path="/-/auth/login", HTTP_REFERER="https://evil.example/-/auth/login", **host)
    assert "settings prevent signing in" not in elsewhere.text


@pytest.mark.parametrize("dest", ["iframe", "frame", "embed", "object"])
def test_ru15_inside_another_page_a_user_is_told_to_open_the_page_by_itself(auth, dest):
    for path in ("/report", "/-/auth/login"):
        answer = ask(auth, path=path, **WINDOW | {"HTTP_SEC_FETCH_DEST": dest})
        assert answer.status == 401
        assert 'target="_blank"' in answer.text
        assert "<form" not in answer.text, "it may be framed, so it must change nothing"
        assert "frame-ancestors *" in answer.get("Content-Security-Policy")
        assert "X-Frame-Options" not in dict(answer.headers)
    plain = ask(auth, path="/-/auth/login", **WINDOW)
    assert "frame-ancestors 'none'" in plain.get("Content-Security-Policy")


def test_ru15_the_apps_own_session_sees_no_page_of_ours_in_a_frame(auth):
    answer = ask(auth, path="/report", cookie=signed_in(auth), **WINDOW | {"HTTP_SEC_FETCH_DEST": "iframe"})
    assert answer.text.startswith("user=1")


def test_ru13_ru15_a_browser_of_a_test_suite_goes_on_as_before(auth):
    test_app = browser(middleware())
    assert test_app.get("/report?x=1").headers["Location"].endswith("/-/auth/login?next=/report?x=1")
