"""Rows CS1-CS12: what a page of another origin can make a browser do, which is nothing."""

from __future__ import annotations

import json
import time

import pytest

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._web import routes
from nipo_auth_mw._web.interface import interface_of
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.models import Client, EmailChange
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, SoftPasskey, code_of, enrol_app, link_in
from nipo_auth_mw.testing.contracts.factors import a_factor
from tests.each import each
from tests.kit import PASSWORD, enrol_passkey, events, middleware, person, store_passkey
from tests.security.tools import FORM, HTTPS, Inner, ask, login, rows, session_pair, signed_in, who

READ = {"account": {}, "session": {}, "help": {}, "static/auth.css": {}, "nothing/here": {}}
FOREIGN = [
    {"HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_SEC_FETCH_SITE": "same-site"},
    {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": HTTPS},
    {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_ORIGIN": "https://sibling.app.example"},
    {"HTTP_SEC_FETCH_SITE": ""},
    {"HTTP_SEC_FETCH_SITE": "same-origin, cross-site"},
    {"HTTP_SEC_FETCH_SITE": "Same-Origin"},
    {"HTTP_ORIGIN": "null"},
    {"HTTP_ORIGIN": ""},
    {"HTTP_ORIGIN": "https://evil.example"},
    {"HTTP_ORIGIN": "https://app.example.evil.example"},
    {"HTTP_ORIGIN": "https://evilapp.example"},
    {"HTTP_ORIGIN": "https://sub.app.example"},
    {"HTTP_ORIGIN": "http://app.example"},
    {"HTTP_ORIGIN": "https://app.example:8443"},
    {"HTTP_ORIGIN": "https://app.example@evil.example"},
    {"HTTP_ORIGIN": "https://app.example, https://evil.example"},
    {"HTTP_ORIGIN": "https://app.example/"},
    {"HTTP_ORIGIN": "http://localhost"},
    {"HTTP_ORIGIN": "https://evil.example", "HTTP_HOST": "evil.example"},
]


@pytest.fixture
def auth():
    auth = middleware(base_url=HTTPS)
    person(auth)
    return auth


class House:
    """An administrator signed in, a colleague with open links in the mailbox, and for every route that changes
    something what would change it."""

    def __init__(self) -> None:
        self.store, mailer = MemoryStore(), MemoryMailer()
        self.mails = mailer.outbox
        self.auth = middleware(base_url=HTTPS, store=self.store, mailer=mailer)
        person(self.auth, "admin@example.com", role="admin")
        person(self.auth, "suzuki@example.com")
        now, suzuki = time.time(), signed_in(self.auth, "suzuki@example.com")
        self.store.add_email_change(EmailChange("k", "1", "admin@example.com", "mori@example.com", now, now + 3600))
        new = {"email": "yamada@example.com", "password": PASSWORD}
        ask(self.auth, "POST", "/-/auth/account/email", form=new, cookie=suzuki)
        ask(self.auth, "POST", "/-/auth/forgot", form={"email": "suzuki@example.com"})
        self.store.add_factor(a_factor("app:2", "2"))
        guest = person(self.auth, "guest@example.com", password=None)
        self.cookie = signed_in(self.auth, "admin@example.com")
        ask(self.auth, "POST", f"/-/auth/staff/{guest.id}/invite", form={}, cookie=self.cookie)
        secret, new, sealed = self.prove_both_steps()
        passkeys = self.auth._services.passkeys
        soft = enrol_passkey(self.auth, self.auth.accounts.find("suzuki@example.com"))
        options = passkeys.creation_options("1", "ab" * 32, "admin@example.com", "", [])
        chosen = {"password": "midori-no-oka-to-kaze"}
        given: dict[str, dict[str, str]] = {
            "login": {"email": "suzuki@example.com", "password": PASSWORD},
            "login/second": {"code": code_of(secret)},
            "login/passkey": {"credential": soft.get(passkeys.request_options("login"))},
            "forgot": {"email": "admin@example.com"},
            self.mailed("reset"): chosen,
            self.mailed("invite"): chosen,
            "account/confirm": {"password": PASSWORD, "code": code_of(secret)},
            "account/security/app": {"setup": sealed, "code": code_of(new), "replace": "1"},
            "account/security/codes": {},
            "account/security/passkeys": {"credential": SoftPasskey(HTTPS).create(options)},
            "account/security/two-step": {"on": "0"},
            "account/security/remove": {"factor": "passkey:a"},
            "account/security/rename": {"factor": "passkey:a", "name": "Work"},
            "account/password": {"current_password": PASSWORD, **chosen},
            "account/email": {"email": "sato@example.com", "password": PASSWORD},
            self.mailed("email/confirm"): {},
            self.mailed("email/cancel"): {},
            "account/profile": {"notify_email": "elsewhere@example.com", "language": "ja"},
            "account/sessions/end": {"all": "1"},
            "staff/create": {"email": "sato@example.com", "role": "admin", **chosen},
            "staff/bulk": {"emails": "sato@example.com", "role": "admin", "confirm": "1", **chosen},
            "staff/2/active": {"active": "0"},
            "staff/2/password": chosen,
            f"staff/{guest.id}/invite": {},
            "staff/2/email": {"email": "sato@example.com"},
            "staff/2/role": {"role": "admin"},
            "staff/2/profile": {"name": "Sato", "memo": "x", "notify_email": ""},
            "staff/2/sessions": {"all": "1"},
            "staff/2/security": {"reset": "1"},
            "language": {"lang": "ja"},
        }
        found = {id(routes.find(path)[0]): path for path in given}
        self.sent: dict[str, dict[str, str]] = {}
        """What each route is sent, in the order of the routes: a form without fields needs no line above."""
        for route in (one for one in ROUTES if "POST" in one.views):
            path = found.get(id(route), route.path.replace("<id>", "2"))
            needs_none = set(interface_of(route.views["POST"]).fields) <= {"next"}
            assert path in given or needs_none, f"what is {path} sent?"
            self.sent[path] = given.get(path, {})

    def prove_both_steps(self) -> tuple[str, str, str]:
        """Give the administrator an app, a passkey, two sessions of both steps, and a sign-in that waits for its second
        step. Returns the app's secret, and a new one with its sealed text."""
        services = self.auth._services
        admin = services.users.find_by_email("admin@example.com")
        secret = enrol_app(self.auth, admin)
        store_passkey(self.auth, admin.id, "passkey:a", "a")
        state = services.account_states.account_state(admin.id)
        proved = {"persistent": True, "means": "password,app", "second_at": time.time()}
        _other, value = (services.sessions.open(admin, state, Client(), **proved)[1] for _ in range(2))
        name, pending = self.cookie.partition("=")[0], services.second_links.make(admin, state, "1")
        self.cookie = f"{name}={value}; __Host-nipo_second={pending}"
        new = services.factors.setup(admin.id, state.revocation_counter)
        return secret, totp.key_text(new.secret), new.sealed

    def mailed(self, kind: str) -> str:
        links = [link_in(mail) for mail in self.mails if f"/-/auth/{kind}/" in mail.text]
        return links[-1].removeprefix(f"{HTTPS}/-/auth/")

    def state(self) -> object:
        persistent = {name: dict(value) for name, value in vars(self.store).items() if isinstance(value, dict)}
        # A session is used by each request, whatever becomes of it.
        del persistent["_usage"]
        return persistent, [row for row in events(self.auth) if row.event != "cross_site_refused"], list(self.mails)


@pytest.fixture(scope="module")
def house():
    """One for all that is sent from elsewhere, since nothing of it may leave a trace."""
    return House()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
@each("headers", FOREIGN)
def test_cs1_nothing_from_elsewhere_changes_anything(house, headers, method):
    before = house.state()
    for route, fields in {**house.sent, **READ}.items():
        for accept in ("text/html", "application/json"):
            sent = {"HTTP_ACCEPT": accept, **headers}
            answer = ask(house.auth, method, f"/-/auth/{route}", form=fields, cookie=house.cookie, **sent)
            assert answer.status == 403, route
            assert answer.all("Set-Cookie") == []
            if accept == "application/json":
                assert answer.code == "cross_site"
    assert house.state() == before


def test_cs1_cs2_rd6_the_same_from_our_own_pages_is_done_and_never_sent_again():
    house = House()
    changing = [route for route in ROUTES if "POST" in route.views]
    assert {id(route) for route in changing} == {id(routes.find(sent)[0]) for sent in house.sent}, "every one is tried"
    for number in range(len(changing)):
        house = House()
        route, fields = list(house.sent.items())[number]
        own = {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": HTTPS}
        before = house.state()
        answer = ask(house.auth, "POST", f"/-/auth/{route}", form=fields, cookie=house.cookie, **own)
        assert answer.status in {200, 303}, route
        assert house.state() != before or route in {"language", "staff/2/unlock"}, route


@pytest.mark.parametrize(
    "headers",
    [
        *(
            {"HTTP_SEC_FETCH_SITE": site, "HTTP_ORIGIN": origin}
            for site in ("same-origin", "none")
            for origin in ("null", HTTPS, "https://evil.example")
        ),
        {"HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_ORIGIN": HTTPS},
        {},
    ],
    ids=json.dumps,
)
def test_cs2_the_honest_pass(auth, headers):
    answer = login(auth, **headers)
    assert answer.status == 303
    mine = session_pair(answer)
    assert ask(auth, "POST", "/-/auth/language", form={"lang": "ja"}, cookie=mine, **headers).status == 303
    assert ask(auth, "POST", "/-/auth/logout", form={}, cookie=mine, **headers).status == 303
    assert who(auth, mine) == ""


def test_cs2_a_default_port_and_a_development_set_up_pass():
    auth = middleware(base_url="https://app.example:8443/mount")
    person(auth)
    assert login(auth, HTTP_ORIGIN="https://app.example:8443").status == 303
    assert login(auth, HTTP_ORIGIN="https://app.example").status == 403
    here = middleware(base_url="http://localhost:5000")
    person(here)
    for origin in ("http://localhost:5000", "http://127.0.0.1:8000", "http://[::1]:8000", "http://x.localhost"):
        assert login(here, HTTP_ORIGIN=origin).status == 303, origin
    for origin in ("http://localhost.evil.example", "http://evil.example", "null", "https://evil.example/localhost"):
        assert login(here, HTTP_ORIGIN=origin).status == 403, origin


def test_cs3_nobody_is_signed_in_to_a_strangers_account(auth):
    answer = login(auth, HTTP_SEC_FETCH_SITE="cross-site", HTTP_ORIGIN="https://evil.example")
    assert (answer.status, answer.all("Set-Cookie"), rows(auth)) == (403, [], 0)


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json", "*/*", "", "text/plain"])
@pytest.mark.parametrize("kind", [None, "text/plain", "application/json"])
def test_cs4_accept_weakens_no_check(auth, accept, kind):
    mine = signed_in(auth)
    sibling = {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_SEC_FETCH_MODE": "no-cors", "HTTP_ACCEPT": accept}
    for body in (b"", b"{}"):
        for route in ("logout", "login", "language"):
            answer = ask(auth, "POST", f"/-/auth/{route}", body=body, CONTENT_TYPE=kind, cookie=mine, **sibling)
            assert answer.status == 403
    assert who(auth, mine) == "1"


@pytest.mark.parametrize(
    "kind",
    [
        *(
            "text/plain",
            "text/json",
            "application/json-patch",
            "application/json, text/plain",
            "text/plain, application/json",
        ),
        *("application/problem+json", "application/x-json", "application/jsonp", "text/plain; application/json", "*/*"),
    ],
)
def test_cs4_json_is_named_by_its_exact_type(auth, kind):
    body = json.dumps({"email": "tanaka@example.com", "password": PASSWORD}).encode()
    answer = ask(auth, "POST", "/-/auth/login", body=body, CONTENT_TYPE=kind, HTTP_ACCEPT="application/json")
    assert (answer.status, rows(auth)) == (415, 0)


def test_cs6_origin_is_compared_with_base_url_and_not_with_host(auth):
    for host in ("evil.example", "app.example"):
        answer = login(auth, HTTP_HOST=host, HTTP_ORIGIN="https://evil.example", HTTP_X_FORWARDED_HOST="evil.example")
        assert (answer.status, rows(auth)) == (403, 0)
    assert login(auth, HTTP_HOST="10.0.0.1:8000", HTTP_ORIGIN=HTTPS).status == 303


@pytest.mark.parametrize("kind", ["text/plain", None, "", "application/csp-report", "multipart/form-data; boundary=x"])
def test_cs7_types_that_forms_elsewhere_can_send_carry_nothing(auth, kind):
    good = {"email": "tanaka@example.com", "password": PASSWORD}
    for body in (json.dumps(good).encode(), b"email=tanaka@example.com&password=" + PASSWORD.encode()):
        answer = ask(auth, "POST", "/-/auth/login", body=body, CONTENT_TYPE=kind)
        assert (answer.status, rows(auth)) == (415, 0)


def test_cs8_no_method_is_overridden_and_reading_changes_nothing(auth):
    mine = signed_in(auth)
    before = rows(auth), len(events(auth))
    good = f"email=tanaka%40example.com&password={PASSWORD}&remember=1&lang=ja"
    for override in ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD", "HTTP_X_METHOD_OVERRIDE"):
        for method in ("GET", "HEAD", "OPTIONS"):
            for route in ("login", "logout", "language", "account", "session"):
                more = {override: "POST", "HTTP_COOKIE": mine}
                query = f"{good}&_method=POST&_METHOD=POST&method=post"
                answer = ask(
                    auth, method, f"/-/auth/{route}", query=query, body=good.encode(), CONTENT_TYPE=FORM, **more
                )
                assert answer.status in {200, 303, 405}
                assert answer.all("Set-Cookie") == []
    assert (rows(auth), len(events(auth))) == before
    assert who(auth, mine) == "1"
    assert ask(auth, "GET", "/-/auth/login", query=good).all("Set-Cookie") == []


def test_cs9_reading_gives_nothing_that_is_of_use_elsewhere(auth):
    mine = signed_in(auth)
    foreign = {"HTTP_ORIGIN": "https://evil.example", "HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ACCEPT": "*/*"}
    for route in ("login", "session", "account", "logout"):
        answer = ask(auth, path=f"/-/auth/{route}", cookie=mine, query="callback=x", **foreign)
        assert not any(part in answer.text for part in mine.partition("=")[2].split("."))
        assert not any(name.lower().startswith("access-control") for name, _ in answer.headers)
        assert answer.get("X-Content-Type-Options") == "nosniff", "no script is read out of it"
    assert isinstance(json.loads(ask(auth, path="/-/auth/session", cookie=mine, query="callback=x").body), dict)


@pytest.mark.parametrize("ending", ["signed out", "never there"])
def test_cs10_a_form_sent_without_a_session_is_neither_kept_nor_replayed(ending):
    inner = Inner()
    auth = middleware(inner)
    person(auth)
    mine = signed_in(auth) if ending == "signed out" else ""
    if mine:
        ask(auth, "POST", "/-/auth/logout", cookie=mine)
    answer = ask(auth, "POST", "/reports", form={"text": "marker"}, cookie=mine)
    assert answer.status == 401
    assert "marker" not in answer.text
    again = login(auth, cookie=mine)
    assert ask(auth, path="/reports", cookie=session_pair(again)).status == 200
    assert [environ["REQUEST_METHOD"] for environ in inner.seen] == ["GET"]


def test_cs11_x_requested_with_is_no_exemption(auth):
    mine = signed_in(auth)
    ajax = {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest", "HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_X_CSRF_TOKEN": "x"}
    assert ask(auth, "POST", "/-/auth/logout", cookie=mine, **ajax).status == 403
    assert login(auth, **ajax).status == 403
    assert who(auth, mine) == "1"


def test_cs12_no_cors_grant_anywhere():
    inner = Inner()
    auth = middleware(inner, base_url=HTTPS, public_paths=("/open/*",))
    person(auth)
    mine = signed_in(auth)
    for path in [
        *(f"/-/auth/{route}" for route in (*READ, "login", "logout", "forgot", "reset/x", "language")),
        "/page",
        "/open",
    ]:
        for method in ("OPTIONS", "GET", "POST"):
            for cookie in ("", mine):
                answer = ask(
                    auth,
                    method,
                    path,
                    cookie=cookie,
                    HTTP_ORIGIN="https://evil.example",
                    HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
                    HTTP_ACCESS_CONTROL_REQUEST_HEADERS="content-type,authorization",
                )
                assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]
