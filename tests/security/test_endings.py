"""Row SE19: why a session ended is told once, to the browser that brings its cookie, and to nobody else."""

from __future__ import annotations

import time

import pytest
import time_machine

from nipo_auth_mw._sessions.endings import WORDS
from tests.kit import PASSWORD, browser, middleware, person, sign_in

NEXT = "yama-no-ue-no-asagohan"


def notice(test_app):
    """What the sign-in page says above the card."""
    found = test_app.get("/-/auth/login", expect_errors=True).html.select_one("main > .notice")
    return found.get_text(strip=True) if found else ""


def other_device(auth):
    test_app = browser(auth, "192.0.2.9")
    assert sign_in(test_app).status_int == 303
    return test_app


def changed_elsewhere(auth):
    fields = {"current_password": PASSWORD, "password": NEXT}
    assert other_device(auth).post("/-/auth/account/password", fields).status_int == 303


def set_by_admin(auth):
    person(auth, "kanri@example.com", role="admin")
    admin = browser(auth)
    sign_in(admin, "kanri@example.com")
    assert admin.post("/-/auth/staff/1/password", {"password": NEXT}).status_int == 200


def sentence(auth, word, language="en"):
    """What the page of sign-in says of the end."""
    pages = auth._web.pages
    return pages.text(language, f"ending.{word}", ask=pages.ask(language))


ENDS = {
    "disabled": lambda auth: auth.accounts.set_active("1", False),
    "deleted": lambda auth: auth.accounts.delete("1"),
    "email_changed": lambda auth: auth.accounts.change_email("1", "new@example.com"),
    "password_changed": changed_elsewhere,
    "password_set": set_by_admin,
    "elsewhere": lambda auth: other_device(auth).post("/-/auth/account/sessions/end", {"all": "1"}),
    "changed": lambda auth: auth._services.users.set_email("1", "elsewhere@example.com", expected="tanaka@example.com"),
}


@pytest.mark.parametrize("word", ENDS)
def test_se19_the_reason_is_told_once_to_the_browser_whose_session_it_was(word):
    auth = middleware()
    person(auth)
    mine, other, stranger = browser(auth), browser(auth), browser(auth)
    sign_in(mine)
    cookie = mine.cookies["nipo_auth"]
    ENDS[word](auth)
    told = sentence(auth, word)
    forged = cookie[:-2] + ("AA" if cookie[-2:] != "AA" else "BB")
    for value in (forged, "x", ""):
        assert notice(stranger) == ""
        stranger.set_cookie("nipo_auth", value or "y")
    sign_in(other, password="machigai-password")
    assert notice(other) == ""
    assert notice(mine) == told
    assert "nipo_auth" not in mine.cookies, "a cookie that opens nothing is taken away"
    assert notice(mine) == ""
    mine.set_cookie("nipo_auth", cookie)
    assert notice(mine) == ""


def test_se19_a_session_that_expired_says_so_also_after_a_sweep():
    for sweeps in (False, True):
        auth = middleware()
        person(auth)
        mine = browser(auth)
        sign_in(mine, remember=None)
        with time_machine.travel(time.time() + 13 * 3600, tick=True):
            if sweeps:
                assert auth.sweep() == 1
            assert notice(mine) == sentence(auth, "expired")
            assert notice(mine) == ""


def test_se19_who_signs_out_or_signs_in_again_is_told_nothing_of_an_end():
    auth = middleware()
    person(auth)
    mine = browser(auth)
    sign_in(mine)
    cookie = mine.cookies["nipo_auth"]
    sign_in(mine)
    mine.post("/-/auth/logout")
    again = mine.get("/-/auth/login").html
    assert [tag.get_text() for tag in again.select(".flash")] == ["You are signed out."]
    mine.set_cookie("nipo_auth", cookie)
    assert notice(mine) == ""


def test_se19_a_question_without_a_body_uses_nothing_up():
    auth = middleware()
    person(auth)
    mine = browser(auth)
    sign_in(mine)
    auth.accounts.set_active("1", False)
    mine.head("/-/auth/login")
    assert notice(mine) == sentence(auth, "disabled")


def test_every_word_has_a_sentence_in_every_language():
    auth = middleware()
    for language in auth.config.languages:
        for word in WORDS:
            assert sentence(auth, word, language).endswith(("。", "."))
