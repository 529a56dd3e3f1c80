"""Rows MA1, MA6 and ID6: what no account may have as its address, and what sign-in does with it."""

from __future__ import annotations

import pytest

from nipo_auth_mw.errors import EmailRejected
from tests.each import each
from tests.kit import PASSWORD, events, middleware, person
from tests.security.corpora.addresses import REFUSED
from tests.security.tools import ask, login, rows, signed_in


@pytest.fixture
def auth():
    auth = middleware()
    person(auth)
    return auth


@each("typed", REFUSED)
def test_id6_no_account_is_given_an_odd_address(auth, typed):
    with pytest.raises(EmailRejected):
        person(auth, email=typed)
    with pytest.raises(EmailRejected):
        auth.accounts.change_email("1", typed)
    assert [user.email for user in auth.accounts.search()] == ["tanaka@example.com"]


@pytest.mark.parametrize("typed", REFUSED)
def test_ma1_an_odd_address_signs_nobody_in_and_is_a_plain_refusal(auth, typed):
    plain = login(auth, "nobody@example.com")
    for answer in (login(auth, typed), ask(auth, "POST", "/-/auth/login", data={"email": typed, "password": PASSWORD})):
        assert (answer.status, answer.all("Set-Cookie"), rows(auth)) == (401, [], 0)
    assert [name for name, _ in login(auth, typed).headers] == [name for name, _ in plain.headers]
    for row in events(auth, "sign_in_failed"):
        assert row.email.isprintable()
        assert len(row.email) <= 254


CONTROLS = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_ma1_a_control_character_is_never_taken_out_of_an_address(auth, control):
    mine = signed_in(auth)
    inside = [f"tan{control}aka@example.com", f"tanaka{control}@example.com", f"tanaka@example{control}.com"]
    at_an_end = [] if control == "\t" else [f"{control}tanaka@example.com", f"tanaka@example.com{control}"]
    for number, typed in enumerate([*inside, f"tanaka@{control}example.com", *at_an_end]):
        address = {"REMOTE_ADDR": f"198.51.100.{number}"}
        assert login(auth, typed, **address).status == 401
        ask(auth, "POST", "/-/auth/forgot", form={"email": typed}, **address)
        with pytest.raises(EmailRejected):
            auth.accounts.change_email("1", typed)
        asked = {"email": typed.replace("tanaka", "hanako"), "password": PASSWORD}
        assert ask(auth, "POST", "/-/auth/account/email", form=asked, cookie=mine, **address).status == 422
    assert auth._services.outbox._mailer.outbox == []


@each("typed", REFUSED)
def test_ma1_an_odd_address_is_not_changed_to(auth, typed):
    fields = {"email": typed, "password": PASSWORD}
    answer = ask(auth, "POST", "/-/auth/account/email", form=fields, cookie=signed_in(auth))
    assert answer.status == 422
    assert auth._services.outbox._mailer.outbox == []


@pytest.mark.parametrize(
    "typed", ["-oQ/tmp/x@example.com", "--x@example.com", "-X/var/www/x.php@example.com", "-@example.com"]
)
def test_ma6_nothing_that_looks_like_an_option_is_an_address(auth, typed):
    assert login(auth, typed).status == 401
    for spelling in (typed, f" {typed}", f"\t{typed}", f"\u3000{typed}"):
        with pytest.raises(EmailRejected):
            person(auth, email=spelling)


@pytest.mark.parametrize(
    "typed",
    [
        "tanaka@example.com,evil@evil.example",
        "tanaka@example.com;evil@evil.example",
        "tanaka@example.com evil@evil.example",
        "tanaka@example.com\nevil@evil.example",
        "evil@evil.example,tanaka@example.com",
        "<tanaka@example.com>",
        "Tanaka <tanaka@example.com>",
    ],
)
def test_ma2_a_list_of_addresses_is_nobody(auth, typed):
    assert login(auth, typed).status == 401
    twice = [("email", "tanaka@example.com"), ("email", typed), ("password", PASSWORD)]
    assert ask(auth, "POST", "/-/auth/login", form=twice).status == 400
    brackets = [("email[]", "tanaka@example.com"), ("password", PASSWORD)]
    assert ask(auth, "POST", "/-/auth/login", form=brackets).status == 401
    assert rows(auth) == 0
