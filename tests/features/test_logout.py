"""Sign-out ends this device's session, and no other."""

from __future__ import annotations

import pytest

from tests.kit import browser, middleware, person, seen, sign_in


@pytest.fixture
def auth():
    auth = middleware(base_url="http://localhost", site_name="日報")
    person(auth, name="田中")
    return auth


def test_sign_out_ends_this_device_and_leaves_the_other(auth):
    here, there = browser(auth), browser(auth)
    sign_in(here)
    sign_in(there)
    copied = dict(here.cookies)
    answer = here.get("/-/auth/logout").forms["logout"].submit()
    assert (answer.status_int, answer.location) == (303, "/-/auth/login")
    assert (seen(here), seen(there)) == ("", "1")
    for name, value in copied.items():
        here.set_cookie(name, value.strip('"'))
    assert seen(here) == ""


def test_who_did_not_stay_signed_in_is_reminded_of_the_browser_on_a_shared_computer():
    auth = middleware()
    person(auth)
    for remember, words in (("1", "You are signed out."), (None, "close the browser too")):
        test_app = browser(auth)
        sign_in(test_app, remember=remember)
        page = test_app.post("/-/auth/logout").follow()
        assert words in page.html.select_one(".flash").get_text()
        assert page.html.find("img", src="/-/auth/logout/forget")
