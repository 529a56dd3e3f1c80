"""Row AK6: an error inside a check refuses. Each call that a check makes fails once, as a profiler sees them."""

from __future__ import annotations

import sys
from itertools import count

import pytest
import time_machine
from werkzeug.exceptions import HTTPException

from nipo_auth_mw import require_fresh, require_role, require_user
from tests.kit import middleware, person
from tests.security.tools import ask, signed_in

ERRORS = [KeyError, LookupError, ValueError, AttributeError]
# The modules that decide. What they call fails; what a store or a page does inside is not theirs.
CHECKS = tuple(
    f"/nipo_auth_mw/{name}.py"
    for name in (
        *("middleware", "_web/guard", "_web/host_api", "_web/requirements", "_web/cookies", "_web/challenges"),
        *("_web/dispatch", "_web/context", "_web/request", "_flows/password_change", "_sessions/sessions"),
    )
)
PROGRAM = {"HTTP_ACCEPT": "*/*", "HTTP_USER_AGENT": "program/1.0"}
WORD = "the marker of the protected page"


class FailAt:
    """While it is active, the n-th call that code of the package makes raises `error`.

    Calls of Python functions and of built-in ones count alike, as they happen, so no list of them is kept by hand.
    """

    def __init__(self, number, error):
        self.number, self.error, self.calls, self.failed = number, error, 0, ""

    def __enter__(self):
        sys.setprofile(self.see)
        return self

    def __exit__(self, *raised):
        sys.setprofile(None)

    def see(self, frame, event, argument):
        caller = frame if event == "c_call" else frame.f_back
        if event not in {"call", "c_call"} or caller is None or not caller.f_code.co_filename.endswith(CHECKS):
            return
        self.calls += 1
        if self.calls == self.number:
            self.failed = f"{caller.f_code.co_qualname}:{caller.f_lineno}"
            raise self.error(WORD[:3])


def checking(check):
    """An app that shows its page after a check, and does as frameworks do with exceptions of HTTP."""

    def app(environ, start_response):
        try:
            check(environ)
        except HTTPException as refused:
            return refused(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [WORD.encode()]

    return app


def scenario(name, role="staff", temporary=False, age=0):
    """The middleware and the request of a sender who has no right to the page."""
    checks = {
        "role": lambda environ: require_role(environ, "admin"),
        "fresh": require_fresh,
        "user": require_user,
    }
    auth = middleware(checking(checks.get(name, lambda environ: None)), public_paths=["/open/*"])
    with time_machine.travel(1_800_000_000, tick=False):
        person(auth, must_change=temporary, role=role)
        cookie = signed_in(auth) if name not in {"guard", "user"} else ""
    path = {"staff": "/-/auth/staff", "create": "/-/auth/staff/create", "user": "/open"}.get(name, "/page")
    return auth, path, cookie


SCENARIOS = {
    "guard": {},
    "user": {},
    "requirement": {"temporary": True},
    "role": {},
    "fresh": {"age": 3600},
    "staff": {},
    "create": {"role": "admin", "age": 3600},
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_ak6_whatever_call_of_a_check_fails_it_refuses(name):
    options = SCENARIOS[name]
    auth, path, cookie = scenario(name, **options)
    places = set()
    with time_machine.travel(1_800_000_000 + options.get("age", 0), tick=False):
        assert ask(auth, path=path, cookie=cookie, **PROGRAM).status in {303, 401, 403}
        for number in count(1):
            with FailAt(number, ERRORS[number % len(ERRORS)]) as failing:
                try:
                    answer = ask(auth, path=path, cookie=cookie, **PROGRAM)
                except tuple(ERRORS):
                    # The server answers 500. It happens while a refusal is being written, or before any check.
                    answer = None
            if not failing.failed:
                break
            places.add(failing.failed)
            assert answer is None or answer.status in {303, 401, 403, 503}, failing.failed
            assert answer is None or WORD not in answer.text, failing.failed
    assert len(places) > 20, "the calls were seen"


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", ["role", "fresh"])
def test_ak6_an_app_that_catches_errors_of_its_own_is_not_led_past_a_check(name, error):
    """`except KeyError` around a view is common, and must not catch what went wrong in a check."""
    auth, path, cookie = scenario(name, **SCENARIOS[name])
    inner = auth._app

    def app(environ, start_response):
        try:
            return inner(environ, start_response)
        except error:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [WORD.encode()]

    auth._app = app
    with time_machine.travel(1_800_000_000 + SCENARIOS[name].get("age", 0), tick=False):
        for number in count(1):
            with FailAt(number, error) as failing:
                try:
                    answer = ask(auth, path=path, cookie=cookie, **PROGRAM)
                except error:
                    answer = None
            if not failing.failed:
                break
            assert answer is None or WORD not in answer.text, failing.failed
