"""The demo: a visitor can try all of it with what it prints at start."""

from __future__ import annotations

import re

import time_machine

from examples.daily_report import TWO_STEPS, protected, two_steps
from nipo_auth_mw.testing import code_of
from tests.kit import browser, sign_in


def test_two_steps_are_tried_with_the_page_that_stands_in_for_a_phone_and_after_a_restart(tmp_path):
    email, password, _ = TWO_STEPS
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        keys = []
        for _start in range(2):
            app = protected(tmp_path, "http://localhost")
            keys.append(two_steps(app, tmp_path))
            visitor = browser(app.wsgi_app)
            code = re.search(r'class="code">(\d{6})<', visitor.get("/phone").text)[1]
            assert code == code_of(keys[-1])
            page = sign_in(visitor, email, password).follow()
            page.forms["login-second"]["code"] = code
            assert page.forms["login-second"].submit().status_int == 303
            assert "二段 階さん" in visitor.get("/", headers={"Accept-Language": "ja"}).text
            clock.shift(60)
    assert keys[0] == keys[1]
