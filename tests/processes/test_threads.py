"""Many threads on one SQLite file (rows WS5, PW15)."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.stores import SQLStore
from tests.kit import browser, middleware, person, sign_in

pytestmark = pytest.mark.long


def test_ws5_thirty_two_threads_for_twenty_seconds_meet_no_error(tmp_path):
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    auth = middleware(store=store, lockout=LockoutPolicy(address_failures=10_000))
    people = [person(auth, f"p{n}@example.com") for n in range(32)]
    ends, seen = time.monotonic() + 20, Counter()

    def live(email):
        test_app = browser(auth)
        while time.monotonic() < ends:
            for answer in (sign_in(test_app, email), test_app.get("/page"), test_app.post("/auth/logout")):
                seen[answer.status_int] += 1
            seen[sign_in(test_app, email, "a wrong password").status_int] += 1

    threads = [threading.Thread(target=live, args=(user.email,)) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert set(seen) == {200, 303, 401}
    assert seen[200] > 100
