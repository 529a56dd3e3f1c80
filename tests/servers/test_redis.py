"""The lock on Redis, whose clock is its own."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from nipo_auth_mw import LockoutPolicy, StoreUnavailable
from nipo_auth_mw._flows.advance import SignedIn
from nipo_auth_mw._flows.login import sign_in
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw.models import Client
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, link_in
from tests.kit import PASSWORD, WRONG, SpyHasher, browser, middleware, person, seen
from tests.kit import sign_in as enter


def attempt(auth, password=WRONG):
    return sign_in(auth._services, "tanaka@example.com", password, remember=True, client=Client("192.0.2.1"))


def door(uri, **policy):
    auth = middleware(lockout=LockoutPolicy(storage=uri, **policy))
    person(auth)
    return auth


def test_lk1_the_fifth_wrong_one_sets_a_lock_of_five_minutes(redis_uri):
    import redis

    auth = door(redis_uri)
    answers = [attempt(auth) for _ in range(5)]
    assert [answer.code for answer in answers[:4]] == ["invalid_credentials"] * 4
    assert answers[4] == Refused("invalid_credentials", 300, detail="lock_begun")
    with redis.Redis.from_url(redis_uri) as client:
        (key,) = [key for key in client.scan_iter() if key.endswith(b":lock")]
        assert 299_000 <= client.pttl(key) - 86_400_000 <= 300_000
        assert b"tanaka" not in b"".join(client.scan_iter())
    assert attempt(auth, PASSWORD).code == "locked"


def test_ck4_redis_holds_nothing_of_a_cookie_or_a_link(redis_uri):
    import redis

    mailer = MemoryMailer()
    auth = middleware(lockout=LockoutPolicy(storage=redis_uri), mailer=mailer)
    person(auth)
    page = browser(auth)
    enter(page)
    page.post("/-/auth/forgot", {"email": "tanaka@example.com"})
    token = link_in(mailer.outbox[-1]).rpartition("/")[2]
    secrets = [part for value in (*page.cookies.values(), token) for part in value.split(".") if len(part) > 16]
    with redis.Redis.from_url(redis_uri) as client:
        persistent = b" ".join(key + b" " + client.dump(key) for key in client.scan_iter())
    assert persistent, "the limits are counted there"
    assert not any(secret.encode() in persistent for secret in ("tanaka", *secrets))


def test_lk1_it_ends_by_redis_own_clock(redis_uri):
    auth = door(redis_uri, failures=2, window=timedelta(seconds=4), duration=timedelta(seconds=2))
    attempt(auth)
    time.sleep(1)
    assert attempt(auth).detail == "lock_begun"
    began = time.monotonic()
    while isinstance(attempt(auth, PASSWORD), Refused):
        assert time.monotonic() - began < 4
        time.sleep(0.05)
    assert time.monotonic() - began == pytest.approx(2, abs=1)


def test_a_right_password_clears_the_count(redis_uri):
    auth = door(redis_uri)
    for _ in range(3):
        for _ in range(4):
            assert attempt(auth).detail != "lock_begun"
        assert isinstance(attempt(auth, PASSWORD), SignedIn)


def test_fa3_redis_out_of_reach_checks_no_password_ends_no_session_and_recovers(own_redis):
    spy = SpyHasher(fast_hasher())
    auth = middleware(lockout=LockoutPolicy(storage=f"redis://127.0.0.1:{own_redis.port}/0"), hasher=spy)
    person(auth)
    test_app = browser(auth)
    enter(test_app)
    spy.verified.clear()
    own_redis.stop()
    for password in (PASSWORD, WRONG):
        answer = enter(browser(auth), password=password)
        assert answer.status_int == 503
        assert answer.headers["Retry-After"]
    with pytest.raises(StoreUnavailable):
        attempt(auth)
    assert spy.verified == []
    assert seen(test_app) == "1"
    own_redis.start()
    assert enter(browser(auth)).status_int == 303
