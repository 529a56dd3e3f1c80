"""Rows IP: who a request is from is the server's word, never a header's."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD, WRONG, browser, events, logged_here, middleware, person, sign_in
from tests.security.corpora.client_addresses import ODD, SPELT, SPOOFS
from tests.security.tools import HTTPS, Inner, ask, login, signed_in

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
FEW = LockoutPolicy(client_failures=6)


def guesses(auth, count, headers):
    for n in range(count):
        spoofed = {name: value.format(n=n) for name, value in headers.items()}
        yield sign_in(browser(auth, **spoofed), f"nobody{n}@example.com", WRONG).status_int


@pytest.mark.parametrize("headers", SPOOFS)
def test_ip1_ip6_headers_are_not_believed(headers):
    auth = middleware(lockout=FEW)
    assert list(guesses(auth, 7, headers)) == [401] * 6 + [429]
    assert {row.client_address for row in events(auth, "sign_in_failed")} == {"192.0.2.1"}


def test_ip1_the_limit_has_a_code_of_its_own():
    auth = middleware(lockout=FEW)
    list(guesses(auth, 6, {}))
    answer = browser(auth).post_json("/-/auth/login", {"email": "a@example.com", "password": WRONG}, expect_errors=True)
    assert answer.json["code"] == "too_many_attempts"
    assert int(answer.headers["Retry-After"]) == answer.json["retry_after"] > 0


def test_ip2_behind_one_proxy_the_last_entry_counts_for_us_and_for_the_app():
    addresses = []

    def app(environ, start_response):
        addresses.append(environ["REMOTE_ADDR"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    auth = middleware(app, trusted_proxies=1, public_paths=["/*"], lockout=FEW)
    test_app = browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 198.51.100.7")
    test_app.get("/page")
    sign_in(test_app, "nobody@example.com", WRONG)
    assert addresses == ["198.51.100.7"]
    assert events(auth, "sign_in_failed")[0].client_address == "198.51.100.7"
    for n in range(6):
        # Whatever the sender wrote to the left of it.
        changing = browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR=f"6.6.6.{n}, 198.51.100.8")
        sign_in(changing, f"n{n}@example.com", WRONG)
    assert sign_in(changing, "n7@example.com", WRONG).status_int == 429


def test_ip2_each_proxy_is_taken_for_one_entry_and_no_more():
    seen_by = {"6.6.6.6, 198.51.100.7, 10.0.0.9": "198.51.100.7", "198.51.100.8, 10.0.0.9": "198.51.100.8"}
    # With fewer entries than proxies a request came past one of them.
    for header, address in {**seen_by, "6.6.6.6": "10.0.0.1"}.items():
        auth = middleware(trusted_proxies=2)
        sign_in(browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR=header), "nobody@example.com", WRONG)
        assert [row.client_address for row in events(auth)] == [address]


def test_ip2_the_readme_says_to_drop_the_apps_own_proxyfix():
    (line,) = [line for line in README.splitlines() if line.startswith("| `trusted_proxies` |")]
    assert "drop your own `ProxyFix`" in line


@pytest.mark.parametrize("value", ODD)
def test_ip3_an_odd_entry_skips_no_check(value):
    auth = middleware(trusted_proxies=1, lockout=LockoutPolicy(failures=2, client_failures=6))
    person(auth)
    odd = browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR=value)
    assert [sign_in(odd, password=WRONG).status_int for _ in range(3)] == [401, 401, 429]
    assert [sign_in(odd, f"nobody{n}@example.com", WRONG).status_int for n in range(5)] == [401] * 4 + [429]
    told = {row.client_address for row in events(auth, "sign_in_failed")}
    assert told == ({"1.2.3.4"} if value.strip() == "1.2.3.4" else {"10.0.0.1"})


@pytest.mark.parametrize("value", ODD)
def test_ip3_what_the_server_itself_names_oddly_is_written_on_one_line(value):
    auth = middleware()
    sign_in(browser(auth, value), "nobody@example.com", WRONG)
    (row,) = events(auth, "sign_in_failed")
    assert row.client_address.isprintable()
    assert len(row.client_address) <= 64


def test_ip4_a_whole_64_shares_one_limit():
    auth = middleware(lockout=FEW)
    person(auth)
    for n in range(6):
        sign_in(browser(auth, f"2001:db8:1:2::{n:x}"), f"nobody{n}@example.com", WRONG)
    assert sign_in(browser(auth, "2001:0DB8:1:2:ffff:ffff:0:1")).status_int == 429
    assert sign_in(browser(auth, "2001:db8:1:3::1")).status_int == 303


def test_ip4_no_spelling_of_an_address_is_another_one():
    auth = middleware(lockout=FEW)
    person(auth)
    spellings = ["192.0.2.9", "::ffff:192.0.2.9", "::FFFF:c000:209", "0:0:0:0:0:ffff:192.0.2.9", "::ffff:c000:0209"]
    for n, address in enumerate([*spellings, "192.0.2.9"]):
        sign_in(browser(auth, address), f"nobody{n}@example.com", WRONG)
    assert [sign_in(browser(auth, address)).status_int for address in spellings] == [429] * 5
    assert sign_in(browser(auth, "::ffff:192.0.2.10")).status_int == 303
    for n in range(6):
        sign_in(browser(auth, f"fe80::{n + 1}%eth{n}"), f"somebody{n}@example.com", WRONG)
    assert sign_in(browser(auth, "fe80::ff")).status_int == 429


@pytest.mark.parametrize("missing", [None, "", "unix:", "localhost", "unknown"])
def test_ip5_ru8_without_a_peer_address_all_share_a_larger_limit(missing):
    auth = middleware(lockout=LockoutPolicy(client_failures=10))
    person(auth)
    test_app = browser(auth)
    test_app.extra_environ.pop("REMOTE_ADDR")
    test_app.extra_environ.update({} if missing is None else {"REMOTE_ADDR": missing})
    assert {sign_in(test_app, f"nobody{n}@example.com", WRONG).status_int for n in range(49)} == {401}
    assert sign_in(test_app).status_int == 303
    sign_in(test_app, "nobody@example.com", WRONG)
    assert sign_in(browser(auth, "unix:")).status_int == 429
    assert sign_in(browser(auth)).status_int == 303, "one with an address has a limit of its own"


@pytest.mark.parametrize(("spelt", "address"), SPELT.items())
def test_ru8_an_address_is_read_as_balancers_and_servers_write_it(spelt, address):
    behind, bare = middleware(trusted_proxies=1), middleware()
    sign_in(browser(behind, "10.0.0.1:99", HTTP_X_FORWARDED_FOR=f"6.6.6.6:1, {spelt}"), "nobody@example.com", WRONG)
    sign_in(browser(bare, spelt), "nobody@example.com", WRONG)
    told = [row.client_address for auth in (behind, bare) for row in events(auth, "sign_in_failed")]
    assert told == [address, address]


def test_ru8_no_port_is_another_client():
    auth = middleware(trusted_proxies=1, lockout=FEW)
    for n in range(6):
        port = browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR=f"198.51.100.7:{40000 + n}")
        assert sign_in(port, f"nobody{n}@example.com", WRONG).status_int == 401
    assert sign_in(port, "nobody@example.com", WRONG).status_int == 429


PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.18.0.3",
    "172.31.255.1",
    "192.168.1.1",
    "127.0.0.1",
    "::1",
    "fd00::3",
    "fe80::1%eth0",
]
PUBLIC = ["198.51.100.7", "172.32.0.1", "172.15.0.1", "11.0.0.1", "2001:db8::1"]
FORWARDED = {
    "HTTP_X_FORWARDED_FOR": "203.0.113.9",
    "HTTP_FORWARDED": "for=203.0.113.9",
    "HTTP_X_REAL_IP": "203.0.113.9",
    "HTTP_CF_CONNECTING_IP": "203.0.113.9",
}


def warned(caplog, peer, trusted=0, base_url=HTTPS, **headers):
    """What three requests to sign-in leave in the log."""
    caplog.clear()
    auth = middleware(trusted_proxies=trusted, base_url=base_url)
    with caplog.at_level(logging.WARNING, "nipo_auth_mw"):
        for _ in range(3):
            ask(auth, path="/-/auth/login", REMOTE_ADDR=peer, **headers)
    return ["trusted_proxies" in record.message for record in caplog.records]


@pytest.mark.parametrize("header", FORWARDED)
@pytest.mark.parametrize("peer", [*PRIVATE, "172.18.0.3:99", "", None, "unix:"])
def test_ru8_a_forgotten_proxy_is_warned_of_once(caplog, peer, header):
    assert warned(caplog, peer, **{header: FORWARDED[header]}) == [True]


@pytest.mark.parametrize("peer", PUBLIC)
def test_ru8_what_a_stranger_sends_is_no_reason_to_warn(caplog, peer):
    assert warned(caplog, peer, **FORWARDED) == []


def test_ru8_a_server_that_names_no_address_is_warned_of_without_a_header_too(caplog):
    assert warned(caplog, "") == [True]
    assert warned(caplog, "", base_url="http://localhost") == [], "a test client names none"
    assert warned(caplog, "10.0.0.1") == [], "a visitor of the private network"


@pytest.mark.parametrize(
    ("trusted", "header", "right"),
    [
        (1, None, False),
        (2, "203.0.113.9", False),
        (1, "203.0.113.9, 172.18.0.3", False),
        (1, "203.0.113.9", True),
        (1, "6.6.6.6, 203.0.113.9", True),
        (1, "192.168.1.7", True),
        (2, "203.0.113.9, 172.18.0.3", True),
    ],
)
def test_ru8_a_wrong_number_of_proxies_is_warned_of(caplog, trusted, header, right):
    assert warned(caplog, "10.0.0.1", trusted, HTTP_X_FORWARDED_FOR=header) == ([] if right else [True])


@pytest.mark.parametrize("peer", PRIVATE)
def test_ak11_a_front_end_that_signs_in_for_everybody_is_warned_of_and_the_others_get_in(caplog, peer):
    auth = middleware(lockout=LockoutPolicy(client_failures=10), hasher=fast_hasher())
    person(auth)

    def by_front_end(email, password):
        return ask(auth, "POST", "/-/auth/login", data={"email": email, "password": password}, REMOTE_ADDR=peer).status

    with caplog.at_level(logging.WARNING, "nipo_auth_mw"):
        assert {by_front_end(f"n{n}@example.com", WRONG) for n in range(45)} == {401}
    told = [record.message for record in caplog.records if record.module == "deployment_warnings"]
    assert ["a program" in message for message in told] == [True]
    assert "n1@example" not in caplog.text
    assert by_front_end("tanaka@example.com", PASSWORD) == 200
    assert {by_front_end(f"m{n}@example.com", WRONG) for n in range(10)} == {401, 429}, "it is no way around the limit"


def test_ak11_only_a_program_in_a_private_network_may_be_a_front_end():
    for more in ({"REMOTE_ADDR": "198.51.100.7"}, {"REMOTE_ADDR": "10.0.0.1", "HTTP_SEC_FETCH_SITE": "same-origin"}):
        auth = middleware(lockout=FEW)
        statuses = [
            ask(auth, "POST", "/-/auth/login", data={"email": f"n{n}@example.com", "password": WRONG}, **more).status
            for n in range(7)
        ]
        assert statuses == [401] * 6 + [429]
    auth = middleware(lockout=FEW)
    assert list(guesses(auth, 7, {"REMOTE_ADDR": "10.0.0.1"})) == [401] * 6 + [429], "a form is a person's"


def test_ak11_a_few_accounts_from_one_address_are_no_front_end(caplog):
    auth = middleware()
    with caplog.at_level(logging.WARNING, "nipo_auth_mw"):
        for n in range(100):
            data = {"email": f"n{n % 9}@example.com", "password": WRONG}
            ask(auth, "POST", "/-/auth/login", data=data, REMOTE_ADDR="10.0.0.1")
    assert logged_here(caplog) == []


def test_ip5_a_proxy_on_this_machine_is_warned_of_once(caplog):
    auth = middleware(lockout=FEW)
    with caplog.at_level(logging.WARNING, "nipo_auth_mw"):
        for n in range(3):
            test_app = browser(auth, "127.0.0.1", HTTP_X_FORWARDED_FOR=f"203.0.113.{n}")
            test_app.get("/-/auth/login")
    assert [("trusted_proxies" in record.message) for record in caplog.records] == [True]


def test_ip5_a_proxy_on_this_machine_is_limited_as_itself():
    auth = middleware(lockout=FEW)
    header = {"HTTP_X_FORWARDED_FOR": "203.0.113.{n}", "REMOTE_ADDR": "127.0.0.1"}
    assert list(guesses(auth, 7, header)) == [401] * 6 + [429]


@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.1"])
def test_ip6_forwarded_headers_change_nothing_for_us_or_for_the_app(peer):
    inner = Inner()
    auth = middleware(inner, base_url=HTTPS)
    person(auth)
    spoofed = {
        "REMOTE_ADDR": peer,
        "HTTP_X_FORWARDED_FOR": "6.6.6.6",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_SSL": "on",
        "HTTP_X_FORWARDED_HOST": "evil.example",
        "HTTP_X_FORWARDED_PORT": "99",
        "HTTP_X_FORWARDED_PREFIX": "/evil",
        "HTTP_FORWARDED": "for=6.6.6.6;proto=https;host=evil.example",
        "HTTP_X_REAL_IP": "6.6.6.6",
    }
    mine = signed_in(auth, **spoofed)
    ask(auth, path="/page", cookie=mine, HTTP_HOST="app.example", **spoofed)
    (seen,) = inner.seen
    told = [seen[key] for key in ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT", "SCRIPT_NAME")]
    assert told == [peer, "http", "app.example", "8000", ""]


@pytest.mark.parametrize("scheme", ["http", "https", "evil", ""])
def test_ip6_a_forwarded_scheme_changes_no_cookie(scheme):
    auth = middleware(base_url=HTTPS)
    person(auth)
    answer = login(auth, HTTP_X_FORWARDED_PROTO=scheme, HTTP_X_FORWARDED_HOST="evil.example")
    cookies = answer.all("Set-Cookie")
    assert len(cookies) == 3
    assert all("Secure" in cookie and cookie.startswith("__Host-") for cookie in cookies)
    assert "evil" not in str(answer.headers)
