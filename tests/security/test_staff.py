"""What administrators may and may not: rows AD1 to AD9 of what must hold, and AU1, AU2, AU7 where they act."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import time_machine

from nipo_auth_mw._flows import staff
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.errors import LastAdmin, StoreUnavailable
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, fast_hasher
from tests.contract.workers import forked
from tests.kit import PASSWORD, WRONG, browser, events, middleware, person, seen, sign_in
from tests.security.tools import breakable

NEXT = "midori-no-kaze-no-oto"
ADMIN, OTHER = "kanri@example.com", "tanaka@example.com"


class House:
    """An administrator and a member, both signed in."""

    def __init__(self, **given: Any) -> None:
        self.mailer = MemoryMailer()
        self.auth = middleware(mailer=self.mailer, **given)
        self.admin = person(self.auth, ADMIN, role="admin", name="管理 担当")
        self.member = person(self.auth, OTHER, name="田中")
        self.boss, self.tanaka = browser(self.auth), browser(self.auth)
        sign_in(self.boss, ADMIN)
        sign_in(self.tanaka, OTHER)

    def post(self, what: str, who: Any = None, by: Any = None, **fields: str) -> Any:
        user = who or self.member
        return (by or self.boss).post(f"/-/auth/staff/{user.id}/{what}", fields, expect_errors=True)


@pytest.fixture
def house() -> House:
    return House()


def on(kind: str, request: Any) -> dict[str, Any]:
    """The arguments for a store of this kind."""
    return {"store": request.getfixturevalue("store")} if kind == "sql" else {}


def link_of(house: House, to: str, part: str) -> str:
    """The path of the newest link of this kind that was mailed there."""
    texts = [m.text for m in house.mailer.outbox if m.to == to]
    return re.findall(rf"https?://[^/\s]+(/-/auth/{part}/\S+)", "\n".join(texts))[-1]


def breaks(store: SQLStore, when: str, table: str, by: str = "INSERT INTO missing VALUES (1)") -> None:
    """Let the database fail at such a statement, with an error that is no constraint's unless `by` raises one."""
    with store._db.writing() as connection:
        connection.exec_driver_sql(f"CREATE TRIGGER broken BEFORE {when} ON nipo_auth_{table} BEGIN {by}; END")


def _paths(user_id: str) -> list[tuple[str, str]]:
    found = [
        (method, route.path.replace("<id>", user_id))
        for route in ROUTES
        if route.path.startswith(("staff", "audit"))
        for method in route.views
    ]
    assert len(found) > 20
    return found


FIELDS = {
    **{"active": "0", "role": "admin", "email": "evil@example.net", "password": NEXT, "must_change": "1"},
    **{"name": "Evil", "memo": "x", "notify_email": "evil@example.net", "emails": "evil@example.net"},
}


@pytest.mark.parametrize(("method", "path"), _paths("1"))
def test_ad1_only_administrators_get_there(house: House, method: str, path: str) -> None:
    def state() -> Any:
        return [house.auth.accounts.get(user_id) for user_id in ("1", "2")], len(house.auth.accounts.search())

    before = state()
    send = {"GET": lambda who: who.get(f"/-/auth/{path}", expect_errors=True)}.get(
        method, lambda who: who.post(f"/-/auth/{path}", FIELDS, expect_errors=True)
    )
    assert send(house.tanaka).status_int == 403
    assert send(browser(house.auth)).status_int in {303, 401}
    as_json = house.tanaka.post_json(f"/-/auth/{path}", {}, expect_errors=True)
    assert as_json.status_int in {403, 405}
    change_account_state(house.auth._services, house.admin.id, password_change_deadline=time.time() + 60)
    assert send(house.boss).status_int in {303, 403}
    change_account_state(house.auth._services, house.admin.id, password_change_deadline=None)
    house.auth._services.directory.update(house.admin.id, active=False)
    assert send(house.boss).status_int in {303, 401}
    house.auth._services.directory.update(house.admin.id, active=True)
    assert state() == before
    assert {row.user_id for row in events(house.auth, "not_allowed")} == {house.member.id}


def test_ad2_a_set_password_ends_all_at_once_and_must_be_changed(house: House) -> None:
    form = house.boss.get("/-/auth/staff/2/password").forms["staff-password"]
    assert form["password"].value == ""
    generated = form.submit(status=200).html.select_one(".slip .big").text
    assert len(generated.replace("-", "")) == 16
    assert generated not in house.boss.get("/-/auth/staff/2").text
    assert [row.user_id for row in events(house.auth, "session_ended")] == [house.member.id]
    assert house.auth._services.session_store.sessions_of(house.member.id) == []
    assert seen(house.tanaka) == ""
    assert sign_in(house.tanaka, OTHER).status_int == 401
    assert sign_in(house.tanaka, OTHER, generated).location.partition("?")[0].endswith("/-/auth/account/password")
    assert seen(house.tanaka) == ""
    for path in ("account", "account/email", "account/confirm"):
        assert "/-/auth/account/password" in house.tanaka.get(f"/-/auth/{path}", status=303).location
    elsewhere = {"email": "new@example.net", "password": generated}
    refused = house.tanaka.post_json("/-/auth/account/email", elsewhere, status=403)
    assert refused.json["code"] == "password_change_required"
    assert house.tanaka.get("/-/auth/session", status=403).json["code"] == "password_change_required"
    change = {"current_password": generated, "password": NEXT}
    assert house.tanaka.post("/-/auth/account/password", change).status_int == 303
    assert seen(house.tanaka) == house.member.id
    assert [m.to for m in house.mailer.outbox][:1] == [OTHER]
    assert generated not in "".join(m.text for m in house.mailer.outbox)


def test_ad2_unused_for_seven_days_it_lets_nobody_in(house: House) -> None:
    house.post("password", password=NEXT, must_change="1")
    with time_machine.travel(time.time() + 8 * 86400, tick=True):
        assert sign_in(browser(house.auth), OTHER, NEXT).status_int == 401
    with time_machine.travel(time.time() + 6.9 * 86400, tick=True):
        assert sign_in(browser(house.auth), OTHER, NEXT).status_int == 303


def test_ad2_without_the_tick_it_is_theirs_for_good(house: House) -> None:
    house.post("password", password=NEXT)
    assert sign_in(house.tanaka, OTHER, NEXT).location.endswith("/")
    with time_machine.travel(time.time() + 8 * 86400, tick=True):
        assert sign_in(browser(house.auth), OTHER, NEXT).status_int == 303


def test_ad2_a_password_that_is_set_is_shown_by_no_later_page(house: House) -> None:
    fields = {"email": OTHER, "password": NEXT, "role": "staff", "name": "Suzuki"}
    refused = house.boss.post("/-/auth/staff/create", fields, status=422)
    form = refused.forms["staff-create"]
    assert (form["name"].value, form["password"].value) == ("Suzuki", NEXT), "nothing typed is lost or replaced"


def test_ad3_a_demoted_or_disabled_administrator_loses_power_at_once(house: House) -> None:
    assert house.boss.get("/-/auth/staff").status_int == 200
    house.auth._services.directory.update(house.admin.id, role="staff")
    assert house.boss.get("/-/auth/staff", expect_errors=True).status_int == 403
    assert house.post("active", active="0").status_int == 403
    house.auth._services.directory.update(house.admin.id, active=False)
    assert house.post("active", active="0").status_int == 401
    assert house.auth.accounts.get(house.member.id).active


@pytest.mark.parametrize(("change", "status"), [({"role": "staff"}, 403), ({"active": False}, 401)])
def test_ad3_what_another_process_wrote_counts_at_the_next_request(store: Any, change: Any, status: int) -> None:
    house = House(store=store, hasher=fast_hasher())
    house.boss.get("/-/auth/staff", status=200)
    assert house.post("profile", memo="before").status_int == 303
    url = str(store._db.engine.url)
    assert os.waitpid(forked(lambda: SQLStore(url).update(house.admin.id, **change)), 0)[1] == 0
    assert house.post("active", active="0").status_int == status
    assert house.boss.get("/-/auth/staff", headers={"Accept": "application/json"}, status=status)
    assert house.auth.accounts.get(house.member.id).active


_OWN_FORMS = {
    "account/profile": {"language": "ja"},
    "account/email": {"email": "new@example.net", "password": PASSWORD},
    "account/password": {"current_password": PASSWORD, "password": NEXT},
    "account/confirm": {"password": PASSWORD},
    "language": {"lang": "ja"},
    "forgot": {"email": OTHER},
    "login": {"email": OTHER, "password": PASSWORD},
}
_MORE = {
    **{"role": "admin", "active": "0", "enabled": "1", "is_admin": "1", "name": "Root", "id": "1", "user_id": "1"},
    **{"memo": "x", "must_change": "1", "password_hash": "x", "revocation_counter": "0"},
    **{"email": "evil@example.net", "password": NEXT},
}


@pytest.mark.parametrize("as_json", [False, True], ids=["form", "json"])
@pytest.mark.parametrize("path", _OWN_FORMS)
def test_ad4_no_form_of_ones_own_takes_what_is_not_in_it(house: House, path: str, as_json: bool) -> None:
    before = [house.auth.accounts.get(user.id) for user in (house.admin, house.member)]
    send = house.tanaka.post_json if as_json else house.tanaka.post
    flags = {"active": False, "must_change": True} if as_json else {}
    assert send(f"/-/auth/{path}", _MORE | flags | _OWN_FORMS[path], expect_errors=True).status_int in {200, 303}
    admin, member = (house.auth.accounts.get(user.id) for user in (house.admin, house.member))
    assert admin == before[0]
    for name in ("id", "email", "role", "active", "name"):
        assert getattr(member, name) == getattr(before[1], name)
    state = house.auth._services.account_states.account_state(house.member.id)
    assert (state.memo, state.password_change_deadline) == ("", None)
    assert house.tanaka.get("/-/auth/staff", expect_errors=True).status_int == 403
    assert sign_in(browser(house.auth), OTHER, _OWN_FORMS[path].get("password", PASSWORD)).status_int == 303


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("profile", {"name", "notify_email", "memo"}),
        ("active", {"active"}),
        ("role", {"role"}),
        ("email", {"email"}),
        ("password", {"password_hash"}),
        ("unlock", set()),
    ],
)
def test_ad4_each_form_of_the_staff_pages_changes_its_own_fields(house: House, what: str, changed: set[str]) -> None:
    def facts() -> dict[str, Any]:
        user, account = house.auth.accounts.get(house.member.id), house.auth._services.users.get(house.member.id)
        names = ("id", "email", "role", "active", "name", "language", "notify_email")
        memo = house.auth._services.account_states.account_state(house.member.id).memo
        return {name: getattr(user, name) for name in names} | {"password_hash": account.password_hash, "memo": memo}

    before = facts()
    assert house.post(what, **FIELDS).status_int == (200 if what == "password" else 303)
    after = facts()
    assert {name for name in after if after[name] != before[name]} == changed
    assert sign_in(browser(house.auth), ADMIN).status_int == 303


def test_ad5_an_id_that_is_sent_is_ignored(house: House) -> None:
    fields = {"id": house.admin.id, "user_id": house.admin.id, "email": "new@example.net", "password": NEXT}
    house.boss.post("/-/auth/staff/create", fields, status=200)
    assert house.auth.accounts.find("new@example.net").id not in {house.admin.id, house.member.id}
    house.boss.post_json("/-/auth/staff/create", fields | {"email": "json@example.net"}, status=200)
    assert house.auth.accounts.get(house.admin.id).email == ADMIN
    assert len(house.auth.accounts.search()) == 4


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("profile", {"name": "x", "memo": "y"}),
        ("active", {"active": "0"}),
        ("role", {"role": "admin"}),
        ("email", {"email": "new@example.net"}),
        ("password", {"password": NEXT}),
        ("delete", {}),
    ],
)
def test_ad5_an_id_in_the_form_never_stands_for_the_one_in_the_path(
    house: House, what: str, fields: dict[str, str]
) -> None:
    other = person(house.auth, "other@example.com", name="佐藤")
    done = house.post(what, **fields, id=other.id, user_id=other.id)
    assert done.status_int == (200 if what == "password" else 303)
    assert house.auth.accounts.get(other.id) == other
    assert sign_in(browser(house.auth), "other@example.com").status_int == 303
    assert {row.user_id for row in events(house.auth) if row.actor == house.admin.id} == {house.member.id}


@pytest.mark.parametrize("what", ["active", "role", "password", "email", "delete"])
def test_ad6_nobody_does_it_to_themselves(house: House, what: str) -> None:
    person(house.auth, "second@example.com", role="admin")
    fields = {"active": "0", "role": "staff", "password": NEXT, "email": "new@example.net"}
    answer = house.post(what, house.admin, **{k: v for k, v in fields.items() if k == what})
    assert answer.status_int == 403
    assert 'role="alert"' in answer.text
    json = house.boss.post_json(
        f"/-/auth/staff/{house.admin.id}/{what}",
        {"email": "new@example.net"} | {"active": False} | {"role": "staff", "password": NEXT},
        expect_errors=True,
    )
    assert (json.status_int, json.json["code"]) == (403, "not_oneself")
    after = house.auth.accounts.get(house.admin.id)
    assert (after.active, after.role, after.email) == (True, "admin", ADMIN)
    assert sign_in(browser(house.auth), ADMIN).status_int == 303


class Plain(MemoryStore):
    """A directory that cannot say who holds a role."""

    active_with_role = None  # type: ignore[assignment]


@pytest.mark.parametrize("store", [MemoryStore, Plain])
@pytest.mark.parametrize(("what", "fields"), [("active", {"active": "0"}), ("role", {"role": "staff"}), ("delete", {})])
def test_ad6_the_last_active_administrator_stays(store: Any, what: str, fields: dict[str, str]) -> None:
    house = House(store=store())
    second = person(house.auth, "second@example.com", role="admin")
    other = browser(house.auth)
    sign_in(other, "second@example.com")
    assert house.post(what, house.admin, by=other, **fields).status_int == 303
    third = person(house.auth, "third@example.com", role="admin")
    house.auth._services.directory.update(third.id, active=False)
    # As in the race: the actor was an administrator when the request came in.
    act = {
        "active": lambda by: staff.set_active(house.auth._services, second.id, False, actor=by),
        "role": lambda by: staff.set_role(house.auth._services, second.id, "staff", actor=by),
        "delete": lambda by: staff.delete_account(house.auth._services, second.id, actor=by),
    }[what]
    with pytest.raises(LastAdmin):
        act(Actor(house.member.id, Client()))
    assert house.auth.accounts.get(second.id).role == "admin"


@pytest.mark.parametrize("by_page", [True, False], ids=["by the page", "by the host's own SQL"])
def test_ad6_enabling_revives_no_session_device_or_link(house: House, by_page: bool) -> None:
    house.tanaka.post("/-/auth/account/email", {"email": "new@example.net", "password": PASSWORD}, status=303)
    house.tanaka.post("/-/auth/forgot", {"email": OTHER})
    links = [link_of(house, OTHER, "reset"), link_of(house, OTHER, "email/cancel")]
    links.append(link_of(house, "new@example.net", "email/confirm"))
    for link in links:
        browser(house.auth).get(link, status=200)
    if by_page:
        assert house.post("active", active="0").status_int == 303
    else:
        house.auth._services.directory.update(house.member.id, active=False)
    assert house.post("active", active="1").status_int == 303
    assert seen(house.tanaka) == ""
    for link in links:
        assert browser(house.auth).get(link, expect_errors=True).status_int == 410, link
    assert sign_in(browser(house.auth), OTHER).status_int == 303
    for _ in range(5):
        sign_in(browser(house.auth), OTHER, WRONG)
    assert sign_in(house.tanaka, OTHER).status_int == 429, "the device is no longer known"


def test_ad6_two_administrators_who_demote_each_other_at_once_do_not_both_succeed(store: Any) -> None:
    house = House(store=store, hasher=fast_hasher())
    second = person(house.auth, "second@example.com", role="admin")
    other = browser(house.auth)
    sign_in(other, "second@example.com")
    ready = threading.Barrier(2)
    statuses: list[int] = []

    def demote(by: Any, whom: Any) -> None:
        ready.wait()
        statuses.append(house.post("role", whom, by=by, role="staff").status_int)

    threads = [
        threading.Thread(target=demote, args=(house.boss, second)),
        threading.Thread(target=demote, args=(other, house.admin)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = [user for user in house.auth.accounts.search() if user.role == "admin" and user.active]
    assert len(left) == 1
    assert sorted(statuses) in ([303, 403], [303, 409])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "create"), ("POST", "create"), ("GET", "bulk"), ("POST", "bulk"), ("GET", "2/delete")]
    + [("POST", f"2/{what}") for what in ("password", "email", "role", "delete")],
)
def test_ad7_what_is_delicate_asks_for_the_password_again(house: House, method: str, path: str) -> None:
    with time_machine.travel(time.time() + 901, tick=True):
        if method == "GET":
            answer = house.boss.get(f"/-/auth/staff/{path}", status=303)
            assert f"/-/auth/account/confirm?next=/-/auth/staff/{path}" in answer.location
            return
        answer = house.boss.post(f"/-/auth/staff/{path}", FIELDS, expect_errors=True)
        assert answer.status_int == 403
        assert 'target="_blank"' in answer.text
        json = house.boss.post_json(f"/-/auth/staff/{path}", {}, status=403)
        assert json.json["code"] == "fresh_sign_in_required"
    assert len(house.auth.accounts.search()) == 2
    assert house.auth.accounts.get("2").email == OTHER


def test_ad7_so_does_a_new_address_for_somebodys_notices(house: House) -> None:
    with time_machine.travel(time.time() + 901, tick=True):
        assert house.post("profile", notify_email="evil@example.net").status_int == 403
        assert house.post("profile", name="田中 一", notify_email="").status_int == 303
        assert house.post("active", active="0").status_int == 303


def test_ad8_no_page_shows_a_hash_or_a_token(house: House) -> None:
    house.tanaka.post("/-/auth/account/email", {"email": "new@example.net", "password": PASSWORD})
    house.tanaka.post("/-/auth/forgot", {"email": OTHER})
    secrets = set(re.findall(r"/-/auth/(?:reset|email/\w+)/(\S+)", "".join(m.text for m in house.mailer.outbox)))
    secrets |= {str(house.tanaka.cookies["nipo_auth"]), house.auth._services.users.get("2").password_hash}
    assert len(secrets) == 5
    paths = ["staff", "staff?q=argon2", "staff?q=%24argon2id", "staff/2", "staff/2/delete", "audit", "audit.csv"]
    paths += [f"staff/2/{one}" for one in ("active", "profile", "email", "role", "password")]
    paths += ["staff/create", "staff/bulk", "account", "audit?event=signed_in", "staff/nobody", "audit?q=x"]
    for path in paths:
        for accept in ("text/html", "application/json"):
            text = house.boss.get(f"/-/auth/{path}", headers={"Accept": accept}, expect_errors=True).text
            assert "$argon2" not in text.replace('value="$argon2id"', "").replace("“$argon2id”", ""), path
            assert not [secret for secret in secrets if secret in text], path


@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_ad8_a_search_does_not_look_into_hashes(kind: str, request: Any) -> None:
    house = House(hasher=fast_hasher(), **on(kind, request))
    hashed = house.auth._services.users.get(house.member.id).password_hash
    for text in (hashed, hashed[:9], hashed[-12:], hashed.split("$")[-2]):
        found = house.boss.get("/-/auth/staff", {"q": text}, headers={"Accept": "application/json"})
        assert found.json["users"] == [], text
        assert house.auth.accounts.search(text) == []
    assert "田中" not in house.boss.get("/-/auth/staff?q=argon2").text.replace("田中</option", "")
    assert "田中" in house.boss.get("/-/auth/staff", {"q": "田中"}).text


@pytest.mark.parametrize(
    ("when", "path", "fields"),
    [
        ("INSERT", "create", {"email": "new@example.net", "password": NEXT}),
        ("INSERT", "bulk", {"emails": "new@example.net", "confirm": True}),
        ("UPDATE OF password_hash", "2/password", {"password": NEXT}),
        ("UPDATE", "2/email", {"email": "new@example.net"}),
        ("DELETE", "2/delete", {}),
    ],
)
@pytest.mark.parametrize("constraint", [False, True], ids=["any error", "a constraint's"])
def test_ad8_au3_an_error_of_the_database_shows_and_logs_no_hash(
    store: Any,
    when: str,
    path: str,
    fields: dict[str, Any],
    constraint: bool,
    caplog: Any,
    capfd: Any,
) -> None:
    house = House(store=store, hasher=fast_hasher())
    breaks(store, when, "account", *(["SELECT RAISE(ABORT, 'refused')"] if constraint else []))
    for send in (house.boss.post, house.boss.post_json):
        answer = send(f"/-/auth/staff/{path}", fields, status=503)
        assert "$argon2" not in answer.text
        assert NEXT not in answer.text
    printed = capfd.readouterr()
    assert "503" in caplog.text
    for text in (caplog.text, printed.out, printed.err, repr([vars(record) for record in caplog.records])):
        assert "$argon2" not in text
        assert NEXT not in text
    assert sign_in(browser(house.auth), OTHER).status_int == 303


DEFAULTS = [
    *("", "admin", "admin@example.com", "admin@app.example", "admin@localhost", "root", "root@localhost"),
    *("test@example.com", "nipo@example.com"),
]


def test_ad9_the_first_administrator_is_made_on_the_command_line(store: Any) -> None:
    auth = middleware(store=store, hasher=fast_hasher())
    settings = {"NIPO_AUTH_STORE": str(store._db.engine.url), "NIPO_AUTH_SECRET_KEY": "k" * 40 + "q"}
    command = [sys.executable, "-m", "nipo_auth_mw.cli", "init", "--email", ADMIN, "--password-stdin"]
    subprocess.run(command, input=PASSWORD, text=True, check=True, env=os.environ | settings, capture_output=True)
    assert [user.email for user in auth.accounts.search()] == [ADMIN]
    first = browser(auth)
    assert sign_in(first, ADMIN).status_int == 303
    first.get("/-/auth/staff", status=200)


@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_ad9_a_fresh_database_lets_nobody_in(kind: str, request: Any) -> None:
    auth = middleware(hasher=fast_hasher(), **on(kind, request))
    for email in DEFAULTS:
        for password in ("admin", "password", "changeme", ""):
            assert sign_in(browser(auth), email, password).status_int == 401
    assert auth.accounts.search() == []


def test_au1_au2_each_act_is_one_row_with_actor_subject_and_address(house: House) -> None:
    house.boss.get("/-/auth/staff")
    before = len(events(house.auth))
    house.post("active", active="0")
    house.post("active", active="0")
    house.post("active", active="1")
    house.post("role", role="admin")
    house.post("role", role="staff")
    house.post("profile", name="x", memo="y", notify_email="")
    house.post("email", email="new@example.net")
    house.post("password", password=NEXT)
    house.post("delete")
    rows = events(house.auth)[before:]
    assert [row.event for row in rows] == [
        *("session_ended", "account_disabled")[::-1],
        *("account_enabled", "role_changed", "role_changed", "profile_changed", "email_changed"),
        *("password_changed", "account_deleted"),
    ]
    assert {(row.user_id, row.actor) for row in rows} == {("2", "1")}
    assert {row.client_address for row in rows if row.event != "session_ended"} == {"192.0.2.1"}


def test_au1_disabling_somebody_with_three_devices_is_one_row_and_three_ended_sessions(house: House) -> None:
    devices = [house.tanaka, browser(house.auth, "198.51.100.1"), browser(house.auth, "198.51.100.2")]
    for device in devices[1:]:
        assert sign_in(device, OTHER).status_int == 303
    before = len(events(house.auth))
    heard: list[Any] = []
    house.auth._services.log._listeners = (heard.append,)
    house.post("active", active="0")
    for _ in range(2):
        assert [seen(device) for device in devices] == [""] * 3
    rows = events(house.auth)[before:]
    assert sorted(row.event for row in rows) == ["account_disabled", *["session_ended"] * 3]
    assert sorted(row.event for row in heard) == ["account_disabled", *["session_ended"] * 3]
    ended = [row for row in rows if row.event == "session_ended"]
    assert len({row.session for row in ended}) == 3
    assert {(row.user_id, row.actor, row.details["why"]) for row in ended} == {("2", "1", "account_disabled")}
    assert {row.client_address for row in ended} == {"192.0.2.1", "198.51.100.1", "198.51.100.2"}


def test_au1_a_session_that_somebody_else_ended_just_now_has_one_row(house: House) -> None:
    services = house.auth._services
    (late,) = services.sessions.of(house.member.id)
    house.post("active", active="0")
    assert not services.sessions.end(late, why="by_owner", record=services.log.record)
    assert len(events(house.auth, "session_ended")) == 1


@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_au7_what_cannot_be_recorded_is_not_done_and_people_still_sign_in(kind: str, request: Any) -> None:
    house = House(hasher=fast_hasher(), **on(kind, request))
    if kind == "sql":
        breaks(house.auth._services.audit, "INSERT", "event")
    else:
        breakable(house.auth._services.audit, StoreUnavailable).broken = {"append_event"}
    before, hashed = house.auth.accounts.search(), house.auth._services.users.get("2").password_hash
    created = {"email": "new@example.net", "password": NEXT, "role": "staff"}
    house.boss.post("/-/auth/staff/create", created, status=503)
    house.boss.post("/-/auth/staff/bulk", {"emails": "new@example.net", "confirm": "1"}, status=503)
    for what, fields in (
        ("active", {"active": "0"}),
        ("role", {"role": "admin"}),
        ("password", {"password": NEXT}),
        ("email", {"email": "new@example.net"}),
        ("profile", {"name": "x"}),
        ("delete", {}),
    ):
        assert house.post(what, **fields).status_int == 503, what
    assert house.auth.accounts.search() == before
    assert house.auth._services.users.get("2").password_hash == hashed
    assert seen(house.tanaka) == "2"
    assert sign_in(browser(house.auth), OTHER).status_int == 303
    assert sign_in(browser(house.auth), OTHER, WRONG).status_int == 401


# Unlocks


def test_ad10_an_administrator_never_unlocks_the_own_account(house: House) -> None:
    """A copied cookie of an administrator must not become a fresh session by guesses in turns with unlocks."""
    with time_machine.travel(time.time() + 901, tick=False):
        for _ in range(5):
            house.boss.post("/-/auth/account/confirm", {"password": WRONG}, expect_errors=True)
        refused = house.boss.post_json(f"/-/auth/staff/{house.admin.id}/unlock", {}, status=403)
        assert refused.json["code"] == "not_oneself"
        assert house.boss.post("/-/auth/account/confirm", {"password": PASSWORD}, status=429)
        assert "staff-unlock" not in house.boss.get(f"/-/auth/staff/{house.admin.id}").forms


def test_ad10_an_account_is_unlocked_ten_times_an_hour_at_most(house: House) -> None:
    stranger = browser(house.auth, "198.51.100.9")
    with time_machine.travel(time.time(), tick=False) as clock:
        for _ in range(10):
            house.post("unlock")
        for _ in range(5):
            sign_in(stranger, OTHER, WRONG)
        page = house.post("unlock")
        assert page.status_int == 429
        assert "unlocked ten times" in page.text
        assert sign_in(stranger, OTHER).status_int == 429
        second = person(house.auth, "second@example.com")
        assert house.post("unlock", second).status_int == 303
        house.auth.accounts.unlock(house.member.id)
        assert sign_in(stranger, OTHER).status_int == 303
        clock.shift(3601)
        assert house.post("unlock").status_int == 303
