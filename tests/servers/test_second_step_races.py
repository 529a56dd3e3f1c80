"""The races of the second step on the servers of databases and counters, and over processes."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import code_of, enrol_app
from tests._services import database
from tests.contract import workers
from tests.kit import enrol_passkey, events, options_on
from tests.security.test_second_step_races import PASSKEY, SECOND, WRONG_CODES, TestRaces, house, together

__all__ = ["TestRaces", "house"]

THREADS = 5
ON_SERVERS = ["postgres", "mariadb", "sqlite and redis", "postgres and redis"]


@pytest.fixture(params=ON_SERVERS)
def stored(request, tmp_path):
    """A store, and where the counters are."""
    where, _, redis = request.param.partition(" and ")
    counters = request.getfixturevalue("redis_uri") if redis else "store"
    if where == "sqlite":
        yield from opened(f"sqlite:///{tmp_path / 'auth.db'}", counters)
        return
    with database(where, "second") as url:
        yield from opened(url, counters)


def opened(url, counters):
    store = SQLStore(url)
    store.create_schema()
    yield store, counters
    store.close()


def in_processes(post):
    """Four processes, each with threads that send the request at the same moment; how many of the processes were let
    in."""
    start = multiprocessing.get_context("fork").Barrier(workers.PROCESSES)

    def work():
        start.wait(10)
        # A process that the database keeps waiting for too long is let in no more than one that is refused.
        if [code for code, _ in together(*[post] * THREADS)].count("") != 1:
            os._exit(1)

    return workers.in_children(work)


@pytest.mark.parametrize("stored", ["sqlite", *ON_SERVERS], indirect=True)
class TestProcesses:
    def test_to2_of_four_processes_one_is_let_in_by_a_code(self, house):
        secret = enrol_app(house.auth, house.user)
        assert in_processes(house.posting(SECOND, house.pending(), code=code_of(secret))) == 1
        assert house.sessions() == 1

    def test_rc2_of_four_processes_one_is_let_in_by_a_backup_code(self, house):
        enrol_app(house.auth, house.user)
        code = house.auth._services.factors.make_codes(house.user.id)[0]
        assert in_processes(house.posting(SECOND, house.pending(), code=code)) == 1
        assert house.sessions() == 1

    def test_pk2_of_four_processes_one_is_let_in_by_a_passkey(self, house):
        soft = enrol_passkey(house.auth, house.user)
        credential = soft.get(options_on(house.device().get("/-/auth/login")))
        assert in_processes(house.posting(PASSKEY, credential=credential)) == 1
        assert house.sessions() == 1

    def test_mf12_four_processes_look_at_five_wrong_codes(self, house):
        secret = enrol_app(house.auth, house.user)
        near = {code_of(secret, step) for step in range(-2, 3)}
        post = house.posting(SECOND, house.pending(), code=next(code for code in WRONG_CODES if code not in near))
        assert in_processes(post) == 0
        while post(0)[0] == "invalid_code":
            pass
        assert post(0)[0] == "locked"
        assert len(events(house.auth, "second_step_failed")) == 5
        assert len(events(house.auth, "second_locked")) == 1
