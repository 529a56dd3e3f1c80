"""The harness of `benchmarks.load` runs, and its audit finds what was planted."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import replace

import pytest

from benchmarks.load import audit, faults, report, site, traces
from benchmarks.load.attackers import Attackers
from benchmarks.load.faults import Window
from benchmarks.load.house import SetUp, running
from benchmarks.load.ledger import Ledger, Promise, Seen
from benchmarks.load.people import AT_FAULTS, RESET, VICTIMS, Crowd
from benchmarks.load.processes import Missing
from benchmarks.load.servers import MailServer
from tests._services import absent, needed

PEOPLE = 4


@pytest.mark.long
def test_a_run_with_one_fault_is_clean_and_the_audit_finds_what_is_planted(tmp_path):
    needed("gunicorn")
    ledger = Ledger()
    try:
        with running(SetUp(nodes=2), tmp_path, PEOPLE + 20 + VICTIMS) as house:
            crowd = Crowd(house, ledger, PEOPLE, 30, AT_FAULTS)
            crowd.start(Attackers(house, ledger, crowd))
            (fault,) = (one for one in faults.of(house.set_up) if one.name == "SMTP stopped")
            windows = faults.run(house, [fault], 10, print)
            crowd.join()
            assert audit.of(house, ledger, crowd, windows).things() == []
            assert {"signed_in", "signed_out", "password_reset"} <= {promise.what for promise in ledger.events}
            assert {"page", "visit", "login", "guess", "spray", "forged", "forgot"} <= {one.kind for one in ledger.seen}
            assert max(map(site.verified(tmp_path).count, site.verified(tmp_path))) == site.FAILURES
            plant(house, ledger)
            found = audit.of(house, ledger, crowd, windows)
    except Missing as missing:
        absent(str(missing))
    assert found.verdict == "lost 2, doubled 1, over-admitted 1, 5xx outside faults 1"
    assert found.wrong == ["planted"]
    assert "  outbox: no row" in found.things()


def plant(house, ledger):
    """One of each kind of what must not be, two of what is lost."""
    ledger.promise("signed_in", "load/of nobody")
    ledger.lose("session", "planted")
    ledger.seen.append(Seen(ledger.seen[0].begun - 9, ledger.seen[0].begun - 8, "page", 500))
    ledger.wrong.append("planted")
    (again, *_) = (mail for mail in house.mail.mails() if mail["subject"] == RESET)
    with (house.folder / "mail" / "mails").open("a") as file:
        file.write(json.dumps(again) + "\n")
    with (house.folder / "verified").open("a") as file:
        file.write(f"{site.WRONG}victim@example.com 0\n" * (site.FAILURES + 1))


def seen(begun: float, took: float, status: int) -> Seen:
    return Seen(begun, begun + took, "page", status)


def test_recovery_is_the_moment_after_which_no_request_that_begins_fails():
    ledger = Ledger([seen(9, 3, 503), seen(12.5, 1, 502), seen(13, 1, 200), seen(19.5, 1, 503), seen(14, 1, 0)])
    window = Window("fault", 10, 12)
    assert report.recovery(ledger, window, until=20) == 2
    assert report.recovery(replace_seen(ledger, 200), window, until=20) == 0


def replace_seen(ledger: Ledger, status: int) -> Ledger:
    return replace(ledger, seen=[one._replace(status=status) for one in ledger.seen])


def test_a_row_tells_what_failed_how_slow_it_was_and_what_was_lost():
    ledger = Ledger([seen(9, 3, 503), seen(11, 0.1, 200), seen(30, 1, 503)])
    found = audit.Audit(lost=[Promise(11.0, "signed_in", "load/1"), Promise(31.0, "signed_in", "load/2")])
    windows = [Window("one", 10, 12), Window("two", 29, 29)]
    one, two = report.faults(ledger, windows, found)
    assert one == (
        "one",
        "2.0",
        "503 to 1 of 2 requests, the slowest answer took 3.0 s",
        "0.0",
        "-",
        "1",
    )
    assert two[2:] == ("503 to 1 of 1 requests", "1.0", "-", "1")


def test_a_failure_within_two_seconds_of_a_fault_is_excused_and_no_later_one():
    windows = [Window("fault", 10, 12)]
    assert audit.excused(seen(14, 1, 503), windows)
    assert audit.excused(seen(5, 6, 503), windows)
    assert not audit.excused(seen(14.1, 1, 503), windows)
    assert audit.excused(seen(20, 1, 503)._replace(kind="guess"), windows)
    assert not audit.excused(seen(20, 1, 500)._replace(kind="guess"), windows)
    assert not audit.excused(seen(5, 4, 503), windows)


@pytest.fixture
def mail_server(tmp_path):
    server = MailServer(tmp_path)
    server.start()
    yield server
    server.kill()


class Conversation:
    """An SMTP connection, line by line."""

    def __init__(self, server: MailServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", int(server.address.partition(":")[2])), timeout=30)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Conversation:
        assert self.heard().startswith(b"220")
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def heard(self) -> bytes:
        """The next line, b"" for a connection that is over."""
        try:
            return self._lines.readline()
        except ConnectionError:
            return b""

    def says(self, line: bytes) -> bytes:
        try:
            self._socket.sendall(line + b"\r\n")
        except ConnectionError:
            return b""
        return self.heard()


def test_a_mail_server_that_stops_answers_the_mail_whose_data_has_begun_and_takes_no_other(mail_server):
    with Conversation(mail_server) as one, Conversation(mail_server) as other:
        one.says(b"RCPT TO:<user1@example.com>")
        assert one.says(b"DATA").startswith(b"354")
        other.says(b"RCPT TO:<user2@example.com>")
        os.kill(mail_server.pid, signal.SIGTERM)
        while other.says(b"NOOP"):
            pass  # the server has not seen the signal yet
        assert one.says(b"Subject: one\r\n\r\ntext\r\n.").startswith(b"250")
        mail_server.stop()
    assert [mail["to"] for mail in mail_server.mails()] == ["user1@example.com"]


def test_a_lost_promise_shows_when_it_was_made_its_row_its_events_and_its_lines_in_logs(tmp_path):
    windows = [Window("one", 10, 12), Window("two", 29, 29), Window("three", 40, 41)]
    rows = [
        {"key": "k", "state": "failed", "to": "user1@example.com", "tries": 2, "reason": "lost"},
        {"key": "l", "state": "failed", "to": "user2@example.com", "tries": 1, "reason": "other"},
    ]
    event = {"event": "mail_failed", "email": "user1@example.com", "user_agent": None, "details": {"tries": 2}}
    (tmp_path / "gunicorn0.log").write_text("sending to user1@example.com: x\nsending to user2@example.com: x\n")
    promised, *left = traces.of(
        Promise(28.5, RESET, "user1@example.com"), windows, rows, [event, {**event, "email": "other"}], tmp_path
    )
    assert promised.endswith(", 18.5 s after the beginning of one, 0.5 s before two")
    assert left == [
        "outbox: key k, state failed, to user1@example.com, tries 2, reason lost",
        "event: event mail_failed, email user1@example.com, details {'tries': 2}",
        "gunicorn0: sending to user1@example.com: x",
    ]
    assert "outbox: no row" in traces.of(Promise(28.5, RESET, "user3@example.com"), windows, rows, [event], tmp_path)


def test_a_table_in_the_docs_is_replaced_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- measured: x -->\nold\n<!-- /measured -->\nb\n")
    report.write("x", report.table([("one", "two"), ("1", "2")]), page)
    assert page.read_text() == "a\n<!-- measured: x -->\n| one | two |\n|---|---|\n| 1 | 2 |\n<!-- /measured -->\nb\n"
    with pytest.raises(KeyError, match="y"):
        report.write("y", "", page)
