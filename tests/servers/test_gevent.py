"""Promises under gevent, whose greenlets share one thread. In a process of its own, since gevent patches everything."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests._services import absent

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def met(tmp_path_factory):
    """What the greenlets met."""
    # This process only asks whether it is there: to import it would start its threads.
    if importlib.util.find_spec("gevent") is None:
        absent("gevent is not installed: pip install --group dev")
    command = [sys.executable, "-m", "tests.servers.greenlets", str(tmp_path_factory.mktemp("greenlets"))]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_pw16_hashing_holds_up_no_other_greenlet(met):
    found = met["while_the_heart_beats"]
    assert found["statuses"] == [303] * 20
    assert found["on_hub"] == 0
    assert found["beats"] >= 20


def test_pw15_hashes_at_once_are_bounded_under_greenlets_too(met):
    assert met["while_the_heart_beats"]["most"] <= met["while_the_heart_beats"]["slots"]


def test_lk7_fifty_greenlets_with_wrong_passwords_reach_the_hasher_at_most_five_times(met):
    assert 1 <= met["guesses"]["verified"] <= 5
    assert set(met["guesses"]["statuses"]) <= {401, 429, 503}


def test_lk8_ten_greenlets_with_right_passwords_all_get_in(met):
    assert met["right_ones"] == [303] * 10


def test_ev4_greenlets_never_see_each_others_identity(met):
    assert met["identities"] == [True] * 50


def test_se9_a_request_in_flight_on_a_greenlet_revives_nothing(met):
    assert met["in_flight"] == ""


def test_ru11_time_outs_of_a_mailer_end_no_background_greenlet(met):
    assert met["a_mailer_with_time_outs"] == {
        "sent": [f"p{n}@example.com" for n in range(3)],
        "left": False,
        "tries": 4,
    }
