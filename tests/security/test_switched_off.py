"""Row AK3: what a setting or a missing capability switches off is not served."""

from __future__ import annotations

from typing import Any

import pytest

from nipo_auth_mw import protocols
from nipo_auth_mw._web.route import Route
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, link_in
from tests.each import each
from tests.kit import PASSWORD, middleware, person
from tests.security.tools import HTTPS, ask, signed_in

KEY = "one key for both set-ups of a test, "


class Only:
    """The methods of these protocols of an object, and no other."""

    def __init__(self, inner: Any, *kept: type) -> None:
        names = {name for protocol in kept for base in protocol.__mro__ for name in vars(base) if name[0] != "_"}
        for name in names:
            setattr(self, name, getattr(inner, name))


def without_directory(store):
    return {"users": Only(store, protocols.UserStore, protocols.EmailStore)}


def without_email_store(store):
    return {"users": Only(store, protocols.UserStore, protocols.StaffDirectory)}


def without_email_changes(store):
    return {"sessions": Only(store, protocols.SessionStore, protocols.AccountStateStore)}


OFF = {
    "no mailer": lambda store: {"mailer": None},
    "no directory": without_directory,
    "no e-mail store": without_email_store,
    "no e-mail changes": without_email_changes,
    "one language": lambda store: {"languages": ("en",)},
    "nothing": lambda store: {"mailer": None, "languages": ("en",), "users": Only(store, protocols.UserStore)},
}


class Site:
    """A set-up without something, an administrator and a user in it, and links from before it was taken away."""

    def __init__(self, off: str) -> None:
        self.store = MemoryStore()
        mailer = MemoryMailer()
        before = middleware(base_url=HTTPS, secret_key=KEY, store=self.store, mailer=mailer)
        person(before, role="admin")
        person(before, "suzuki@example.com")
        ask(before, "POST", "/-/auth/forgot", form={"email": "suzuki@example.com"})
        change = {"email": "hanako@example.com", "password": PASSWORD}
        ask(before, "POST", "/-/auth/account/email", form=change, cookie=signed_in(before, "suzuki@example.com"))
        self.links = [link_in(mail).removeprefix(HTTPS) for mail in mailer.outbox]
        self.auth = middleware(base_url=HTTPS, secret_key=KEY, store=self.store, **OFF[off](self.store))
        self.cookie = signed_in(self.auth)

    def path(self, route: Any) -> str:
        start = "/-/auth/" + route.path.partition("<")[0]
        mailed = [link for link in self.links if route.mailed and link.startswith(start)]
        return mailed[0] if mailed else "/-/auth/" + route.path.replace("<id>", "2").replace("<name>", "auth.css")

    def state(self) -> Any:
        accounts = self.store.search("", after=None, limit=100)
        states = [self.store.account_state(account.id) for account in accounts]
        return accounts, states, [len(self.store.sessions_of(account.id)) for account in accounts]


@pytest.fixture(scope="module")
def sites():
    return {off: Site(off) for off in OFF}


FIELDS = {
    "email": "suzuki@example.com",
    "password": "another-" + PASSWORD,
    "lang": "en",
    "active": "0",
    "role": "admin",
}


@pytest.mark.parametrize("off", OFF)
@each("route", ROUTES)
def test_ak3_what_is_switched_off_is_not_served(sites, off, route):
    site = sites[off]
    offered, before = route.offered(site.auth._services), site.state()
    for cookie in ("", site.cookie):
        for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT"):
            for accept in ("text/html", "application/json"):
                sent = {"data": FIELDS} if accept == "application/json" else {"form": FIELDS}
                sent = sent if method == "POST" else {}
                if offered and method == "POST":
                    continue
                answer = ask(site.auth, method, site.path(route), cookie=cookie, HTTP_ACCEPT=accept, **sent)
                assert (answer.status == 404) or offered, (method, accept)
                assert not answer.cookies
    assert site.state() == before


def test_ak3_each_switch_of_the_routes_was_tried(sites):
    switches = {route.offered for route in ROUTES} - {Route("", {}).offered}
    off = {switch for switch in switches for site in sites.values() if not switch(site.auth._services)}
    assert off == switches
    assert all(switch(middleware(mailer=MemoryMailer())._services) for switch in switches)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_ak3_without_a_mailer_no_mail_is_asked_for(sites, accept):
    site = sites["no mailer"]
    before = site.state()
    answer = ask(site.auth, "POST", "/-/auth/forgot", form={"email": "suzuki@example.com"}, HTTP_ACCEPT=accept)
    assert answer.status == 404
    assert site.state() == before


@pytest.mark.parametrize("off", OFF)
def test_ak3_no_page_links_to_what_is_switched_off(sites, off):
    site = sites[off]
    gone = [route for route in ROUTES if not route.offered(site.auth._services)]
    shown = [route for route in ROUTES if route.offered(site.auth._services) and route.page and "<" not in route.path]
    for route in shown:
        if "GET" in route.views:
            text = ask(site.auth, path=f"/-/auth/{route.path}", cookie=site.cookie).text
            for other in gone:
                assert f'"/-/auth/{other.path.partition("<")[0]}"' not in text, (route.path, other.path)
