"""A host's suite: public names only."""

import os
from datetime import timedelta

import pytest
import time_machine
from reports_app import app
from reports_users import DictUsers
from webtest import TestApp

import nipo_auth_mw
from nipo_auth_mw import AuthConfig, AuthMiddleware, ConfigError, LockoutPolicy
from nipo_auth_mw.mailers import MemoryMailer
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import fast_hasher, in_memory, sign_in, sign_out
from nipo_auth_mw.testing.contracts import UserStoreContract

PASSWORD = "umi-no-mieru-kaigi"


@pytest.fixture
def auth():
    return AuthMiddleware(app.wsgi_app, **in_memory(public_paths=["/open/*"]))


@pytest.fixture
def browser(auth):
    return TestApp(auth, extra_environ={"HTTP_ACCEPT": "text/html"})


def test_the_installed_package_is_the_one_under_test():
    assert nipo_auth_mw.__file__.startswith(os.environ["EXPECTED_PACKAGE_FOLDER"])


def test_a_person_signs_in_with_the_form_and_out_again(auth, browser):
    auth.accounts.create(email="yamada@example.com", password=PASSWORD, name="山田")
    form = browser.get(browser.get("/").location).forms["login"]
    form["email"], form["password"] = "yamada@example.com", PASSWORD
    page = form.submit().follow()
    assert page.text.startswith("山田: True")
    page.forms["sign-out"].submit()
    assert browser.get("/").location == "/-/auth/login?next=/"


def test_the_kit_signs_in_and_out(auth, browser):
    user = auth.accounts.create(email="yamada@example.com", name="山田")
    sign_in(auth, browser, user)
    assert "山田" in browser.get("/").text
    sign_out(browser)
    assert browser.get("/").status_int == 303


def test_roles_and_open_pages(auth, browser):
    assert "stranger" in browser.get("/open").text
    assert browser.get("/open/mine").location == "/-/auth/login?next=/open/mine"
    user = auth.accounts.create(email="yamada@example.com", name="山田")
    sign_in(auth, browser, user)
    assert browser.get("/staff", expect_errors=True).status_int == 403
    auth.accounts.set_role(user.id, "admin")
    assert browser.get("/staff").text == "山田"


def test_time_moves_with_time_machine(auth, browser):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        sign_in(auth, browser, auth.accounts.create(email="yamada@example.com"))
        clock.shift(timedelta(days=89))
        assert browser.get("/").status_int == 200
        clock.shift(timedelta(days=91))
        assert browser.get("/").status_int == 303


def test_a_configuration_of_its_own_on_sqlite(tmp_path):
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    with pytest.raises(ConfigError, match=r"nipo-auth --store .* init"):
        AuthMiddleware(app.wsgi_app, in_memory()["config"], store=store, hasher=fast_hasher())
    store.create_schema()
    config = AuthConfig(
        secret_key="0123456789abcdef0123456789abcdef", base_url="http://localhost", lockout=LockoutPolicy(failures=2)
    )
    auth = AuthMiddleware(app.wsgi_app, config, store=store, mailer=MemoryMailer(), hasher=fast_hasher())
    auth.accounts.create(email="yamada@example.com", password=PASSWORD)
    browser = TestApp(auth)
    for _ in range(2):
        browser.post_json("/-/auth/login", {"email": "yamada@example.com", "password": "wrong-one"}, status=401)
    locked = browser.post_json("/-/auth/login", {"email": "yamada@example.com", "password": PASSWORD}, status=429)
    assert locked.json["code"] == "locked"
    store.close()


def test_events_reach_a_listener():
    heard = []
    auth = AuthMiddleware(app.wsgi_app, **in_memory(), listeners=[heard.append])
    auth.accounts.create(email="yamada@example.com")
    assert [event.event for event in heard] == ["account_created"]


def test_an_own_user_table_signs_people_in():
    users = DictUsers()
    user_id = users.add("own@example.com", fast_hasher().hash(PASSWORD))
    given = in_memory()
    auth = AuthMiddleware(app.wsgi_app, given["config"], store=MemoryStore(), users=users, hasher=given["hasher"])
    browser = TestApp(auth)
    answer = browser.post_json("/-/auth/login", {"email": "own@example.com", "password": PASSWORD})
    assert answer.json["user"]["id"] == user_id


class TestDictUsers(UserStoreContract):
    def make_store(self):
        return DictUsers()

    def add_account(self, store, email, password_hash, active=True):
        return store.add(email, password_hash, active)
