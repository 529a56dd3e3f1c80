"""Rows CK1-CK13: what a cookie of ours is, and what it is not."""

from __future__ import annotations

import base64
import re
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes

import pytest
import time_machine

from nipo_auth_mw import AuthConfig, ConfigError
from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.each import each
from tests.kit import PASSWORD, middleware, person
from tests.security.corpora.cookies import BROKEN_NEIGHBOURS, FOREIGN
from tests.security.tools import HTTPS, Inner, ask, login, rows, session_pair, signed_in, who

NAME = "__Host-nipo_auth"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def auth():
    auth = middleware(base_url=HTTPS)
    person(auth, name="Tanaka")
    person(auth, email="suzuki@example.com")
    return auth


def attributes(line: str) -> dict[str, str]:
    parts = [part.strip().partition("=") for part in line.split(";")[1:]]
    return {name.lower(): value for name, _, value in parts}


def is_hardened(line: str) -> bool:
    found = attributes(line)
    flags = {"secure", "httponly"} <= set(found) and found["path"] == "/" and found["samesite"] == "Lax"
    return line.startswith("__Host-nipo_") and flags and "domain" not in found


def test_ck1_every_cookie_of_a_sign_in_is_bound_to_this_host_and_kept_from_scripts(auth):
    lines = login(auth).all("Set-Cookie")
    assert sorted(line.split("=")[0] for line in lines) == [
        "__Host-nipo_auth",
        "__Host-nipo_device",
        "__Host-nipo_flash",
    ]
    assert all(is_hardened(line) for line in lines), lines


def test_ck2_flags_follow_base_url_and_no_request(auth):
    plain = {"wsgi.url_scheme": "http", "HTTP_HOST": "127.0.0.1:8000", "HTTP_X_FORWARDED_PROTO": "http"}
    lines = login(auth, **plain).all("Set-Cookie")
    assert len(lines) == 3
    assert all(is_hardened(line) for line in lines)
    with pytest.raises(ConfigError):
        AuthConfig(secret_key="k" * 40 + "q", base_url="http://intranet")
    development = middleware(base_url="http://localhost")
    refused = ask(development, path="/-/auth/login", HTTP_HOST="app.example", HTTP_ACCEPT="application/json")
    assert (refused.status, refused.code) == (400, "wrong_host")
    assert ask(development, path="/-/auth/login", HTTP_HOST="127.0.0.1:8000").status == 200


def device_of_many(auth) -> str:
    """The cookie of a device on which more people were kept than it remembers."""
    cookie = ""
    for number in range(25):
        email = f"tanaka{number}@example.com"
        person(auth, email, name="Tanaka")
        cookie = login(auth, email, cookie=f"__Host-nipo_device={cookie}").cookies["__Host-nipo_device"]
    return cookie


def test_ck3_the_value_is_random_opaque_and_small(auth):
    values = set()
    for _ in range(200):
        value = session_pair(login(auth)).partition("=")[2]
        values.add(value)
    assert len(values) == 200
    devices = device_of_many(auth)
    assert len(f"__Host-nipo_device={devices}") <= 4096
    for value in [*list(values)[:50], devices]:
        assert len(NAME) + 1 + len(value) <= 4096
        secret = value.split(".")[0]
        assert len(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))) >= 16
        for part in value.split("."):
            told = base64.urlsafe_b64decode(part + "==").lower() + unquote_to_bytes(part).lower()
            assert b"tanaka" not in told
            assert b"example" not in told


def test_ck4_the_store_keeps_only_a_hash_of_the_secret(store, tmp_path):
    mailer = MemoryMailer()
    auth = middleware(store=store, mailer=mailer)
    person(auth)
    answer = login(auth)
    assert who(auth, session_pair(answer)) != ""
    secrets = [part for value in answer.cookies.values() for part in value.split(".")]
    new = {"email": "hanako@example.com", "password": PASSWORD}
    assert ask(auth, "POST", "/-/auth/account/email", form=new, cookie=session_pair(answer)).status == 303
    assert ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"}).status == 200
    tokens = [link_in(mail).rpartition("/")[2] for mail in mailer.outbox]
    assert len(tokens) == 3, "one cancels, one confirms, one resets"
    # The one that confirms names its row in the store by the hash of the one that cancels.
    secrets += [*tokens, *tokens[0].split("."), *(token.rpartition(".")[2] for token in tokens)]
    for secret in secrets:
        for file in tmp_path.iterdir():
            assert secret.encode() not in file.read_bytes(), file.name


def test_ck5_two_cookies_of_our_name_are_none(auth):
    a, b = signed_in(auth), signed_in(auth, "suzuki@example.com")
    assert (who(auth, a), who(auth, b)) == ("1", "2")
    for header in (f"{a}; {b}", f"{b}; {a}", f"{a};{a}", f"{a}; x=1; {NAME}=", f"{NAME}=; {a}", f'{a}; {NAME}="x"'):
        assert who(auth, header) == "", header


@pytest.mark.parametrize("header", ["={}", "; ={}", "x=1; ={}", "={}; x=1", "x{}", "x={}", "= {}", " =\t{}"])
def test_ck6_a_nameless_cookie_is_not_ours(auth, header):
    assert who(auth, header.format(signed_in(auth))) == ""


@pytest.mark.parametrize("neighbour", BROKEN_NEIGHBOURS)
def test_ck7_a_broken_pair_costs_no_other(auth, neighbour):
    mine = signed_in(auth)
    assert who(auth, f"{neighbour}; {mine}") == "1"
    assert who(auth, f"{mine}; {neighbour}") == "1"
    assert who(auth, f"x=1;{neighbour};{mine};y=2") == "1"


@each("value", FOREIGN)
def test_ck8_a_value_nobody_was_given_is_a_visitor(auth, value):
    for cookie in (f"{NAME}={value}", f'{NAME}="{value}"', f"{NAME}= {value} ", f"__Host-nipo_device={value}"):
        assert who(auth, cookie) == ""
        assert ask(auth, path="/-/auth/session", cookie=cookie).status == 401
    assert login(auth, cookie=f"{NAME}={value}; __Host-nipo_device={value}").status == 303


def test_ck8_every_flip_and_every_prefix_of_a_good_value_is_a_visitor(auth):
    mine = signed_in(auth)
    value = mine.partition("=")[2]
    for i, character in enumerate(value):
        other = "B" if character == "A" else "A"
        assert who(auth, f"{NAME}={value[:i]}{other}{value[i + 1 :]}") == "", i
        assert who(auth, f"{NAME}={value[:i]}") == "", i
        assert who(auth, f"{NAME}={value[i + 1 :]}") == "", i
    head, _, signature = value.rpartition(".")
    for odd in (head, head + ".", "." + signature, value + value, f"{value}.{signature}", f"{head}..{signature}"):
        assert who(auth, f"{NAME}={odd}") == ""
    assert who(auth, mine) == "1"
    assert who(auth, "; ".join(f"c{i}={i}" for i in range(5000))) == ""


def test_ck9_another_spelling_of_a_value_is_no_second_key(auth):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for suffix in [*alphabet, "=", "==", " ", '"', "%3D", "."]:
        mine = signed_in(auth)
        variant = mine[:-1] + suffix if suffix in alphabet else mine + suffix
        if variant != mine and who(auth, variant):
            ask(auth, "POST", "/-/auth/logout", cookie=variant)
            assert who(auth, mine) == "", suffix
    mine = signed_in(auth)
    quoted = '{}="{}"'.format(*mine.split("="))
    assert who(auth, quoted) == "1"
    ask(auth, "POST", "/-/auth/logout", cookie=quoted)
    assert who(auth, mine) == ""


def test_ck10_a_big_header_is_cheap_and_a_visitor(auth):
    a, b = signed_in(auth), signed_in(auth, "suzuki@example.com")
    pairs = [a, b] * 50 + [f"c{i}={'x' * 120}" for i in range(400)]
    header = "; ".join(pairs).ljust(64 * 1024, "x")
    bigs = [header, "; " * 32_000 + a + "; " + b, f"{NAME} " * 4000, f"{NAME}=;" * 3000, "=" * 65_000]
    # As long as what is still read, so that each pair is looked at.
    read = ["; ".join([a, b] * 50 + ["c=x"] * 3000), "; " * 15_000 + a + "; " + b, f"{NAME}x=;" * 1500, "=;" * 15_000]
    for big in (*bigs, *read):
        began = time.thread_time()
        assert who(auth, big) == ""
        assert ask(auth, path="/-/auth/login", cookie=big).status == 200
        assert time.thread_time() - began < 0.2


def test_ck11_the_apps_own_cookies_survive_beside_ours():
    own = ["a=1; Path=/", "a=2; Path=/x", "b=3"]
    inner = Inner([("Content-Type", "text/plain"), *(("Set-Cookie", line) for line in own)])
    auth = middleware(inner, base_url=HTTPS)
    person(auth)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        mine = signed_in(auth)
        clock.shift(31 * DAY)
        lines = ask(auth, cookie=mine).all("Set-Cookie")
    assert lines[:3] == own
    assert len(lines) == 4
    assert is_hardened(lines[3])
    assert lines[3].startswith(mine)


def test_ck12_deletion_mirrors_the_cookie(auth):
    set_line = next(line for line in login(auth).all("Set-Cookie") if line.startswith(NAME))
    lines = ask(auth, "POST", "/-/auth/logout", cookie=set_line.split(";")[0]).all("Set-Cookie")
    (deleted,) = (line for line in lines if line.startswith(f"{NAME}="))
    assert re.match(re.escape(NAME) + '=(""|);', deleted)
    before, after = attributes(set_line), attributes(deleted)
    assert after["max-age"] == "0"
    assert parsedate_to_datetime(after["expires"]).timestamp() < time.time()
    timeless = [{k: v for k, v in found.items() if k not in {"max-age", "expires"}} for found in (before, after)]
    assert timeless[0] == timeless[1]


def test_ck13_a_session_comes_from_the_cookie_alone(auth):
    mine = signed_in(auth)
    value = mine.partition("=")[2]
    query = f"{mine}&session={value}&nipo_auth={value}&token={value}"
    headers = {
        "HTTP_AUTHORIZATION": f"Bearer {value}",
        "HTTP_X_SESSION": value,
        "HTTP_X_AUTH_TOKEN": value,
        "HTTP_COOKIE2": mine,
        "HTTP_SET_COOKIE": mine,
        "HTTP_X_COOKIE": mine,
    }
    assert who(auth, query=query) == ""
    assert who(auth, **headers) == ""
    assert ask(auth, path="/-/auth/session", query=query, **headers).status == 401
    posted = ask(auth, "POST", "/page", form={NAME: value, "session": value})
    assert posted.status == 401
    before = rows(auth)
    assert ask(auth, "POST", "/-/auth/logout", data={NAME: value}).status == 200
    assert rows(auth) == before
