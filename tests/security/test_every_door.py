"""Every door that changes proof, address, state or role: row AK7 of what must hold.

The doors are taken from the routes, the methods of `auth.accounts` and the verbs of the command line. Each is either
used here or named among those that end nothing, with the reason. What is in neither list is watched: it may change none
of these.
"""

from __future__ import annotations

import inspect
import io
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nipo_auth_mw._flows.audit import AuditFilter, everything
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.cli import main
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, SoftPasskey, code_of, fast_hasher
from nipo_auth_mw.testing.contracts.factors import a_factor
from tests.commands import arguments_of, commands
from tests.kit import PASSWORD, WRONG, browser, middleware, person, seen, sign_in, store_passkey
from tests.security.test_command_line import READS, STORELESS
from tests.security.test_cross_site import House as EveryRoute
from tests.security.tools import HTTPS, ask

pytestmark = pytest.mark.usefixtures("quick_hashes")
KEY = "the-servers-key-" * 3
EMAIL, NEW, LONG = "tanaka@example.com", "hanako@example.com", "midori-no-oka-to-kaze"


@dataclass
class House:
    """One account with two browsers, two links, and two server processes over one database."""

    folder: Path
    stores: list[SQLStore] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mailer = MemoryMailer()
        self.here, self.there = (self._process() for _ in range(2))
        self.own, self.chief = browser(self.here), browser(self.here)
        self.other, self.known = browser(self.there), browser(self.there)

    def move_in(self) -> None:
        self.user = person(self.here, EMAIL)
        self.boss = person(self.here, "boss@example.com", role="admin")
        person(self.here, "boss2@example.com", role="admin")
        for device, email in ((self.own, EMAIL), (self.other, EMAIL), (self.chief, "boss@example.com")):
            assert sign_in(device, email).status_int == 303
        for cookie in self.other.cookiejar:
            if "device" in cookie.name:
                self.known.cookiejar.set_cookie(cookie)

    def copied(self, folder: Path) -> House:
        """A house in this folder, with the people, sessions and cookies of this one, which is closed."""
        shutil.copy(self.folder / "auth.db", folder / "auth.db")
        copy = House(folder)
        copy.user, copy.boss = self.user, self.boss
        for name in ("own", "chief", "other", "known"):
            for cookie in getattr(self, name).cookiejar:
                getattr(copy, name).cookiejar.set_cookie(cookie)
        return copy

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def _process(self) -> Any:
        store = SQLStore(f"sqlite:///{self.folder / 'auth.db'}")
        self.stores.append(store)
        return middleware(store=store, hasher=fast_hasher(), secret_key=KEY, mailer=self.mailer)

    def links(self) -> dict[str, str]:
        """A reset link and a confirm link, as they stand in mails now."""
        browser(self.here).post("/-/auth/forgot", {"email": EMAIL})
        self.own.post("/-/auth/account/email", {"email": NEW, "password": PASSWORD})
        found = [re.search(r"/-/auth/(reset|email/confirm|email/cancel)/\S+", mail.text) for mail in self.mailer.outbox]
        return {match[1]: match[0] for match in found if match}

    def add_app(self) -> Any:
        setup = self.own.get("/-/auth/account/security/app", headers={"Accept": "application/json"}).json
        return self.own.post("/-/auth/account/security/app", {"setup": setup["setup"], "code": code_of(setup["key"])})

    def add_passkey(self) -> Any:
        options = self.own.get("/-/auth/account/security/passkeys", headers={"Accept": "application/json"}).json
        credential = SoftPasskey().create(options["options"])
        return self.own.post("/-/auth/account/security/passkeys", {"credential": credential})

    def security(self, what: str, **fields: str) -> Any:
        """A change by a user who has proved both steps, with two passkeys and no app."""
        services = self.here._services
        for name in ("a", "b"):
            store_passkey(self.here, self.user.id, f"passkey:{name}", name)
        services.account_states.update_account_state(
            self.user.id,
            (state := services.account_states.account_state(self.user.id)).having(two_step=time.time()),
            expected=state,
        )
        cookie = next(one.value for one in self.own.cookiejar if "nipo_auth" in one.name).strip('"')
        services.sessions.confirm(services.sessions.find(cookie).stored, "password,passkey")
        return self.own.post(f"/-/auth/account/security/{what}", fields)

    def staff(self, what: str, **fields: str) -> Any:
        return self.chief.post(f"/-/auth/staff/{self.user.id}/{what}", fields)

    def enrolled(self) -> bool:
        """Give the account a proof of a second step."""
        return bool(self.here._services.factor_store.add_factor(a_factor(f"app:{self.user.id}", self.user.id)))

    def cli(self, *arguments: str, code: int = 0) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NIPO_AUTH_SECRET_KEY", KEY)
            patch.setattr("sys.stdin", io.StringIO(f"{LONG}\n"))
            with pytest.raises(SystemExit) as done:
                main(["--store", f"sqlite:///{self.folder / 'auth.db'}", *arguments])
        assert (done.value.code or 0) == code, arguments

    def alive(self, path: str) -> bool:
        return browser(self.there).get(path, expect_errors=True).status_int == 200

    def knows_the_device(self) -> bool:
        """Whether the other browser is still a known device: five wrong passwords from outside do not lock it."""
        services = self.there._services
        account = services.users.get(self.user.id)
        cookie = next((one.value for one in self.known.cookiejar), None)
        state = services.account_states.account_state(self.user.id)
        return services.known_devices.known(cookie, account, state) is not None


@dataclass(frozen=True)
class Door:
    """What a door does, and what it ends: by default everything of the account."""

    act: Callable[[House, dict[str, str]], Any]
    sessions: bool = True
    links: bool = True
    devices: bool = True
    own: bool = True
    """Whether the browser that acts is signed out, too."""


ROUTE_DOORS: dict[str, Door] = {
    "reset/<token>": Door(lambda house, links: browser(house.here).post(links["reset"], {"password": LONG})),
    "account/password": Door(
        lambda house, _: house.own.post("/-/auth/account/password", {"current_password": PASSWORD, "password": LONG}),
        own=False,
    ),
    "account/security/app": Door(lambda house, _: house.add_app(), own=False),
    "account/security/passkeys": Door(lambda house, _: house.add_passkey(), own=False),
    "account/security/two-step": Door(lambda house, _: house.security("two-step", on="0"), own=False),
    "account/security/remove": Door(lambda house, _: house.security("remove", factor="passkey:b"), own=False),
    "email/confirm/<token>": Door(lambda house, links: browser(house.here).post(links["email/confirm"])),
    "email/cancel/<token>": Door(lambda house, links: browser(house.here).post(links["email/cancel"])),
    "account/sessions/end": Door(
        lambda house, _: house.own.post("/-/auth/account/sessions/end", {"all": "1", "session": "others"}),
        links=False,
        devices=False,
        own=False,
    ),
    "staff/<id>/active": Door(lambda house, _: house.staff("active", active="0")),
    "staff/<id>/password": Door(lambda house, _: house.staff("password", password=LONG)),
    "staff/<id>/email": Door(lambda house, _: house.staff("email", email=NEW)),
    "staff/<id>/sessions": Door(lambda house, _: house.staff("sessions", all="1"), links=False, devices=False),
    "staff/<id>/security": Door(lambda house, _: house.enrolled() and house.staff("security", reset="1")),
    "staff/<id>/delete": Door(lambda house, _: house.staff("delete")),
}
ROUTES_THAT_END_NOTHING = {
    "invite/<token>": "an account without a password, which has no sessions",
    "staff/<id>/role": "the role is read at each request",
}
"""Those that change a proof, address, state or role all the same, here and below. Any other must change none."""
METHOD_DOORS: dict[str, Door] = {
    "set_password": Door(lambda house, _: house.here.accounts.set_password(house.user.id, LONG)),
    "set_active": Door(lambda house, _: house.here.accounts.set_active(house.user.id, False)),
    "change_email": Door(lambda house, _: house.here.accounts.change_email(house.user.id, NEW)),
    "delete": Door(lambda house, _: house.here.accounts.delete(house.user.id)),
}
METHODS_THAT_END_NOTHING = {"set_role": "the role is read at each request"}
VERB_DOORS: dict[str, Door] = {
    "user password": Door(lambda house, _: house.cli("user", "password", house.user.id, "--password-stdin")),
    "user disable": Door(lambda house, _: house.cli("user", "disable", house.user.id)),
    "user delete": Door(lambda house, _: house.cli("user", "delete", house.user.id, "--yes")),
    "user security": Door(lambda house, _: house.enrolled() and house.cli("user", "security", EMAIL, "--reset")),
    "user email": Door(lambda house, _: house.cli("user", "email", house.user.id, NEW)),
    "session end": Door(
        lambda house, _: house.cli("session", "end", house.user.id, "--all"), links=False, devices=False
    ),
}
VERBS_THAT_END_NOTHING = {"user role": "the role is read at each request"}
DOORS = {
    **{f"POST {name}": door for name, door in ROUTE_DOORS.items()},
    **{f"accounts.{name}": door for name, door in METHOD_DOORS.items()},
    **{f"nipo-auth {name}": door for name, door in VERB_DOORS.items()},
}


def test_ak7_every_door_is_known() -> None:
    posts = {route.path for route in ROUTES if "POST" in route.views}
    assert posts >= set(ROUTE_DOORS) | set(ROUTES_THAT_END_NOTHING)
    assert {method for route in ROUTES for method in route.views} == {"GET", "POST"}
    assert set(methods()) >= set(METHOD_DOORS) | set(METHODS_THAT_END_NOTHING)
    assert set(commands()) >= set(VERB_DOORS) | set(VERBS_THAT_END_NOTHING)


def methods() -> dict[str, Any]:
    """Every method of `auth.accounts`, by name."""
    return {name: one for name, one in inspect.getmembers(Accounts, callable) if not name.startswith("_")}


def proofs(auth: Any) -> dict[str, Any]:
    """What each account proves itself by, its address, state and role."""
    services = auth._services
    return {
        account.id: (
            (account.password_hash, account.email, account.active, account.role),
            services.account_states.account_state(account.id).two_step,
            {(factor.key, factor.data) for factor in services.factor_store.factors_of(account.id)},
        )
        for account in services.directory.search("", after=None, limit=100)
    }


@contextmanager
def watched(auth: Any, name: str, changing: set[str]) -> Iterator[None]:
    """Add the name to `changing` if what is done inside changes the proofs of an account that was there before."""
    before = proofs(auth)
    yield
    after = proofs(auth)
    if before != {user_id: after.get(user_id) for user_id in before}:
        changing.add(name)


def test_ak7_a_route_of_neither_list_changes_nothing_that_ends_sessions() -> None:
    listed = {*ROUTE_DOORS, *ROUTES_THAT_END_NOTHING}
    changing: set[str] = set()
    for number, route in enumerate(route for route in ROUTES if "POST" in route.views):
        house = EveryRoute()
        path, fields = list(house.sent.items())[number]
        with watched(house.auth, route.path, changing):
            answer = ask(house.auth, "POST", f"/-/auth/{path}", form=fields, cookie=house.cookie, HTTP_ORIGIN=HTTPS)
        assert answer.status in {200, 303}, path
    assert changing <= listed
    # Two end sessions alone, and the link that takes back has nothing to take back yet.
    assert listed - changing == {"account/sessions/end", "staff/<id>/sessions", "email/cancel/<token>"}


def test_ak7_a_method_or_command_of_no_list_changes_nothing_that_ends_sessions(house: House) -> None:
    changing: set[str] = set()
    given = {"email": "sato@example.com", "user_id": house.user.id, "name": "Sato", "role": "admin", "actor": "script"}
    for name in (one for one in methods() if one not in METHOD_DOORS | METHODS_THAT_END_NOTHING):
        needed = [one for one in inspect.signature(methods()[name]).parameters.values() if one.default is one.empty]
        with watched(house.here, name, changing):
            getattr(house.here.accounts, name)(**{one.name: given[one.name] for one in needed if one.name != "self"})
    guest = person(house.here, "guest@example.com", password=None)
    given["address"] = NEW
    (house.folder / "user import").write_text("email\nyamada@example.com\n", "utf-8")
    others = READS | STORELESS | set(VERB_DOORS) | set(VERBS_THAT_END_NOTHING)
    for verb in (one for one in commands() if one not in others):
        values = {
            **given,
            "email": f"{verb.split()[-1]}@example.net",
            "who": guest.id if verb == "user invite" else house.user.id,
        }
        values["file"] = str(house.folder / verb)
        with watched(house.here, verb, changing):
            # Both need a mailer.
            house.cli(*verb.split(), *arguments_of(verb, values), code={"mail send": 2, "mail test": 2}.get(verb, 0))
    assert changing == set()


@pytest.fixture(scope="module")
def first_house(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> House:
    """Closed: what each test gets is a copy."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(empty_database, folder / "auth.db")
    made = House(folder)
    made.move_in()
    made.close()
    return made


@pytest.fixture
def house(first_house: House, tmp_path: Path) -> Iterator[House]:
    made = first_house.copied(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_ak7_a_door_ends_what_it_must_in_another_process_at_once(house: House, door: Door) -> None:
    links = house.links()
    assert seen(house.other) == house.user.id
    assert house.alive(links["reset"])
    assert house.alive(links["email/confirm"])
    assert house.knows_the_device()
    done = door.act(house, links)
    assert done is None or getattr(done, "status_int", 303) in {200, 303}
    assert (seen(house.other) == "") is door.sessions
    assert (seen(house.own) == "") is door.own
    assert house.there._services.session_store.sessions_of(house.user.id) == [] or not door.own
    assert house.alive(links["reset"]) is not door.links
    assert house.alive(links["email/confirm"]) is not door.links
    assert house.knows_the_device() is not door.devices


def test_ak7_enabling_brings_back_nothing(house: House) -> None:
    links = house.links()
    house.here.accounts.set_active(house.user.id, False)
    house.there.accounts.set_active(house.user.id, True)
    assert seen(house.other) == seen(house.own) == ""
    assert not house.alive(links["reset"])
    assert not house.knows_the_device()
    house.cli("user", "disable", house.user.id)
    house.cli("user", "enable", house.user.id)
    assert sign_in(house.known, EMAIL, WRONG).status_int == 401


@pytest.mark.parametrize("by", ["page", "script"])
def test_ak7_a_role_is_another_at_the_next_request_of_another_process(house: House, by: str) -> None:
    house.here.accounts.set_role(house.user.id, "admin")
    assert house.other.get("/-/auth/staff", expect_errors=True).status_int == 200
    if by == "page":
        house.staff("role", role="staff")
    else:
        house.here.accounts.set_role(house.user.id, "staff")
    assert house.other.get("/-/auth/staff", expect_errors=True).status_int == 403
    assert seen(house.other) == house.user.id


def test_ak7_a_download_ends_with_the_right_to_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nipo_auth_mw._flows.audit._AT_ONCE", 2)
    services = house.here._services
    session = services.sessions.find(next(c.value for c in house.chief.cookiejar if "nipo_auth" in c.name).strip('"'))
    for lose, many in ((lambda: None, 5), (lambda: house.here.accounts.set_role(house.boss.id, "staff"), 2)):
        events = everything(services, AuditFilter(), reader=session)
        first = next(events)
        lose()
        rest = list(events)
        assert (len([first, *rest]) > 4) is (many > 2)
        assert many > 2 or len(rest) <= 3
