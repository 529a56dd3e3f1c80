"""Row AK5: no step of a flow is passed by nothing, or by another step's proof."""

from __future__ import annotations

from typing import Any

import pytest

from nipo_auth_mw._credentials import tokens
from nipo_auth_mw._flows.invitations import invite
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._web.interface import interface_of
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, link_in
from tests.each import each
from tests.kit import PASSWORD, middleware, person
from tests.security.tools import HTTPS, ask, login, signed_in

NEW = "another-" + PASSWORD


class Site:
    """A set-up whose signers are known by their purposes, and a valid token of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.signers: dict[str, Any] = {}
        real = tokens.SignedTokens.__init__

        def remember(signer: Any, secrets: Any, purpose: str, realm: str = "") -> None:
            real(signer, secrets, purpose, realm)
            self.signers[purpose] = signer

        monkeypatch.setattr(tokens.SignedTokens, "__init__", remember)
        self.store, self.mailer = MemoryStore(), MemoryMailer()
        self.auth = middleware(base_url=HTTPS, store=self.store, mailer=self.mailer)
        self.user = person(self.auth)
        cookies = login(self.auth).cookies
        self.session, self.device = cookies["__Host-nipo_auth"], cookies["__Host-nipo_device"]
        ask(self.auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
        change = {"email": "hanako@example.com", "password": PASSWORD}
        ask(self.auth, "POST", "/-/auth/account/email", form=change, cookie=f"__Host-nipo_auth={self.session}")
        self.guest = person(self.auth, "guest@example.com", password=None)
        invite(self.auth._services, self.guest.id, actor=Actor("script"))
        links = [link_in(mail).removeprefix(HTTPS) for mail in self.mailer.outbox]
        self.links = {
            route.path: next(link for link in links if link.startswith("/-/auth/" + route.path.partition("<")[0]))
            for route in ROUTES
            if route.mailed
        }

    def tokens(self) -> dict[str, str]:
        """Each proof that a user may hold, by its step."""
        mailed = {path: link.rpartition("/")[2] for path, link in self.links.items()}
        return {**mailed, "session": self.session, "device": self.device, "flash": "password_reset"}

    def state(self) -> Any:
        accounts = self.store.search("", after=None, limit=100)
        return accounts, [self.store.account_state(one.id) for one in accounts], self.keys()

    def keys(self) -> list[str]:
        return sorted(stored.key for stored in self.store.sessions_of(self.user.id))


@pytest.fixture
def site(monkeypatch):
    return Site(monkeypatch)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.mailed], ids=lambda route: route.path)
def test_ak5_no_other_steps_proof_opens_a_link(site, route):
    before = site.state()
    for step, token in site.tokens().items():
        if step == route.path:
            continue
        path = "/-/auth/" + route.path.replace("<token>", token)
        assert ask(site.auth, path=path).status == 410, step
        assert ask(site.auth, "POST", path, form={"password": NEW}).status == 410, step
    assert site.state() == before
    assert ask(site.auth, path=site.links[route.path]).status == 200


def test_ak5_no_other_steps_proof_is_a_session_or_a_known_device(site):
    for step, token in site.tokens().items():
        cookie = f"__Host-nipo_auth={token}"
        answer = ask(site.auth, path="/page", cookie=cookie)
        assert answer.text.startswith("user=1") == (step == "session"), step
        known = site.auth._services.known_devices.known(token, site.store.get("1"), site.store.account_state("1"))
        assert bool(known) == (step == "device"), step


def test_ak5_a_token_signed_for_another_purpose_is_none(site):
    """Each body under each signer of the code: only its own purpose is believed."""
    doors = {**site.links, "session": ""}
    assert len(site.signers) >= len(doors)
    for step, link in doors.items():
        token = link.rpartition("/")[2] or site.session
        body, _, signature = token.rpartition(".")
        right = [purpose for purpose, signer in site.signers.items() if signer.sign(body) == token]
        assert len(right) == 1, "one purpose has one key"
        for purpose, signer in site.signers.items():
            if purpose in right:
                continue
            other = signer.sign(body)
            assert other.rpartition(".")[2] != signature
            if step == "session":
                assert ask(site.auth, path="/page", cookie=f"__Host-nipo_auth={other}").status == 303, purpose
            else:
                assert ask(site.auth, path=link.replace(token, other)).status == 410, (step, purpose)


NOTHING: list[dict[str, Any]] = [{}, {"form": {}}, {"data": {}}, {"form": {"unknown": "1"}}, {"data": {"step": "2"}}]
NOTHING += [{"form": {"password": ""}}, {"form": {"fresh": "1", "confirmed": "1", "user_id": "1", "session": "1"}}]
NOTHING += [{"form": {"token": "x", "code": "", "remember": "1", "next": "/"}}]
WITHOUT_FIELDS = [
    route
    for route in ROUTES
    if "POST" in route.views
    and route.needs_user
    and not (route.role or route.fresh or set(interface_of(route.views["POST"]).fields) - {"next"})
]
"""A form of a user's own that asks for nothing is no step for that user, and one for everybody else."""
STEPS = [route for route in ROUTES if "POST" in route.views and route.path not in {"logout", "language"}]


@pytest.mark.parametrize("who", ["visitor", "user", "stale user", "temporary password"])
@each("route", STEPS)
def test_ak5_nothing_passes_no_step(site, route, who):
    path = "/-/auth/" + route.path.replace("<id>", "1").replace("<token>", "x")
    cookie = "" if who == "visitor" else f"__Host-nipo_auth={site.session}"
    if who == "temporary password":
        site.auth.accounts.set_password("1", PASSWORD, must_change=True)
        cookie = signed_in(site.auth)
    if who == "stale user":
        (key,) = site.keys()
        site.store.confirm_session(key, 1.0)
    before = site.state()
    for sent in NOTHING:
        answer = ask(site.auth, "POST", path, cookie=cookie, **sent)
        assert answer.status < 500
        assert not any("nipo_auth" in name for name in answer.cookies), "no session is given"
        assert site.state() == before or (who in {"user", "stale user"} and route in WITHOUT_FIELDS), sent


@pytest.mark.parametrize("route", [route for route in ROUTES if route.mailed], ids=lambda route: route.path)
def test_ak5_a_right_link_alone_sets_no_password(site, route):
    before = site.state()
    for sent in NOTHING:
        if route.path.startswith("reset"):
            assert ask(site.auth, "POST", site.links[route.path], **sent).status in {400, 422}
        assert ask(site.auth, path=site.links[route.path]).status == 200
    assert site.state() == before
