"""Many threads on one SQLite file (rows WS5, PW15)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import count

import pytest

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.stores import SQLStore
from tests.kit import browser, middleware, person, sign_in


def live(folder, goes_on):
    """How often 32 people who each sign in, look, sign out and mistype got which status while `goes_on(round)`."""
    store = SQLStore(f"sqlite:///{folder / 'auth.db'}")
    store.create_schema()
    auth = middleware(store=store, lockout=LockoutPolicy(client_failures=10_000))
    people = [person(auth, f"p{n}@example.com") for n in range(32)]
    seen = Counter()

    def one(email):
        test_app, rounds = browser(auth), count()
        while goes_on(next(rounds)):
            for answer in (
                sign_in(test_app, email),
                test_app.get("/page", expect_errors=True),
                test_app.post("/-/auth/logout", expect_errors=True),
                sign_in(test_app, email, "a wrong password"),
            ):
                seen[answer.status_int] += 1

    threads = [threading.Thread(target=one, args=(user.email,)) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    return seen


def test_ws5_thirty_two_threads_that_begin_together_meet_no_error(tmp_path):
    together = threading.Barrier(32)

    def goes_on(number):
        together.wait(30)
        return number < 2

    assert live(tmp_path, goes_on) == {200: 64, 303: 128, 401: 64}


@pytest.mark.long
def test_ws5_thirty_two_threads_for_twenty_seconds_meet_no_error(tmp_path):
    ends = time.monotonic() + 20
    seen = live(tmp_path, lambda number: time.monotonic() < ends)
    assert set(seen) == {200, 303, 401}
    assert seen[200] > 100
