"""Promises over several processes, forked from one that was already built."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tests._services import database
from tests.kit import PASSWORD, WRONG


def post(url, fields, cookie=""):
    headers = {"Content-Type": "application/json", "Cookie": cookie}
    request = urllib.request.Request(url, json.dumps(fields).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def get(url, cookie):
    request = urllib.request.Request(url, headers={"Cookie": cookie, "Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code


def together(count, action):
    barrier = threading.Barrier(count)

    def run(_):
        barrier.wait()
        return action()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.fixture(params=["sqlite", "redis", "postgres", "mariadb"])
def counters(request):
    """Where the processes count: settings for the served app."""
    if request.param == "redis":
        yield {"SERVED_COUNTERS": request.getfixturevalue("redis_uri")}
    elif request.param == "sqlite":
        yield {}
    else:
        with database(request.param, "served") as url:
            yield {"SERVED_STORE": url}


KINDS = pytest.mark.parametrize("kind", ["gthread", "gevent"])


@KINDS
def test_lk7_two_hundred_parallel_wrong_passwords_reach_the_hasher_at_most_five_times(
    counters, kind, gunicorn, tmp_path
):
    url = gunicorn(workers=4, threads=8, kind=kind, **counters)
    guess = {"email": "tanaka@example.com", "password": WRONG}
    answers = Counter(status for status, _ in together(200, lambda: post(f"{url}/-/auth/login", guess)))
    assert 1 <= (tmp_path / "verified").stat().st_size <= 5
    assert set(answers) <= {401, 429, 503}
    assert post(f"{url}/-/auth/login", {**guess, "password": PASSWORD})[0] == 429


@KINDS
def test_lk8_ten_parallel_right_passwords_all_get_in(counters, kind, gunicorn):
    url = gunicorn(kind=kind, **counters)
    right = {"email": "tanaka@example.com", "password": PASSWORD}
    assert [status for status, _ in together(10, lambda: post(f"{url}/-/auth/login", right))] == [200] * 10


def test_se8_ws6_what_one_process_ends_no_other_revives(gunicorn, tmp_path):
    url = gunicorn()
    _, headers = post(f"{url}/-/auth/login", {"email": "tanaka@example.com", "password": PASSWORD})
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert all("user=1" in get(f"{url}/page", cookie) for _ in range(40))
    change(f"sqlite:///{tmp_path / 'auth.db'}", "UPDATE nipo_auth_account SET active = NOT active")
    assert {get(f"{url}/page", cookie) for _ in range(40)} == {401}


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def database_of(request, tmp_path):
    """Where the served app keeps its sessions: its URL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'auth.db'}"
    else:
        with database(request.param, "flight") as url:
            yield url


@pytest.mark.parametrize("end", ["sign-out", "disabling", "nothing"])
def test_se9_a_request_in_flight_in_another_process_revives_no_session(database_of, end, gunicorn, tmp_path):
    """A month-old session, whose cookie goes out again with the answer unless it ended meanwhile."""
    url = gunicorn(SERVED_STORE=database_of)
    cookie = post(f"{url}/-/auth/login", {"email": "tanaka@example.com", "password": PASSWORD})[1]["Set-Cookie"]
    cookie = cookie.partition(";")[0]
    change(database_of, "UPDATE nipo_auth_session SET sent_at = sent_at - 3000000")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(headers_of, f"{url}/slow", cookie)
        while not (tmp_path / "inside").exists() and not slow.done():
            time.sleep(0.01)
        if end == "sign-out":
            assert post(f"{url}/-/auth/logout", {}, cookie)[0] == 200
        elif end == "disabling":
            change(database_of, "UPDATE nipo_auth_account SET active = NOT active")
            assert get(f"{url}/page", cookie) == 401
        (tmp_path / "go").touch()
        assert ("Set-Cookie" in slow.result()) == (end == "nothing")
    seen = {get(f"{url}/page", cookie) for _ in range(12)}
    assert (seen == {401}) == (end != "nothing")


def headers_of(url, cookie):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Cookie": cookie}), timeout=30) as answer:
        return answer.headers


def change(url, sql):
    """Behind the middleware's back."""
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(sql)


def test_mails_leave_from_workers_forked_with_preload_and_before_they_are_stopped(gunicorn, tmp_path):
    url = gunicorn(workers=2)
    assert post(f"{url}/-/auth/forgot", {"email": "tanaka@example.com"})[0] == 200
    gunicorn.stop()
    assert (tmp_path / "mails").read_text() == "tanaka@example.com True\n"
