"""Lines of text, as the names of people are kept."""

from __future__ import annotations

import pytest

from nipo_auth_mw._lines import person_name
from nipo_auth_mw.testing import sign_in
from tests.kit import browser, middleware


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" 山田\u3000花子 ", "山田 花子"),
        ("山田\n花子\x00\t", "山田 花子"),
        ("\u202eevil\u2066 \u200badmin\ufeff", "evil admin"),
        ("a\ud800b", "ab"),
        ("\u202e", ""),
        ("山田 \u200b 花子", "山田 花子"),
        ("神\ufa19 辻\U000e0100 می\u200cرود", "神\ufa19 辻\U000e0100 می\u200cرود"),
        ("x" * 3000, "x" * 100),
    ],
)
def test_a_name_is_one_line_that_neither_hides_nor_reorders_what_stands_around_it(typed, kept):
    assert person_name(typed) == kept
    assert person_name(kept) == kept


def test_every_way_to_name_a_person_keeps_such_a_line():
    auth = middleware()
    user = auth.accounts.create(email="a@example.com", name="a\u202eb", role="admin")
    assert user.name == "ab"
    auth.accounts.set_name(user.id, "c\nd\u2066")
    assert auth.accounts.get(user.id).name == "c d"
    page = browser(auth)
    sign_in(auth, page, user)
    page.post(f"/-/auth/staff/{user.id}/profile", {"name": "e\x00f", "reading": "\u202eえふ"})
    after = auth.accounts.get(user.id)
    assert after.name == "ef"
    made = page.post("/-/auth/staff/create", {"email": "b@example.com", "name": "g\rh", "role": "staff"}, status="*")
    assert made.status_int < 400
    assert auth.accounts.find("b@example.com").name == "g h"
