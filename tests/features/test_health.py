"""The readiness of a process: for balancers, cheap, and silent about everything else."""

from __future__ import annotations

import json
import logging
import threading

import pytest
import time_machine

from nipo_auth_mw.errors import StoreUnavailable
from tests.kit import middleware
from tests.security.tools import HTTPS, ask


def health(auth, **more):
    answer = ask(auth, path="/-/auth/health", **more)
    return answer.status, json.loads(answer.body)


def failing(*_arguments, **_named):
    raise StoreUnavailable("postgresql://user:a-password@db.example/auth")


def test_a_process_that_works_is_ready():
    auth = middleware(base_url=HTTPS)
    answer = ask(auth, path="/-/auth/health")
    assert (answer.status, answer.get("Content-Type"), answer.get("Cache-Control")) == (
        200,
        "application/json",
        "no-store",
    )
    assert json.loads(answer.body) == {"status": "ok", "store": True, "counters": True, "mail": True}
    assert ask(auth, "HEAD", "/-/auth/health").status == 200
    for accept in ("text/html", "application/json", None):
        assert health(auth, HTTP_ACCEPT=accept)[0] == 200


@pytest.mark.parametrize(
    ("part", "store", "method"), [("store", "session_store", "find_session"), ("counters", "counters", "incr")]
)
def test_a_process_without_its_store_or_counters_is_not_ready(monkeypatch, caplog, part, store, method):
    auth = middleware()
    with time_machine.travel(0, tick=False) as clock:
        assert health(auth)[0] == 200
        with monkeypatch.context() as patch:
            patch.setattr(getattr(auth._services, store), method, failing)
            assert health(auth)[0] == 200, "known for a second"
            clock.shift(1)
            with caplog.at_level(logging.WARNING, "nipo_auth_mw"):
                status, told = health(auth)
        assert (status, told["status"], told[part]) == (503, "unavailable", False)
        assert "a-password" not in caplog.text + json.dumps(told)
        assert part in caplog.text
        clock.shift(1)
        assert health(auth)[0] == 200, "and ready again by itself"


def test_a_full_outbox_is_told_and_keeps_no_user_out(monkeypatch):
    auth = middleware()
    monkeypatch.setattr(type(auth._services.outbox), "is_full", property(lambda outbox: True))
    assert health(auth) == (200, {"status": "degraded", "store": True, "counters": True, "mail": False})


def test_a_flood_asks_the_store_once_a_second(monkeypatch):
    auth, asked = middleware(), []
    real = auth._services.session_store.find_session
    monkeypatch.setattr(auth._services.session_store, "find_session", lambda key: asked.append(key) or real(key))
    with time_machine.travel(0, tick=False) as clock:
        for _ in range(3):
            for _ in range(100):
                assert health(auth)[0] == 200
            clock.shift(1)
        clock.shift(-3600)
        assert health(auth)[0] == 200
    assert len(asked) == 4


def test_a_store_that_hangs_holds_up_one_request(monkeypatch):
    auth = middleware()
    inside, go = threading.Event(), threading.Event()
    with time_machine.travel(0, tick=False) as clock:
        assert health(auth)[0] == 200
        clock.shift(1)
        monkeypatch.setattr(auth._services.session_store, "find_session", lambda key: inside.set() or go.wait(20))
        waiting = threading.Thread(target=health, args=(auth,))
        waiting.start()
        assert inside.wait(20)
        assert health(auth)[0] == 200, "the last answer"
        go.set()
        waiting.join()


def test_no_session_is_asked_for_or_prolonged_and_no_other_method_is_answered():
    auth = middleware()
    assert ask(auth, "POST", "/-/auth/health", form={}).status == 405
    assert ask(auth, "OPTIONS", "/-/auth/health").get("Allow") == "GET, HEAD, OPTIONS"
