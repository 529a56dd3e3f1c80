"""Promises over several processes, forked from one that was already built."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests._services import database
from tests.kit import PASSWORD, WRONG

pytestmark = pytest.mark.services


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
    answers = Counter(status for status, _ in together(200, lambda: post(f"{url}/auth/login", guess)))
    assert 1 <= (tmp_path / "verified").stat().st_size <= 5
    assert set(answers) <= {401, 429, 503}
    assert post(f"{url}/auth/login", {**guess, "password": PASSWORD})[0] == 429


@KINDS
def test_lk8_ten_parallel_right_passwords_all_get_in(counters, kind, gunicorn):
    url = gunicorn(kind=kind, **counters)
    right = {"email": "tanaka@example.com", "password": PASSWORD}
    assert [status for status, _ in together(10, lambda: post(f"{url}/auth/login", right))] == [200] * 10


def test_se8_ws6_what_one_process_ends_no_other_revives(gunicorn, tmp_path):
    url = gunicorn()
    _, headers = post(f"{url}/auth/login", {"email": "tanaka@example.com", "password": PASSWORD})
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert all("user=1" in get(f"{url}/page", cookie) for _ in range(40))
    sql = "UPDATE nipo_auth_account SET active = 0"
    code = f"import sqlite3; c = sqlite3.connect({str(tmp_path / 'auth.db')!r}); c.execute({sql!r}); c.commit()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {get(f"{url}/page", cookie) for _ in range(40)} == {401}


def test_mails_leave_from_workers_forked_with_preload_and_before_they_are_stopped(gunicorn, tmp_path):
    url = gunicorn(workers=2)
    assert post(f"{url}/auth/forgot", {"email": "tanaka@example.com"})[0] == 200
    gunicorn.stop()
    assert (tmp_path / "mails").read_text() == "tanaka@example.com True\n"
