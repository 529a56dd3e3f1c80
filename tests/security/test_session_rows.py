"""Rows SE10-SE18: what the store keeps of a session, and what identity is read from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine

from nipo_auth_mw._credentials.tokens import SignedTokens
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import public_id
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryStore, in_memory
from tests.kit import PASSWORD, SUZUKI, events, middleware, two_people
from tests.security.tools import Inner, ask, breakable, rows, session_pair, signed_in, who

DAY = timedelta(days=1)


@pytest.fixture
def auth():
    return two_people(middleware())


@pytest.fixture
def clock():
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        yield clock


def test_se10_a_sign_out_that_could_not_be_written_is_not_reported_as_done():
    store = MemoryStore()
    auth = two_people(middleware(store=store))
    mine = signed_in(auth)
    failing = breakable(store, StoreUnavailable)
    failing.broken = {"end_session"}
    answer = ask(auth, "POST", "/-/auth/logout", cookie=mine)
    assert answer.status == 503
    assert answer.all("Set-Cookie") == []
    for change in ("update", "raise_revocation_counter", "end_session"):
        failing.broken = {change}
        with pytest.raises(StoreUnavailable):
            auth.accounts.set_active("1", False)
        failing.broken = set()
        assert auth.accounts.get("1").active
        assert who(auth, mine) == "1", "either wholly done or not at all"
    auth.accounts.set_active("1", False)
    store.counters.reset()
    assert who(auth, mine) == ""


@pytest.mark.parametrize("route", ["logout", "account/sessions/end", "account/password"])
def test_se10_no_page_reports_an_end_that_was_not_written(route):
    store = MemoryStore()
    auth = two_people(middleware(store=store))
    mine, other = signed_in(auth), signed_in(auth)
    fields = {"all": "1", "current_password": PASSWORD, "password": "midori-mori-to-siroi-tori"}
    failing = breakable(store, StoreUnavailable)
    failing.broken = {"end_session"}
    answer = ask(auth, "POST", f"/-/auth/{route}", form=fields, cookie=mine)
    assert (answer.status, answer.all("Set-Cookie")) == (503, [])
    failing.broken = set()
    assert (who(auth, mine), who(auth, other)) == ("1", "1")


def test_se11_identity_is_the_rows_and_no_claim_is_read():
    auth = two_people(middleware())
    mine = signed_in(auth)
    name, value = mine.split("=")
    secret = value.rpartition(".")[0]
    signed = SignedTokens(in_memory()["config"].secrets, "session")
    assert who(auth, f"{name}={signed.sign(secret)}") == "1", "this test can sign as we do"
    for claim in (f"{secret}.2", f"2.{secret}", f"{secret}:2", f"{secret}&user=2", "2", "suzuki@example.com"):
        assert who(auth, f"{name}={signed.sign(claim)}") == "", claim
    query = "user=2&id=2&REMOTE_USER=2"
    assert who(auth, mine, query=query, HTTP_X_USER="2", HTTP_REMOTE_USER="2") == "1"


@pytest.mark.parametrize("ending", ["sign-out", "disabled", "password"])
def test_se8_what_one_middleware_ends_is_over_for_another_at_once(tmp_path, ending):
    stores = [SQLStore(f"sqlite:///{tmp_path}/auth.db") for _ in "12"]
    stores[0].create_schema()
    one, two = (middleware(store=store) for store in stores)
    two_people(one)
    mine = signed_in(one)
    assert [who(auth, mine) for auth in (one, two, one, two)] == ["1"] * 4
    if ending == "sign-out":
        ask(one, "POST", "/-/auth/logout", cookie=mine)
    elif ending == "disabled":
        one.accounts.set_active("1", False)
    else:
        one.accounts.set_password("1", "midori-mori-to-siroi-tori")
    assert who(two, mine) == ""
    for store in stores:
        store.close()


def test_se12_each_device_has_a_secret_of_its_own(auth):
    one, two = signed_in(auth), signed_in(auth)
    assert one != two
    ask(auth, "POST", "/-/auth/logout", cookie=one)
    assert (who(auth, one), who(auth, two)) == ("", "1")


def test_se13_visitors_make_no_rows(auth):
    for i in range(1000):
        cookie = f"nipo_auth=visitor{i}.{'x' * 43}"
        answer = ask(auth, path="/-/auth/login", cookie=cookie)
        assert (answer.status, answer.all("Set-Cookie")) == (200, [])
        assert ask(auth, "POST", "/-/auth/logout", cookie=cookie).status == 303
    assert rows(auth) == 0
    assert events(auth, "signed_out", "session_ended") == []


def test_se14_odd_ids_match_no_row_and_write_nothing():
    store = MemoryStore()
    auth = two_people(middleware(store=store))
    signed_in(auth)
    before = rows(auth), len(events(auth))
    signed = SignedTokens(in_memory()["config"].secrets, "session")
    key = store.sessions_of("1")[0].key
    for odd in [
        "",
        " ",
        ":",
        "*",
        "%",
        "_",
        "\n",
        "a:b",
        "a\nb",
        "a\r\nb",
        "session:*",
        "[]",
        "None",
        "\x00",
        key,
        key[:12],
        "1",
    ]:
        for cookie in (f"nipo_auth={odd}", f"nipo_auth={signed.sign(odd)}"):
            assert who(auth, cookie) == "", odd
            assert ask(auth, "POST", "/-/auth/logout", cookie=cookie).status == 303
    assert (rows(auth), len(events(auth))) == before


def test_se15_the_account_page_is_ones_own_and_never_shows_a_secret(auth):
    mine = signed_in(auth, HTTP_USER_AGENT="MarkerOfA")
    other = signed_in(auth, SUZUKI, HTTP_USER_AGENT="MarkerOfB", REMOTE_ADDR="198.51.100.77")
    for accept in ("text/html", "application/json"):
        answer = ask(auth, path="/-/auth/account", cookie=mine, HTTP_ACCEPT=accept, query="id=2&user=2&user_id=2")
        assert answer.status == 200
        assert "tanaka@example.com" in answer.text
        for hidden in (mine, other):
            value = hidden.partition("=")[2]
            assert not any(part in answer.text for part in value.split("."))
        assert not any(theirs in answer.text for theirs in ("MarkerOfB", SUZUKI, "198.51.100.77", "$argon2"))
    assert who(auth, other) == "2"


def test_se15_nobody_ends_anothers_session_by_its_id(auth):
    mine, theirs = signed_in(auth), signed_in(auth, SUZUKI)
    (stored,) = auth._services.session_store.sessions_of("2")
    for session in (public_id(stored), stored.key, "*", "%", ""):
        for data in ({"form": {"session": session}}, {"data": {"session": session}}):
            answer = ask(auth, "POST", "/-/auth/account/sessions/end", query="user=2", cookie=mine, **data)
            assert answer.status == 404, session
    assert (who(auth, mine), who(auth, theirs)) == ("1", "2")
    own = public_id(auth._services.session_store.sessions_of("1")[0])
    assert ask(auth, "POST", "/-/auth/account/sessions/end", form={"session": own}, cookie=mine).status == 303
    assert who(auth, mine) == "", "an id of one's own is one that works"


def test_se17_sending_it_again_keeps_the_value_and_bears_parallel_requests(clock):
    auth = two_people(middleware())
    mine = signed_in(auth)
    clock.shift(31 * DAY)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: ask(auth, cookie=mine), range(10)))
    assert [answer.status for answer in answers] == [200] * 10
    sent = {session_pair(answer) for answer in answers} - {""}
    assert sent == {mine}
    assert ask(auth, cookie=mine).all("Set-Cookie") == [], "once sent, it is not due"


@pytest.mark.parametrize(
    "cache", ["public", "max-age=60, public", "s-maxage=60", "PUBLIC, max-age=1", "private, S-MaxAge = 5"]
)
def test_se17_it_is_not_sent_on_an_answer_that_others_may_be_given(clock, cache):
    auth = two_people(middleware(Inner([("Content-Type", "text/plain"), ("Cache-Control", cache)])))
    mine = signed_in(auth)
    clock.shift(31 * DAY)
    assert ask(auth, cookie=mine).all("Set-Cookie") == []


def test_se18_two_realms_do_not_share_cookies():
    x, y, plain = (two_people(middleware(realm=realm)) for realm in ("x", "y", ""))
    mine = signed_in(x)
    assert who(x, mine) == "1"
    assert who(x, f"{mine}; {signed_in(y)}; {signed_in(plain)}") == "1", "one browser has them side by side"
    value = mine.partition("=")[2]
    for other, name in ((y, "nipo_auth_y"), (plain, "nipo_auth")):
        assert who(other, mine) == ""
        assert who(other, f"{name}={value}") == ""
    shared = MemoryStore()
    one, two = two_people(middleware(store=shared, realm="x")), middleware(store=shared, realm="y")
    value = signed_in(one).partition("=")[2]
    assert who(two, f"nipo_auth_y={value}") == "", "one store and one secret make no difference"
