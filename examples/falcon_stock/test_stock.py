"""The suite of the Falcon app: a program signs in with JSON and keeps the cookie."""

from __future__ import annotations

import pytest
from stock import make
from webtest import TestApp

from nipo_auth_mw.testing import in_memory

PASSWORD = "asa-ichiban-no-nippo"


@pytest.fixture
def auth():
    return make(**in_memory())


def program(auth, role):
    client = TestApp(auth, extra_environ={"HTTP_ACCEPT": "application/json"})
    auth.accounts.create(email=f"{role}@example.com", password=PASSWORD, role=role)
    answer = client.post_json("/-/auth/login", {"email": f"{role}@example.com", "password": PASSWORD})
    assert answer.json["user"]["role"] == role
    return client


def test_a_program_without_a_session_is_refused(auth):
    answer = TestApp(auth, extra_environ={"HTTP_ACCEPT": "application/json"}).get("/stock", expect_errors=True)
    assert (answer.status_int, answer.json["code"]) == (401, "sign_in_required")


def test_a_member_reads_and_an_administrator_writes(auth):
    member, boss = program(auth, "staff"), program(auth, "admin")
    assert member.get("/stock").json == {"count": 3, "for": "staff@example.com"}
    refused = member.put_json("/stock", {"count": 0}, expect_errors=True)
    assert (refused.status_int, refused.json["code"]) == (403, "not_allowed")
    assert boss.put_json("/stock", {"count": 9}).json == {"count": 9}
    assert member.get("/stock").json["count"] == 9
