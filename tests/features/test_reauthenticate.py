"""Re-authentication before a sensitive action."""

from __future__ import annotations

import time
from typing import Any

import time_machine
from webtest import TestApp

from nipo_auth_mw import require_fresh
from nipo_auth_mw.testing import MemoryMailer
from tests.kit import PASSWORD, WRONG, browser, echo, middleware, person, sign_in

NEXT = "midori-no-kaze-no-oto"
JSON = {"Accept": "application/json"}


def sensitive(environ: dict[str, Any], start_response: Any) -> Any:
    from werkzeug.exceptions import HTTPException

    try:
        require_fresh(environ)
    except HTTPException as answer:
        return answer(environ, start_response)
    return echo(environ, start_response)


def test_a_host_asks_for_the_password_again(mailer: MemoryMailer) -> None:
    auth = middleware(sensitive, mailer=mailer)
    person(auth)
    mine = browser(auth)
    sign_in(mine)
    mine.get("/sensitive", status=200)
    with time_machine.travel(time.time() + 901, tick=True):
        asked = mine.get("/sensitive?a=1", status=303)
        assert asked.location.endswith("/-/auth/account/confirm?next=/sensitive?a=1")
        persistent = mine.post("/sensitive", {"long": "text"}, status=403)
        assert 'role="alert"' in persistent.text
        assert 'target="_blank"' in persistent.text
        assert mine.get("/sensitive", headers=JSON, status=403).json["code"] == "fresh_sign_in_required"
        form = asked.follow().forms["account-confirm"]
        form["password"] = WRONG
        assert form.submit(status=403).forms["account-confirm"]["next"].value == "/sensitive?a=1"
        form["password"] = PASSWORD
        assert form.submit().location.endswith("/sensitive?a=1")
        mine.get("/sensitive", status=200)
        assert mine.get("/sensitive", expect_errors=True).status_int == 200


def test_wrong_ones_count_there_too(tanaka: TestApp) -> None:
    for _ in range(5):
        tanaka.post("/-/auth/account/confirm", {"password": WRONG}, status=403)
    tanaka.post("/-/auth/account/confirm", {"password": PASSWORD}, status=429)
    assert sign_in(tanaka).status_int == 429
