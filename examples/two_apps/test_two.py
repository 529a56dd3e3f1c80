"""The suite of the two apps."""

from __future__ import annotations

from two import one_sign_in, two_sign_ins
from webtest import TestApp

from nipo_auth_mw.testing import in_memory, sign_in

PASSWORD = "asa-ichiban-no-nippo"


def test_one_sign_in_opens_both_apps_to_an_administrator():
    auth = one_sign_in(**in_memory())
    browser = TestApp(auth)
    assert browser.get("/accounting/").location == "/-/auth/login?next=/accounting/"
    sign_in(auth, browser, auth.accounts.create(email="boss@example.com", role="admin"))
    assert browser.get("/reports/").text == "reports for boss@example.com"
    assert browser.get("/accounting/").text == "accounting for boss@example.com"


def test_a_member_sees_the_app_of_their_role_alone():
    auth = one_sign_in(**in_memory())
    browser = TestApp(auth)
    sign_in(auth, browser, auth.accounts.create(email="yamada@example.com"))
    assert browser.get("/reports/").status_int == 200
    assert browser.get("/accounting/", expect_errors=True).status_int == 403


def test_two_sign_ins_do_not_meet():
    made = two_sign_ins(in_memory)
    browser = TestApp(made)
    made.mounts["/reports"].accounts.create(email="yamada@example.com", password=PASSWORD)
    made.mounts["/accounting"].accounts.create(email="boss@example.com", password=PASSWORD, role="admin")
    form = browser.get("/reports/").follow().forms["login"]
    form["email"], form["password"] = "yamada@example.com", PASSWORD
    assert form.submit().location == "/reports/"
    assert browser.get("/reports/").text == "reports for yamada@example.com"
    form = browser.get("/accounting/").follow().forms["login"]
    form["email"], form["password"] = "boss@example.com", PASSWORD
    form.submit()
    assert browser.get("/accounting/").text == "accounting for boss@example.com"
    browser.post("/accounting/-/auth/logout")
    assert browser.get("/reports/").text == "reports for yamada@example.com", "still signed in"
    assert browser.get("/accounting/").status_int == 303
