"""`auth.accounts`: what scripts do to accounts, and what that ends."""

from __future__ import annotations

import time

import pytest

from nipo_auth_mw import EmailRejected, EmailTaken, NoSuchAccount, NotSupported, PasswordRejected
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw.errors import UnknownRole
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import fast_hasher
from nipo_auth_mw.testing.contracts.factors import a_factor, digests
from tests.downstream.suite.reports_users import DictUsers
from tests.kit import PASSWORD, WRONG, browser, enrol_passkey, events, middleware, options_on, person, seen, sign_in


@pytest.fixture
def auth():
    return middleware()


def names(auth):
    return [row.event for row in events(auth)]


def test_an_account_is_created_found_and_read(auth):
    made = person(auth, " Tanaka@EXAMPLE.com", name="田中", role="admin", language="ja", notify_email="T@Example.com")
    assert (made.email, made.name, made.role, made.active) == ("tanaka@example.com", "田中", "admin", True)
    assert (made.language, made.notify_email) == ("ja", "t@example.com")
    assert auth.accounts.find("TANAKA@example.com") == auth.accounts.get(made.id) == made
    assert auth.accounts.find("nobody@example.com") is None
    assert auth.accounts.find("no address") is None
    assert auth.accounts.get("99") is None
    assert not hasattr(made, "password_hash")


def test_what_is_refused_says_why_and_makes_nothing(auth):
    person(auth)
    with pytest.raises(EmailTaken):
        person(auth, "TANAKA@example.com")
    with pytest.raises(EmailRejected):
        person(auth, "not an address")
    with pytest.raises(EmailRejected):
        person(auth, "suzuki@example.com", notify_email="nowhere")
    with pytest.raises(PasswordRejected):
        person(auth, "suzuki@example.com", password="12345678")
    with pytest.raises(ValueError, match="language"):
        person(auth, "suzuki@example.com", language="xx")
    assert [user.email for user in auth.accounts.search()] == ["tanaka@example.com"]


@pytest.mark.parametrize(
    "act",
    [
        lambda accounts: accounts.set_password("9", PASSWORD),
        lambda accounts: accounts.set_active("9", False),
        lambda accounts: accounts.change_email("9", "a@example.com"),
        lambda accounts: accounts.set_role("9", "admin"),
        lambda accounts: accounts.delete("9"),
        lambda accounts: accounts.unlock("9"),
    ],
)
def test_nobody_is_an_error(auth, act):
    with pytest.raises(NoSuchAccount, match="no account has the id '9'"):
        act(auth.accounts)


@pytest.mark.parametrize("in_sql", [False, True])
def test_what_is_no_id_is_told(in_sql, tmp_path):
    store = SQLStore(f"sqlite:///{tmp_path}/auth.db") if in_sql else MemoryStore()
    if in_sql:
        store.create_schema()
    auth = middleware(store=store)
    user = auth.accounts.create(email="tanaka@example.com")
    for given, told in (
        (1, "an id is a text, such as user.id, and not of int"),
        (user, "an id is a text, such as user.id, and not of User"),
        (user.email, "no account has the id 'tanaka@example.com'; find(address).id is that of an address"),
    ):
        with pytest.raises(NoSuchAccount) as refused:
            auth.accounts.set_role(given, "admin")
        assert str(refused.value) == told


@pytest.mark.parametrize(
    ("act", "event"),
    [
        (lambda accounts: accounts.set_active("1", False), "account_disabled"),
        (lambda accounts: accounts.set_password("1", PASSWORD + "2"), "password_changed"),
        (lambda accounts: accounts.change_email("1", "new@example.com"), "email_changed"),
        (lambda accounts: accounts.delete("1"), "account_deleted"),
    ],
)
def test_every_session_ends_at_once_each_with_its_row(auth, act, event):
    person(auth)
    devices = [browser(auth) for _ in range(3)]
    for device in devices:
        sign_in(device)
    act(auth.accounts)
    assert [seen(device) for device in devices] == ["", "", ""]
    assert names(auth).count(event) == 1
    ended = events(auth, "session_ended")
    assert len(ended) == 3
    assert {(row.actor, row.user_id) for row in ended} == {("script", "1")}


def test_a_set_password_works_at_once_the_old_one_no_longer_and_the_lock_is_gone(auth):
    person(auth)
    test_app = browser(auth)
    for _ in range(5):
        sign_in(test_app, password=WRONG)
    auth.accounts.set_password("1", PASSWORD + "2")
    assert sign_in(test_app, password=PASSWORD).status_int == 401
    assert sign_in(test_app, password=PASSWORD + "2").status_int == 303
    assert names(auth).count("unlocked") == 1


def test_unlock_lets_a_person_in(auth):
    person(auth)
    for _ in range(5):
        sign_in(browser(auth), password=WRONG)
    assert sign_in(browser(auth)).status_int == 429
    auth.accounts.unlock("1")
    assert sign_in(browser(auth)).status_int == 303
    assert events(auth, "unlocked")[0].details["refused"] == 1


def test_a_role_counts_at_the_next_request(auth):
    person(auth)
    auth.accounts.set_role("1", "admin")
    test_app = browser(auth)
    sign_in(test_app)
    auth.accounts.set_role("1", "staff")
    assert test_app.get("/-/auth/session").json["user"]["role"] == "staff"


def test_disabling_twice_is_one_event(auth):
    person(auth)
    auth.accounts.set_active("1", False)
    auth.accounts.set_active("1", False)
    auth.accounts.set_active("1", True)
    assert names(auth) == ["account_created", "account_disabled", "account_enabled"]


def test_a_deleted_address_is_free_and_its_id_is_not_given_again(auth):
    first = person(auth)
    auth.accounts.delete(first.id)
    second = person(auth)
    assert second.id != first.id


def test_a_deleted_account_leaves_no_proof_of_a_second_step(auth):
    gone, other, store = person(auth), person(auth, "other@example.com"), auth._services.factor_store
    for user in (gone, other):
        store.add_factor(a_factor(f"app:{user.id}", user.id))
        store.replace_backup_codes(user.id, digests("a"))
    auth.accounts.delete(gone.id)
    auth.sweep()
    assert [len(store.factors_of(user.id)) for user in (gone, other)] == [0, 1]
    assert [len(store.backup_codes(user.id)) for user in (gone, other)] == [0, 10]


def test_search_pages_by_address(auth):
    for n in range(7):
        person(auth, f"p{n}@example.com", name="山田" if n % 2 else "")
    first = auth.accounts.search(limit=3)
    assert [u.email for u in first] == [f"p{n}@example.com" for n in range(3)]
    assert next(iter(auth.accounts.search(after=first[-1].email, limit=3))).email == "p3@example.com"
    assert len(auth.accounts.search("山田")) == 3
    assert auth.accounts.search("%") == []


def test_a_user_store_alone_cannot_create_and_says_so():
    users = DictUsers()
    auth = middleware(store=MemoryStore(), users=users)
    user_id = users.add("own@example.com", None)
    for act in (
        lambda: person(auth),
        lambda: auth.accounts.set_active(user_id, False),
        lambda: auth.accounts.change_email(user_id, "new@example.com"),
        lambda: auth.accounts.search(),
        lambda: auth.accounts.delete(user_id),
    ):
        with pytest.raises(NotSupported):
            act()
    auth.accounts.set_password(user_id, PASSWORD)
    assert sign_in(browser(auth), "own@example.com").status_int == 303


def test_ak13_what_lies_beside_a_user_whom_the_app_has_deleted_goes_and_opens_no_account_with_that_id():
    users = DictUsers()
    auth = middleware(store=MemoryStore(), users=users)
    former = users.add("former@example.com", fast_hasher().hash(PASSWORD))
    soft = enrol_passkey(auth, auth.accounts.get(former))
    change_account_state(auth._services, former, notify_email="former@example.net", two_step=time.time())
    with pytest.raises(NotSupported):
        auth.accounts.delete(former)
    users.rows.clear()
    auth.accounts.delete(former)
    assert users.add("next@example.com", None) == former
    device = browser(auth)
    credential = soft.get(options_on(device.get("/-/auth/login")))
    assert device.post("/-/auth/login/passkey", {"credential": credential}, expect_errors=True).status_int == 401
    assert auth.accounts.get(former).notify_email is None
    assert len(events(auth, "account_deleted")) == 1
    users.rows.clear()
    auth.accounts.delete(former)
    assert len(events(auth, "account_deleted")) == 1, "nothing is left"


def test_a_role_is_one_of_the_setting(auth):
    person(auth, "leader@example.com")
    for call in (
        lambda: person(auth, "other@example.com", role="amdin"),
        lambda: auth.accounts.set_role("1", "amdin"),
    ):
        with pytest.raises(UnknownRole, match="admin, staff"):
            call()
    assert auth.accounts.find("other@example.com") is None
    assert auth.accounts.get("1").role == "staff"
