"""Who is signed in where, against a small model: sequences over three browsers and two middleware objects on one file,
in this process and in two.

The short runs are the same each time. The long ones are random; a failed one tells the line that plays it again, and
then looks for a shorter sequence.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.factors import Factors
from nipo_auth_mw._credentials.passkeys import Passkeys
from nipo_auth_mw._credentials.security_stamp import SecurityStamps
from nipo_auth_mw._flows import accept_link, advance, passkeys_check
from nipo_auth_mw._flows.second_check import lift_second_lock
from nipo_auth_mw._sessions.sessions import Sessions
from nipo_auth_mw._throttle.lockout import Lockout
from nipo_auth_mw._web.guard import Guard
from tests.security.model_house import House, HouseOfTwoProcesses, prepared

SEED = "NIPO_MODEL_SEED"


def play(examples: int, steps: int, house: type[House] = House, seed: int = 5, phases: Any = (Phase.generate,)) -> None:
    """So many sequences; of one seed always the same ones."""
    seeded = hypothesis.seed(seed)(type(house.__name__, (house,), {}))
    run_state_machine_as_test(
        seeded,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            report_multiple_bugs=False,
        ),
    )


def play_at_random(test: Any, examples: int, steps: int, house: type[House] = House) -> None:
    given = os.environ.get(SEED)
    seed = int(given or secrets.randbelow(2**32))
    try:
        play(examples, steps, house, seed, [Phase.generate, Phase.shrink] if given else [Phase.generate])
    except BaseException as problem:
        name = test.node.nodeid
        problem.add_note(f"To play it again, and to find a shorter sequence: {SEED}={seed} pytest -m long {name}")
        raise


def test_short_sequences_find_nobody_where_the_model_has_nobody():
    play(6, 15)


def test_a_short_sequence_over_two_processes_finds_nobody_where_the_model_has_nobody():
    play(1, 12, HouseOfTwoProcesses)


@pytest.mark.long
def test_thirty_sequences_find_nobody_where_the_model_has_nobody(request):
    play_at_random(request, 30, 20)


@pytest.mark.long
def test_twenty_sequences_over_two_processes_find_nobody_where_the_model_has_nobody(request):
    play_at_random(request, 20, 15, HouseOfTwoProcesses)


@pytest.mark.long
def test_five_hundred_sequences_find_nobody_where_the_model_has_nobody(request):
    play_at_random(request, 500, 30)


def no_revocation(monkeypatch):
    monkeypatch.setattr(SecurityStamps, "fits", lambda *a: True)
    monkeypatch.setattr(Sessions, "end_all", lambda *a, **k: None)


def cleared_before_verifying(monkeypatch):
    reserve = Lockout.reserve

    def careless(self, subject, *given):
        slot = reserve(self, subject, *given)
        self.clear(subject)
        return slot

    monkeypatch.setattr(Lockout, "reserve", careless)


def prefixes_of_letters(monkeypatch):
    monkeypatch.setattr(Guard, "needs_session", lambda self, path: not path.startswith("/open"))


def a_code_accepted_twice(monkeypatch):
    step_of = totp.step_of
    monkeypatch.setattr(totp, "step_of", lambda *given, now, after: step_of(*given, now=now, after=0))


def a_reset_that_opens_one_step_sessions(monkeypatch):
    change = accept_link.change_account_state
    monkeypatch.setattr(accept_link, "change_account_state", lambda *of, **new: change(*of, **new, two_step=None))


def a_right_password_that_clears_the_count(monkeypatch):
    ask_for_second = advance._ask_for_second

    def careless(services, proofs):
        lift_second_lock(services, proofs.account)
        return ask_for_second(services, proofs)

    monkeypatch.setattr(advance, "_ask_for_second", careless)


def a_removed_passkey_that_still_signs_in(monkeypatch):
    remove = Factors.remove

    def careless(self, user_id, key):
        return self.find(key, user_id) or remove(self, user_id, key)

    monkeypatch.setattr(Factors, "remove", careless)


def a_passkey_whose_counter_goes_back(monkeypatch):
    verify = Passkeys.verify

    def careless(self, opened, factor, handle):
        return verify(self, opened, factor._replace(counter=0), handle)

    monkeypatch.setattr(Passkeys, "verify", careless)


def an_answer_of_a_passkey_accepted_twice(monkeypatch):
    monkeypatch.setattr(passkeys_check, "first_use", lambda *given: True)


# Each with a seed whose first sequences meet it: another one finds it as well, and later.
BUGS = {
    no_revocation: 3,
    cleared_before_verifying: 9,
    prefixes_of_letters: 5,
    a_code_accepted_twice: 5,
    a_reset_that_opens_one_step_sessions: 14,
    a_right_password_that_clears_the_count: 20,
    a_removed_passkey_that_still_signs_in: 13,
    a_passkey_whose_counter_goes_back: 11,
    an_answer_of_a_passkey_accepted_twice: 2,
}


@pytest.mark.parametrize(("bug", "seed"), BUGS.items())
def test_a_bug_put_in_on_purpose_is_found(monkeypatch, bug, seed):
    """`pytest tests/security/test_model.py -k on_purpose -rP` shows the sequences that found them."""
    prepared()  # without the bug
    bug(monkeypatch)
    with pytest.raises(AssertionError) as found:
        play(60, 30, seed=seed)
    print("\n".join(getattr(found.value, "__notes__", [])))
