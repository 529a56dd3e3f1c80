"""`session.passive_paths`: what a page asks for by itself does not keep its session alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
import time_machine

from nipo_auth_mw import SessionPolicy
from tests.kit import browser, middleware, person, seen, sign_in


@pytest.mark.parametrize(
    ("path", "prolongs"),
    [
        ("/poll", False),
        ("/poll/", False),
        ("/poll/inbox", False),
        ("/polls", True),
        ("/page/poll", True),
        ("/未読/数", False),
        ("/beat", False),
        ("/beat/", True),
        ("/beat/x", True),
        ("/未読数", True),
    ],
)
def test_a_path_that_a_passive_rule_covers_does_not_prolong_a_session(path, prolongs):
    auth = middleware(session=SessionPolicy(idle=timedelta(days=2), passive_paths=("/poll/*", "/未読/*", "/beat")))
    person(auth)
    test_app = browser(auth)
    with time_machine.travel(datetime(2026, 11, 23, 9, tzinfo=UTC), tick=False) as clock:
        sign_in(test_app)
        clock.shift(timedelta(days=1, hours=23))
        assert seen(test_app, quote(path)) == "1", "it is answered either way"
        clock.shift(timedelta(hours=2))
        assert bool(seen(test_app)) is prolongs


def test_where_everything_is_passive_nothing_prolongs():
    auth = middleware(session=SessionPolicy(idle=timedelta(days=2), passive_paths=("/*",)))
    person(auth)
    test_app = browser(auth)
    with time_machine.travel(datetime(2026, 11, 23, 9, tzinfo=UTC), tick=False) as clock:
        sign_in(test_app)
        clock.shift(timedelta(days=1, hours=23))
        assert [seen(test_app, path) for path in ("/", "/page")] == ["1", "1"]
        clock.shift(timedelta(hours=2))
        assert seen(test_app) == ""
