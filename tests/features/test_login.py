"""A visitor's walk through sign-in."""

from __future__ import annotations

import time

import pytest
import time_machine

from tests.kit import PASSWORD, WRONG, browser, events, middleware, person, seen, sign_in


@pytest.fixture
def auth():
    auth = middleware(base_url="http://localhost", site_name="日報")
    person(auth, name="田中")
    return auth


def test_a_visitor_signs_in_and_lands_where_they_wanted_to_go(auth):
    test_app = browser(auth)
    form = test_app.get(test_app.get("/reports?day=1").location).forms["login"]
    form["email"], form["password"] = "tanaka@example.com", PASSWORD
    answer = form.submit()
    assert (answer.status_int, answer.location) == (303, "/reports?day=1")
    assert seen(test_app) == "1"


def test_a_wrong_password_keeps_the_address_and_the_destination(auth):
    test_app = browser(auth)
    form = test_app.get("/-/auth/login?next=/reports").forms["login"]
    form["email"], form["password"] = "Tanaka@Example.com", WRONG
    form["remember"] = False
    answer = form.submit(expect_errors=True)
    assert answer.status_int == 401
    again = answer.forms["login"]
    assert (again["email"].value, again["next"].value) == ("Tanaka@Example.com", "/reports")
    assert again["password"].value == ""
    assert not again["remember"].checked
    assert answer.html.find(role="alert").get_text(strip=True)
    again["password"] = PASSWORD
    assert again.submit().location == "/reports"


def test_the_fifth_wrong_password_says_that_the_lock_has_begun(auth):
    test_app = browser(auth, HTTP_ACCEPT_LANGUAGE="ja")
    for _ in range(4):
        assert "Retry-After" not in sign_in(test_app, password=WRONG).headers
    fifth = sign_in(test_app, password=WRONG)
    assert (fifth.status_int, fifth.headers["Retry-After"]) == (401, "300")
    right = sign_in(test_app)
    assert right.status_int == 429
    assert 295 <= int(right.headers["Retry-After"]) <= 300
    assert "nipo_auth" not in right.headers.get("Set-Cookie", "")


def test_the_last_try_before_the_lock_is_announced_for_every_address_alike(auth):
    shown = []
    with time_machine.travel(time.time(), tick=False):  # The lock's end is a clock time.
        for email in ("tanaka@example.com", "nobody@example.com"):
            answers = [sign_in(browser(auth), email, WRONG) for _ in range(5)]
            shown.append([answer.html.find(id="problem").get_text(" ", strip=True) for answer in answers])
    assert shown[0] == shown[1]
    assert ["one more wrong password" in text for text in shown[0]] == [False, False, False, True, False]
    assert "5 minutes" in shown[0][3]


def test_the_sign_in_page_says_whose_it_is():
    page = browser(middleware(site_name="Reports", organization="ACME", base_url="http://localhost:8000"))
    brand = page.get("/-/auth/login").html.select_one(".brand").get_text(" ", strip=True)
    assert brand.split() == ["R", "Reports", "ACME", "·", "localhost:8000"]
    page = browser(middleware(logo="/static/logo.svg"))
    assert page.get("/-/auth/login").html.select_one(".brand img")["src"] == "/static/logo.svg"


def test_a_disabled_account_is_told_so_after_the_right_password_only(auth):
    auth.accounts.set_active("1", False)
    test_app = browser(auth)
    assert sign_in(test_app, password=WRONG).status_int == 401
    answer = sign_in(test_app)
    assert answer.status_int == 403
    assert "tanaka@example.com" in answer.html.find(role="alert").get_text()
    assert answer.forms["login"]["email"].value == "tanaka@example.com"
    assert seen(test_app) == ""


def test_not_kept_means_a_cookie_that_goes_with_the_browser_and_no_device_cookie(auth):
    test_app = browser(auth)
    form = test_app.get("/-/auth/login").forms["login"]
    assert form["remember"].checked
    form["email"], form["password"], form["remember"] = "tanaka@example.com", PASSWORD, False
    cookies = form.submit().headers.getall("Set-Cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == ["nipo_auth", "nipo_flash"]
    assert "Max-Age" not in cookies[0]
    assert "Expires" not in cookies[0]


def test_json_clients_get_the_same_answers_as_data(auth):
    test_app = browser(auth)
    wrong = test_app.post_json("/-/auth/login", {"email": "tanaka@example.com", "password": WRONG}, expect_errors=True)
    assert wrong.content_type == "application/problem+json"
    assert (wrong.status_int, wrong.json["status"], wrong.json["code"]) == (401, 401, "invalid_credentials")
    answer = test_app.post_json("/-/auth/login", {"email": "tanaka@example.com", "password": PASSWORD, "next": "/r"})
    assert (answer.json["next"], answer.json["user"]["name"]) == ("/r", "田中")
    assert "Max-Age" in answer.headers["Set-Cookie"], "in JSON an absent `remember` means yes"
    assert test_app.get("/-/auth/session").json["user"]["email"] == "tanaka@example.com"


def test_every_step_is_in_the_history_and_reaches_the_listeners():
    heard = []
    auth = middleware(listeners=[heard.append])
    user = person(auth)
    test_app = browser(auth, "198.51.100.7", HTTP_USER_AGENT="Tablet/1.0")
    sign_in(test_app, password=WRONG)
    sign_in(test_app)
    test_app.post("/-/auth/logout")
    rows = events(auth)
    assert [row.event for row in rows] == ["account_created", "sign_in_failed", "signed_in", "signed_out"]
    assert [row.event for row in heard] == [row.event for row in rows]
    assert all(row.user_id == user.id and row.time.utcoffset().total_seconds() == 0 for row in rows)
    assert (rows[2].client_address, rows[2].user_agent) == ("198.51.100.7", "Tablet/1.0")
    assert rows[2].session == rows[3].session != ""


def test_a_listener_that_fails_keeps_nobody_out():
    def broken(event):
        raise RuntimeError

    auth = middleware(listeners=[broken])
    person(auth)
    assert sign_in(browser(auth)).status_int == 303


def test_what_was_mistyped_into_the_address_bar_does_not_show_in_the_page(auth):
    page = browser(auth).get(f"/-/auth/login?email=tanaka@example.com&password={PASSWORD}&next=/reports")
    assert PASSWORD not in page.text
    assert page.forms["language"]["next"].value == "/-/auth/login?next=/reports"


def test_an_id_that_is_not_latin_1_reaches_the_app_as_wsgi_has_it():
    auth = middleware(echo_bytes)
    store = auth._services.session_store
    account = person(auth)
    original = store.find_session_with_account

    def renamed(key):
        found = original(key)
        return found and (found[0], found[1], found[2]._replace(id="田中"))

    auth._services.sessions._look_up = renamed
    auth._services.sessions._stamps.key_of = lambda *args: 0
    test_app = browser(auth)
    sign_in(test_app)
    assert account.id == "1"
    assert test_app.get("/page").body.decode() == "田中"


def echo_bytes(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_USER"].encode("latin-1")]
