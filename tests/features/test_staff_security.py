"""What an administrator sees of an account's second step, and its reset: row EF4 of what must hold."""

from __future__ import annotations

import time
from typing import Any

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_security import reset_factors
from nipo_auth_mw.errors import NoSuchAccount, NotSupported, StoreUnavailable
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.testing import MemoryMailer
from nipo_auth_mw.testing.contracts.factors import PASSKEY, a_factor, digests
from tests.features.staff_kit import Directory
from tests.kit import browser, events, middleware, person, seen, sign_in

BOSS, CHIEF, TANAKA = "kanri@example.com", "chief@example.com", "tanaka@example.com"


@pytest.fixture
def tanaka_id(auth: Any, tanaka: TestApp) -> str:
    """An account that is signed in, and has an app, a passkey and backup codes."""
    user_id = str(auth.accounts.find(TANAKA).id)
    enrol(auth, user_id)
    return user_id


def enrol(auth: Any, user_id: str) -> None:
    store = auth._services.factor_store
    store.add_factor(a_factor(f"app:{user_id}", user_id, name=""))
    store.add_factor(a_factor(PASSKEY, user_id, name="<b>鍵</b>", used_at=time.time()))
    store.replace_backup_codes(user_id, digests("a")[:8])
    change_account_state(auth._services, user_id, two_step=time.time(), passkey_handle="0f" * 32)


def left(auth: Any, user_id: str) -> tuple[int, int, bool]:
    """The number of proofs and of codes, and whether two steps are on."""
    services = auth._services
    state = services.account_states.account_state(user_id)
    store = services.factor_store
    return len(store.factors_of(user_id)), len(store.backup_codes(user_id)), state.two_step is not None


@pytest.fixture
def boss(auth: Any) -> TestApp:
    for email in (BOSS, CHIEF):
        person(auth, email, role="admin", language="en")
    mine = browser(auth)
    sign_in(mine, BOSS)
    return mine


def reset(device: TestApp, user_id: str, **headers: str) -> Any:
    path = f"/-/auth/staff/{user_id}/security"
    return device.post(path, {"reset": "1"}, headers=headers, expect_errors=True)


def test_ef4_an_administrator_resets_what_the_owner_has_lost(
    auth: Any, boss: TestApp, tanaka: TestApp, tanaka_id: str, mailer: MemoryMailer
) -> None:
    change_account_state(auth._services, tanaka_id, notify_email="home@example.com")
    before = auth._services.account_states.account_state(tanaka_id).revocation_counter
    mailer.outbox.clear()
    lockout = auth._services.second_lockout
    subject = lockout.account(tanaka_id)
    for _ in range(5):
        lockout.fail(lockout.reserve(subject, time.monotonic()))
    assert lockout.locked(subject) is not None
    page = boss.get(f"/-/auth/staff/{tanaka_id}")
    assert "After several wrong codes" in page.html.select_one(".notice").text
    page = page.click("Reset", index=0)
    assert "<b>鍵</b>" in page.html.select_one("dl.facts").text
    done = page.forms["staff-security"].submit(status=303).follow()
    assert "Two-step sign-in was reset." in done.html.select_one(".flash").text
    assert left(auth, tanaka_id) == (0, 0, False)
    state = auth._services.account_states.account_state(tanaka_id)
    assert (state.revocation_counter, state.passkey_handle) == (before + 1, "0f" * 32)
    assert lockout.locked(subject) is None
    assert seen(tanaka) == ""
    assert auth._services.session_store.sessions_of(tanaka_id) == []
    assert auth._services.worker.flush(5)
    assert sorted(mail.to for mail in mailer.outbox) == [CHIEF, "home@example.com", TANAKA]
    told = {mail.to: mail.text for mail in mailer.outbox}
    assert TANAKA in told[CHIEF]
    assert BOSS in told[CHIEF]
    assert "192.0.2.1" not in told[TANAKA], "the owner does not see the administrator's address"
    (row,) = events(auth, "factors_reset")
    assert (row.user_id, row.actor, dict(row.details)) == (
        tanaka_id,
        auth.accounts.find(BOSS).id,
        {"factors": 2, "codes": 8},
    )
    assert sign_in(tanaka).status_int == 303


def test_ef4_nobody_but_a_fresh_administrator_resets_and_only_anothers(
    auth: Any, boss: TestApp, tanaka: TestApp, tanaka_id: str, mailer: MemoryMailer
) -> None:
    enrolled, boss_id = left(auth, tanaka_id), auth.accounts.find(BOSS).id
    auth._services.factor_store.add_factor(a_factor(f"app:{boss_id}", boss_id))
    mailer.outbox.clear()
    for device, user_id, status in (
        (browser(auth), tanaka_id, 401),
        (tanaka, tanaka_id, 403),
        (boss, boss_id, 403),
        (boss, "99", 404),
    ):
        assert reset(device, user_id).status_int == status
    assert reset(boss, boss_id, Accept="application/json").json["code"] == "not_oneself"
    assert boss.post(f"/-/auth/staff/{tanaka_id}/security", {}, expect_errors=True).status_int == 400
    with time_machine.travel(time.time() + 16 * 60):
        assert reset(boss, tanaka_id).status_int == 403
        assert reset(boss, tanaka_id, Accept="application/json").json["code"] == "fresh_sign_in_required"
    assert (left(auth, tanaka_id), left(auth, boss_id)[0]) == (enrolled, 1)
    assert events(auth, "factors_reset") == []
    assert auth._services.worker.flush(5)
    assert mailer.outbox == []


def test_ef4_an_administrator_who_loses_the_role_meanwhile_resets_nothing(
    auth: Any, boss: TestApp, tanaka_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = auth._services.log.transaction

    def demoted() -> Any:
        monkeypatch.undo()
        auth.accounts.set_role(auth.accounts.find(BOSS).id, "staff")
        return real()

    monkeypatch.setattr(auth._services.log, "transaction", demoted)
    assert reset(boss, tanaka_id).status_int == 403
    assert left(auth, tanaka_id) == (2, 8, True)


@pytest.mark.parametrize("broken", ["remove_factors", "append_event", "add_mails", "update_account_state"])
def test_ef4_a_reset_is_made_whole_or_not_at_all(
    auth: Any, boss: TestApp, tanaka: TestApp, tanaka_id: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(auth._services.session_store, broken, away)
        assert reset(boss, tanaka_id).status_int == 503
    assert left(auth, tanaka_id) == (2, 8, True)
    assert seen(tanaka) == tanaka_id
    assert events(auth, "factors_reset") == []


def test_a_locked_second_step_is_shown_and_unlocked(auth: Any, boss: TestApp, tanaka_id: str) -> None:
    lockout, path = auth._services.second_lockout, f"/-/auth/staff/{tanaka_id}"
    assert "wrong codes" not in boss.get(path).text
    for _ in range(5):
        lockout.fail(lockout.reserve(lockout.account(tanaka_id), time.monotonic()))
    data = boss.get(path, headers={"Accept": "application/json"}).json["user"]
    assert (data["locked"], data["second_locked"]) == (False, True)
    boss.get(path).forms["staff-unlock"].submit(status=303)
    assert "wrong codes" not in boss.get(path).text
    assert left(auth, tanaka_id) == (2, 8, True)


def test_an_account_without_a_second_step_stays_as_it_is(auth: Any, boss: TestApp, tanaka: TestApp) -> None:
    user_id = auth.accounts.find(TANAKA).id
    page = boss.get(f"/-/auth/staff/{user_id}/security")
    assert "staff-security" not in page.forms
    assert not boss.get(f"/-/auth/staff/{user_id}").html.select(f'a[href$="{user_id}/security"]')
    assert reset(boss, user_id).status_int == 303
    assert seen(tanaka) == user_id
    assert events(auth, "factors_reset") == []


def test_a_flood_of_resets_is_refused(auth: Any, boss: TestApp, tanaka_id: str) -> None:
    for _ in range(10):
        assert reset(boss, tanaka_id).status_int == 303
        enrol(auth, tanaka_id)
    assert reset(boss, tanaka_id, Accept="application/json").json["code"] == "too_many_mails"
    assert left(auth, tanaka_id) == (2, 8, True)


def test_a_row_that_an_attacker_wrote_is_shown_and_removed(auth: Any, boss: TestApp, tanaka_id: str) -> None:
    """SQLite keeps any value in any column."""
    planted: Any = {"created_at": "yesterday", "used_at": 1e300, "kind": "<b>", "counter": None}
    auth._services.factor_store.remove_factors(tanaka_id)
    auth._services.factor_store.add_factor(a_factor("x", tanaka_id, **planted))
    assert boss.get(f"/-/auth/staff/{tanaka_id}/security").status_int == 200
    assert reset(boss, tanaka_id).status_int == 303
    assert left(auth, tanaka_id) == (0, 0, False)


def test_a_directory_without_roles_tells_all_administrators_too(mailer: MemoryMailer) -> None:
    store = MemoryStore()
    auth = middleware(store=store, users=Directory(store), mailer=mailer)
    user_id = str(person(auth).id)
    chiefs = [str(person(auth, f"a{number}@example.com", role="admin").email) for number in range(4)]
    person(auth, "gone@example.com", role="admin", active=False)
    enrol(auth, user_id)
    mailer.outbox.clear()
    assert reset_factors(auth._services, user_id, actor=Actor("script")) is None
    assert auth._services.worker.flush(5)
    assert sorted(mail.to for mail in mailer.outbox) == [*chiefs, TANAKA]


def test_what_cannot_be_reset_is_told(auth: Any) -> None:
    with pytest.raises(NoSuchAccount):
        reset_factors(auth._services, "99", actor=Actor("script"))
    user = person(auth, "x@example.com")
    services = auth._services
    object.__setattr__(services, "factor_store", None)
    with pytest.raises(NotSupported):
        reset_factors(services, user.id, actor=Actor("script"))
    person(auth, BOSS, role="admin")
    boss = browser(auth)
    sign_in(boss, BOSS)
    assert boss.get(f"/-/auth/staff/{user.id}/security", expect_errors=True).status_int == 404
    assert boss.get(f"/-/auth/staff/{user.id}").status_int == 200


def test_the_list_shows_and_filters_who_has_two_steps(auth: Any, boss: TestApp, tanaka_id: str) -> None:
    page = boss.get("/-/auth/staff")
    column = [cell.text.strip() for cell in page.html.select("thead th")].index("Two-step")
    shown = {row["id"]: row.select("th, td")[column].text.strip() for row in page.html.select("tbody tr[id]")}
    assert (shown[f"u-{tanaka_id}"], sorted(shown.values())) == ("On", ["Off", "Off", "On"])
    person(auth, "gone@example.com", active=False)
    for chip, wanted in (("Two-step on", [TANAKA]), ("Two-step off", [CHIEF, BOSS])):
        path = page.html.find("a", string=chip)["href"]
        users = boss.get(path, headers={"Accept": "application/json"}).json["users"]
        assert [one["email"] for one in users] == wanted
        assert {one["two_step"] for one in users} == {chip == "Two-step on"}


def test_where_nobody_can_have_two_steps_no_page_mentions_them(auth: Any, boss: TestApp, tanaka: TestApp) -> None:
    user_id = auth.accounts.find(TANAKA).id
    object.__setattr__(auth._services, "factors", None)
    assert "Two-step" not in boss.get("/-/auth/staff").text + boss.get(f"/-/auth/staff/{user_id}").text
    enrol(auth, user_id)
    assert "Two-step" in boss.get(f"/-/auth/staff/{user_id}").text, "what is there can be reset"
