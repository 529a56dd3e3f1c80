"""Events as lines of JSON, for a log shipper."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import stat
import threading
from datetime import UTC, datetime
from functools import partial

import pytest

from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.listeners import JSONLines
from nipo_auth_mw.models import Event
from tests.contract.workers import forked
from tests.kit import PASSWORD, WRONG, browser, events, middleware, person, sign_in


def wrapped(target=None):
    return middleware(listeners=[JSONLines(target) if target is not None else JSONLines()])


def lines(path):
    text = path.read_text("ascii")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def test_each_event_is_one_line_of_json(path):
    auth = wrapped(path)
    person(auth, name="山田")
    test_app = browser(auth, HTTP_USER_AGENT="a\u2028b\nc")
    sign_in(test_app, password=WRONG)
    sign_in(test_app)
    told = lines(path)
    assert [one["event"] for one in told] == [one.event for one in events(auth)]
    last = told[-1]
    assert (last["email"], last["client_address"], last["user_id"]) == ("tanaka@example.com", "192.0.2.1", "1")
    assert last["time"].endswith("+00:00")
    assert PASSWORD not in path.read_text()
    assert not any(cookie.value.split(".")[0] in path.read_text() for cookie in test_app.cookiejar)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_standard_output_is_the_default_and_a_stream_will_do(capsys):
    stream = io.StringIO()
    for auth in (wrapped(), wrapped(stream)):
        person(auth)
    assert json.loads(capsys.readouterr().out)["event"] == "account_created"
    assert json.loads(stream.getvalue())["event"] == "account_created"


def test_after_a_rotation_the_next_line_goes_to_the_new_file(path):
    auth = wrapped(path)
    person(auth)
    path.rename(path.with_suffix(".1"))
    person(auth, "suzuki@example.com")
    assert [len(lines(one)) for one in (path, path.with_suffix(".1"))] == [1, 1]


def write_many(path, name):
    write = JSONLines(str(path))
    for number in range(500):
        write(Event(datetime.now(UTC), "signed_in", user_agent="日" * 250, details={"number": number, "of": name}))


def test_several_processes_and_threads_append_whole_lines(path):
    writers = [forked(partial(write_many, path, name)) for name in ("a", "b", "c")]
    auth = wrapped(path)
    threads = [threading.Thread(target=person, args=(auth, f"n{n}@example.com")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [os.waitpid(writer, 0)[1] for writer in writers] == [0, 0, 0]
    told = lines(path)
    assert len(told) == 3 * 500 + 20
    for name in ("a", "b", "c"):
        assert [one["details"]["number"] for one in told if one["details"].get("of") == name] == list(range(500))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "a-secret"), PermissionError("a-secret"), ValueError("closed")]
)
def test_a_line_that_cannot_be_written_breaks_no_request(path, monkeypatch, caplog, error):
    auth = wrapped(path)
    person(auth)

    def failing(*_arguments):
        raise error

    monkeypatch.setattr(os, "write", failing)
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        assert sign_in(browser(auth)).status_int == 303
    monkeypatch.undo()
    assert events(auth, "signed_in")
    assert "a listener failed on the event signed_in" in caplog.text
    assert sign_in(browser(auth)).status_int == 303
    assert lines(path)[-1]["event"] == "signed_in"


def test_a_line_that_a_full_disk_cuts_spoils_no_other(path, monkeypatch):
    auth = wrapped(path)
    real, room = os.write, [10]

    def cut(descriptor, data):
        return real(descriptor, data[: room.pop()] if room else data)

    monkeypatch.setattr(os, "write", cut)
    person(auth)
    person(auth, "suzuki@example.com")
    first, second = path.read_text().splitlines()
    assert len(first) == 10
    assert json.loads(second)["email"] == "suzuki@example.com"


def test_a_file_that_cannot_be_opened_is_found_at_construction(tmp_path):
    with pytest.raises(ConfigError, match="cannot be opened"):
        JSONLines(tmp_path / "none" / "events.jsonl")
