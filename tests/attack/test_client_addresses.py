"""Rows IP: who a request is from is the server's word, never a header's."""

from __future__ import annotations

import logging

import pytest

from nipo_auth_mw import LockoutPolicy
from tests.kit import PASSWORD, WRONG, browser, events, middleware, person, seen, sign_in

FEW = LockoutPolicy(address_failures=6)
SPOOFS = [
    {"HTTP_X_FORWARDED_FOR": "203.0.113.{n}"},
    {"HTTP_X_REAL_IP": "203.0.113.{n}"},
    {"HTTP_FORWARDED": "for=203.0.113.{n}"},
    {"HTTP_CF_CONNECTING_IP": "203.0.113.{n}"},
    {"HTTP_TRUE_CLIENT_IP": "203.0.113.{n}"},
    {"HTTP_X_CLIENT_IP": "203.0.113.{n}"},
    {"HTTP_X_FORWARDED_FOR": "203.0.113.{n}", "HTTP_X_REAL_IP": "203.0.113.{n}", "HTTP_FORWARDED": "for=203.0.113.{n}"},
]
ODD = [
    "",
    ",",
    "unknown",
    "_hidden",
    "1.2.3.4:99",
    "[::1]:80",
    "999.1.1.1",
    "' OR 1=1",
    "1.2.3.4\t",
    "\x1b[2J",
    "a" * 5000,
]


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
    answer = browser(auth).post_json("/auth/login", {"email": "a@example.com", "password": WRONG}, expect_errors=True)
    assert answer.json["code"] == "too_many_attempts"
    assert int(answer.headers["Retry-After"]) == answer.json["retry_after"] > 0


def test_ip2_behind_one_proxy_the_last_entry_counts_for_us_and_for_the_app():
    addresses = []

    def app(environ, start_response):
        addresses.append(environ["REMOTE_ADDR"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    auth = middleware(app, trusted_proxies=1, public=["/"], lockout=FEW)
    test_app = browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 198.51.100.7")
    test_app.get("/page")
    sign_in(test_app, "nobody@example.com", WRONG)
    assert addresses == ["198.51.100.7"]
    assert events(auth, "sign_in_failed")[0].client_address == "198.51.100.7"
    for n in range(6):
        changing = browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR=f"6.6.6.{n}, 198.51.100.8")
        sign_in(changing, f"n{n}@example.com", WRONG)
    assert sign_in(changing, "n7@example.com", WRONG).status_int == 429


@pytest.mark.parametrize("value", ODD)
def test_ip3_an_odd_entry_skips_no_check(value):
    auth = middleware(trusted_proxies=1, lockout=LockoutPolicy(failures=2, address_failures=3))
    person(auth)
    test_app = browser(auth, "10.0.0.1", HTTP_X_FORWARDED_FOR=value)
    assert sign_in(test_app, password=WRONG).status_int == 401
    sign_in(test_app, password=WRONG)
    assert sign_in(test_app).status_int == 429
    assert all(row.client_address.isprintable() for row in events(auth))
    assert all(len(row.client_address) <= 400 for row in events(auth))


def test_ip4_a_whole_64_shares_one_limit():
    auth = middleware(lockout=FEW)
    person(auth)
    for n in range(6):
        sign_in(browser(auth, f"2001:db8:1:2::{n:x}"), f"nobody{n}@example.com", WRONG)
    assert sign_in(browser(auth, "2001:0DB8:1:2:ffff:ffff:0:1")).status_int == 429
    assert sign_in(browser(auth, "2001:db8:1:3::1")).status_int == 303


@pytest.mark.parametrize("missing", [{}, {"REMOTE_ADDR": ""}])
def test_ip5_without_a_peer_address_nobody_shares_a_limit(missing):
    auth = middleware(lockout=LockoutPolicy(address_failures=10))
    person(auth)
    test_app = browser(auth)
    test_app.extra_environ.pop("REMOTE_ADDR")
    test_app.extra_environ.update(missing)
    for n in range(100):
        sign_in(test_app, f"nobody{n}@example.com", WRONG)
    assert sign_in(test_app).status_int == 303


def test_ip5_a_proxy_on_this_machine_is_warned_of_once(caplog):
    auth = middleware(lockout=FEW)
    with caplog.at_level(logging.WARNING, "nipo_auth_mw"):
        for n in range(3):
            test_app = browser(auth, "127.0.0.1", HTTP_X_FORWARDED_FOR=f"203.0.113.{n}")
            test_app.get("/auth/login")
    assert [("trusted_proxies" in record.message) for record in caplog.records] == [True]


def test_ip6_a_forwarded_scheme_changes_nothing():
    auth = middleware(base_url="https://app.example")
    person(auth)
    test_app = browser(auth, HTTP_X_FORWARDED_PROTO="http", HTTP_X_FORWARDED_HOST="evil.example")
    answer = sign_in(test_app, password=PASSWORD)
    assert all("Secure" in cookie for cookie in answer.headers.getall("Set-Cookie"))
    assert "evil" not in str(answer.headers)
    assert seen(test_app) == "", "WebTest keeps Secure cookies to itself over http"
