"""A server that cuts every connection between two statements of one request: all of it is done, or nothing."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.stores import SQLStore, _setup
from tests._services import database
from tests.kit import PASSWORD, browser, middleware, person, sign_in
from tests.servers.test_connections import END_OTHERS

NEW = "midori-no-oka-to-kaze"


class Cutter:
    """Counts the statements of this thread, and cuts all connections before the one that `before` names."""

    def __init__(self, kind, url):
        self.kind, self.name = kind, make_url(url).database
        self.server = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
        self.thread = threading.get_ident()
        self.count = self.before = 0

    def step(self, *_):
        if threading.get_ident() != self.thread:
            return
        self.count += 1
        if self.count == self.before:
            found = self.server.exec_driver_sql(END_OTHERS[self.kind].format(self.name)).all()
            for (kill,) in found if self.kind == "mariadb" else ():
                with suppress(sa.exc.OperationalError):
                    self.server.exec_driver_sql(kill)
            time.sleep(0.02)

    def number(self, sql):
        return self.server.exec_driver_sql(sql).scalar()


class Cursor:
    """A driver's cursor that tells of each statement first."""

    def __init__(self, inner, step):
        self._inner, self._step = inner, step

    def execute(self, *given):
        self._step()
        return self._inner.execute(*given)

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.fixture(params=["postgres", "mariadb"])
def house(request, monkeypatch):
    with database(request.param, "restarts") as url:
        cutter, opened = Cutter(request.param, url), _setup.Setup.open

        def watched(setup, engine):
            made = opened(setup, engine)
            made.cursor = Cursor(made.cursor, cutter.step)
            return made

        monkeypatch.setattr(_setup.Setup, "open", watched)
        store = SQLStore(url)
        store.create_schema()
        sa.event.listen(store._db.engine, "before_cursor_execute", cutter.step)
        yield middleware(store=store, lockout=LockoutPolicy(client_failures=10**6)), cutter
        store.close()
        cutter.server.close()


def signing_in(auth, test_app, boss, user):
    return sign_in(browser(auth), user.email)


def signing_out(auth, test_app, boss, user):
    return test_app.post("/-/auth/logout", {}, expect_errors=True)


def new_password(auth, test_app, boss, user):
    fields = {"current_password": PASSWORD, "password": NEW}
    return test_app.post("/-/auth/account/password", fields, expect_errors=True)


def disabling(auth, test_app, boss, user):
    return boss.post(f"/-/auth/staff/{user.id}/active", {"active": "0"}, expect_errors=True)


@pytest.mark.parametrize("act", [signing_in, signing_out, new_password, disabling])
def test_ru1_a_restart_between_two_statements_leaves_all_or_nothing(house, act):
    auth, cutter = house
    person(auth, "kanri@example.com", role="admin")
    boss = browser(auth)
    sign_in(boss, "kanri@example.com")

    def tried(before):
        """The status of the answer, and what is different since: sessions, events, a password, an account."""
        user, test_app = person(auth, f"p{before}@example.com"), browser(auth)
        sign_in(test_app, user.email)
        auth.flush_mail(5)
        former = facts(user)
        cutter.count, cutter.before = 0, before
        status = act(auth, test_app, boss, user).status_int
        cutter.before = 0
        assert sign_in(browser(auth), "kanri@example.com").status_int == 303
        return status, [new != old for new, old in zip(facts(user), former, strict=True)]

    def facts(user):
        row = f"FROM nipo_auth_account WHERE id = {user.id}"
        return [
            cutter.number(f"SELECT count(*) FROM nipo_auth_session WHERE user_id = '{user.id}'"),
            cutter.number(f"SELECT count(*) FROM nipo_auth_event WHERE user_id = '{user.id}'"),
            cutter.number(f"SELECT password_hash {row}"),
            cutter.number(f"SELECT active {row}"),
        ]

    done = tried(before=-1)
    statements = cutter.count
    assert done[0] == 303
    assert any(done[1])
    for before in range(1, statements + 1):
        status, changed = tried(before)
        assert changed in (done[1], [False] * 4), before
        assert status == (303 if changed == done[1] else 503), before
