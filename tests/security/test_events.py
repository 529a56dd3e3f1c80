"""The audit log over all flows: rows AU1, AU2, AU3 and AU5 of what must hold."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw._web.interface import interface_of
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.errors import MailerError, StoreUnavailable
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, SoftPasskey, code_of, fast_hasher, link_in
from tests.kit import browser, events, middleware, options_on, person, sign_in
from tests.security.corpora.texts import LOG_FORGERIES
from tests.security.tools import ask, login, signed_in

ADMIN, MEMBER, THIRD = "kanri@example.com", "tanaka@example.com", "suzuki@example.com"
JSON = {"Accept": "application/json"}
MARKER = "Zx9-midori-no-kaze"
"""In every password of these tests, so that it can be looked for everywhere."""


class Refusing:
    """A mail server that knows no recipient."""

    def send(self, message: Any) -> None:
        raise MailerError("the server refused the recipient (550)", permanent=True)


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[Any] = []
        self.mailer = MemoryMailer()
        self.store = SQLStore(f"sqlite:///{folder / 'auth.db'}")
        self.store.create_schema()
        self.auth = middleware(
            store=self.store, hasher=fast_hasher(), mailer=self.mailer, listeners=[self.heard.append]
        )
        self.links: list[str] = []

    def link(self, part: str) -> str:
        mail = [m for m in self.mailer.outbox if part in m.text][-1]
        self.links.append(link_in(mail))
        return re.sub(r"^https?://[^/]+", "", self.links[-1])

    def live(self) -> Counter[str]:
        """Every flow once; returns how often each event was written."""
        auth, old = self.auth, f"{MARKER}-1"
        person(auth, ADMIN, password=f"{MARKER}-0", role="admin")
        boss, mine, other = browser(auth), browser(auth), browser(auth, "198.51.100.1")
        self.browsers = [boss, mine, other]
        sign_in(boss, ADMIN, f"{MARKER}-0")
        boss.post("/-/auth/staff/create", {"email": MEMBER, "password": old, "role": "staff"})
        sign_in(mine, MEMBER, old)
        sign_in(other, MEMBER, old)
        sign_in(other, MEMBER, f"{MARKER}-wrong")
        other.post("/-/auth/logout")
        mine.get("/-/auth/staff", expect_errors=True)
        mine.post("/-/auth/account/profile", {"notify_email": "home@example.net"})
        mine.post("/-/auth/account/password", {"current_password": old, "password": f"{MARKER}-2"})
        mine.post("/-/auth/account/confirm", {"password": f"{MARKER}-2"})
        mine.post("/-/auth/account/email", {"email": "new@example.net", "password": f"{MARKER}-2"})
        browser(auth).post(self.link("/email/confirm/"))
        browser(auth).post(self.link("/email/cancel/"))
        browser(auth).post("/-/auth/forgot", {"email": MEMBER})
        reset = self.link("/-/auth/reset/")
        browser(auth).post(reset, {"password": f"{MARKER}-3"})
        browser(auth).post(reset, {"password": f"{MARKER}-4"}, expect_errors=True)
        browser(auth).post("/-/auth/logout", headers={"Sec-Fetch-Site": "cross-site"}, expect_errors=True)
        member = auth.accounts.find(MEMBER).id
        boss.post(f"/-/auth/staff/{member}/role", {"role": "admin"})
        boss.post(f"/-/auth/staff/{member}/active", {"active": "0"})
        sign_in(browser(auth), MEMBER, f"{MARKER}-3")
        boss.post(f"/-/auth/staff/{member}/active", {"active": "1"})
        for number in range(5):
            sign_in(browser(auth, "203.0.113.1"), MEMBER, f"{MARKER}-wrong-{number}")
        boss.post(f"/-/auth/staff/{member}/unlock")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(auth._services.outbox._delivery, "_mailer", Refusing())
            boss.post(f"/-/auth/staff/{member}/password", {"password": f"{MARKER}-5"})
        boss.post(f"/-/auth/staff/{member}/delete")
        self.prove_two_steps(boss)
        # A form without fields needs no line of its own here.
        for route in ROUTES:
            view = route.views.get("POST")
            if view and route.path != "logout" and "<" not in route.path and set(interface_of(view).fields) <= {"next"}:
                boss.post(f"/-/auth/{route.path}", expect_errors=True)
        boss.get("/-/auth/staff.csv")
        guest = boss.post_json("/-/auth/staff/create", {"email": "guest@nippo.invalid", "invite": True}).json
        boss.post(f"/-/auth/staff/{guest['user']['id']}/invite", {"revoke": "1"})
        again = boss.post_json(f"/-/auth/staff/{guest['user']['id']}/invite", {}).json["link"]
        browser(auth).post(again.removeprefix("http://localhost"), {"password": f"{MARKER}-6"})
        for number in range(50):
            sign_in(browser(auth, "203.0.113.9"), f"{MARKER}{number}@example.net", f"{MARKER}-wrong")
        with time_machine.travel(time.time() + 91 * 86400, tick=True):
            auth.sweep()
        return Counter(row.event for row in events(auth))

    def prove_two_steps(self, boss: TestApp) -> None:
        """Every proof of a second step comes, is used and goes."""
        auth, security = self.auth, "/-/auth/account/security"
        third = person(auth, THIRD, password=f"{MARKER}-7")
        mine, other = browser(auth), browser(auth)
        sign_in(mine, THIRD, f"{MARKER}-7")
        setup = mine.get(f"{security}/app", headers=JSON).json
        mine.post_json(f"{security}/app", {"setup": setup["setup"], "code": code_of(setup["key"])})
        code, *_ = mine.post_json(f"{security}/codes", {}).json["codes"]
        self.links += [setup["key"].replace(" ", ""), code, code.replace("-", "")]
        soft = SoftPasskey("http://localhost")
        options = mine.get(f"{security}/passkeys", headers=JSON).json["options"]
        mine.post_json(f"{security}/passkeys", {"credential": soft.create(options)})
        soft.flags_off = 4  # the user is not verified
        credential = soft.get(options_on(other.get("/-/auth/login")))
        soft.flags_off = 0
        other.post_json("/-/auth/login/passkey", {"credential": credential}, status=401)
        passkey = mine.get(security, headers=JSON).json["passkeys"][0]["id"]
        mine.post_json(f"{security}/rename", {"factor": passkey, "name": "phone"})
        mine.post_json(f"{security}/remove", {"factor": passkey})
        sign_in(other, THIRD, f"{MARKER}-7")
        for _ in range(5):
            other.post_json("/-/auth/login/second", {"code": "abcd-efgh-jkmnp"}, status="*")
        boss.post(f"/-/auth/staff/{third.id}/unlock")
        other.post_json("/-/auth/login/second", {"code": code})
        mine.post_json(f"{security}/two-step", {"on": False})
        options = mine.get(f"{security}/passkeys", headers=JSON).json["options"]
        mine.post_json(f"{security}/passkeys", {"credential": soft.create(options)})
        boss.post(f"/-/auth/staff/{third.id}/security", {"reset": "1"})


@pytest.fixture
def house(tmp_path: Path) -> Any:
    made = House(tmp_path)
    yield made
    made.store.close()


def test_au1_each_event_of_the_contract_is_written_once_for_what_caused_it(house: House) -> None:
    found = house.live()
    several = {"signed_in": 5, "sign_in_failed": 56, "session_ended": 3, "password_changed": 2, "account_created": 4}
    several |= {"email_change_requested": 1, "new_device": 1, "session_expired": 1, "mail_failed": 2, "invited": 2}
    several |= {"second_step_failed": 5, "factor_added": 3}
    assert set(found) == set(EventType.declared), "`House.live` causes every event"
    assert found == Counter({**dict.fromkeys(tuple(EventType.declared), 1), **several})
    assert Counter(event.event for event in house.heard) == found
    assert house.auth._services.seals.verify().wrong == []


def test_au2_every_row_has_its_time_in_utc_and_who_was_meant(house: House, monkeypatch: Any) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        started = time.time()
        house.live()
        reasons = {"sign_in_failed": "reason", "session_ended": "why", "role_changed": "after", "locked": "seconds"}
        for row in events(house.auth):
            assert row.time.utcoffset().total_seconds() == 0
            assert row.event == "session_expired" or started - 1 < row.time.timestamp() < time.time() + 1
            nobodys = {"limited", "cross_site_refused", "link_refused", "sign_in_failed", "staff_exported"}
            assert row.user_id or row.event in nobodys
            assert row.client_address or row.actor in {"script", "sweep", "outbox"}
            assert row.event not in reasons or row.details[reasons[row.event]]
        acts = {"account_disabled", "account_enabled", "account_deleted", "role_changed", "unlocked"}
        assert {(row.user_id, row.actor) for row in events(house.auth, *acts)} == {("2", "1")}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_au3_no_secret_is_in_the_database_a_log_or_an_exception(house: House, caplog: Any, monkeypatch: Any) -> None:
    caplog.set_level(logging.DEBUG)
    house.live()
    services = house.auth._services

    def broken(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable(f"down, {MARKER}")

    for name in ("find_by_email", "set_password_hash"):
        monkeypatch.setattr(services.users, name, broken)
    for path, fields in (
        ("login", {"email": ADMIN, "password": MARKER}),
        ("account/password", {"current_password": MARKER, "password": MARKER}),
        ("account/email", {"email": "x@example.net", "password": MARKER}),
        ("staff/create", {"email": "x@example.net", "password": MARKER}),
        ("staff/1/password", {"password": MARKER}),
    ):
        house.browsers[0].post(f"/-/auth/{path}", fields, expect_errors=True)
    tokens = [link.rpartition("/")[2] for link in house.links]
    cookies = [value for one in house.browsers for value in one.cookies.values()]
    signed = [*tokens, *(cookie for cookie in cookies if len(cookie) > 30)]
    # Without its signature a session's value, or a cancel link's, is the secret itself.
    secrets = [MARKER, *signed, *(value.partition(".")[0] for value in signed if value.count(".") == 1)]
    assert len(secrets) > len(signed) + 2 > 5
    house.store.close()
    stored = b"".join(file.read_bytes() for file in house.folder.iterdir())
    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    told = repr(house.heard) + repr(house.mailer.outbox) + repr(services) + repr(house.auth) + repr(house.auth.config)
    for secret in secrets:
        assert secret.encode() not in stored
        assert secret not in logged
        assert secret not in told


@pytest.mark.parametrize("proxies", [0, 1])
@pytest.mark.parametrize("evil", LOG_FORGERIES, ids=range(len(LOG_FORGERIES)))
def test_au5_nothing_a_request_brings_forges_a_line_of_the_history_or_the_log(
    evil: str, proxies: int, caplog: Any
) -> None:
    """The address typed, the browser's name, the path, the peer, a proxy's header: as a server hands them on."""
    caplog.set_level(logging.DEBUG)
    auth = middleware(trusted_proxies=proxies)
    person(auth, MEMBER, password=f"{MARKER}-0")
    raw = evil.encode("utf-8", "surrogatepass").decode("latin-1")
    sent = {"HTTP_USER_AGENT": raw, "REMOTE_ADDR": raw, "HTTP_X_FORWARDED_FOR": raw}
    mine = signed_in(auth, MEMBER, password=f"{MARKER}-0", **sent)
    for typed in (evil, f"{evil}@example.com", f"{MEMBER}{evil}", f"{evil[:20]}{MEMBER}"):
        login(auth, typed, f"{MARKER}-1", **sent)
        ask(auth, "POST", "/-/auth/forgot", form={"email": typed}, **sent)
    ask(auth, path=f"/-/auth/staff/{raw}", cookie=mine, **sent)
    ask(auth, path=f"/-/auth/reset/{raw}", **sent)
    ask(auth, "POST", f"/-/auth/{raw}", HTTP_SEC_FETCH_SITE="cross-site", **sent)
    rows = events(auth)
    assert {"signed_in", "sign_in_failed", "not_allowed", "cross_site_refused"} <= {row.event for row in rows}
    assert any(row.user_agent for row in rows)
    for row in rows:
        for text in (row.email, row.user_agent, row.client_address, row.actor, *map(str, row.details.values())):
            assert text.isprintable()
            assert len(text) <= 254
    for record in caplog.records:
        assert record.getMessage().isprintable()


@pytest.mark.parametrize("evil", LOG_FORGERIES, ids=range(len(LOG_FORGERIES)))
def test_au5_nothing_typed_forges_a_row_or_steers_a_terminal(evil: str) -> None:
    auth = middleware()
    person(auth, ADMIN, role="admin", password=f"{MARKER}-0")
    boss = browser(auth)
    sign_in(boss, ADMIN, f"{MARKER}-0")
    boss.post("/-/auth/staff/create", {"email": MEMBER, "password": MARKER, "name": evil, "memo": evil})
    member = auth.accounts.find(MEMBER)
    assert "\n" not in member.name
    assert len(member.name) <= 100
    boss.post(f"/-/auth/staff/{member.id}/role", {"role": evil}, expect_errors=True)
    boss.post(f"/-/auth/staff/{member.id}/email", {"email": evil}, expect_errors=True)
    boss.post(f"/-/auth/staff/{member.id}/profile", {"memo": evil, "name": evil}, expect_errors=True)
    boss.post("/-/auth/account/email", {"email": evil, "password": MARKER}, expect_errors=True)
    for row in events(auth):
        for text in (row.email, row.user_agent, row.client_address, row.actor, *map(str, row.details.values())):
            assert text.isprintable()
            assert len(text) <= 254
