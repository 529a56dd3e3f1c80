"""Mails on their way out: no answer waits for them, and none is lost without a word."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import textwrap
import threading
import types

import pytest

from nipo_auth_mw._mail import outbox as outboxes
from nipo_auth_mw._mail.outbox import Outbox
from nipo_auth_mw.errors import ConfigError, MailerError
from nipo_auth_mw.mailers import ConsoleMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.testing import MemoryMailer
from tests.kit import browser, middleware, person


class Failing(MemoryMailer):
    """Fails as often as it is told to, then sends."""

    def __init__(self, times, problem=None):
        super().__init__()
        self.tries, self.times = 0, times
        self.problem = problem or MailerError("the server is away")

    def send(self, message):
        self.tries += 1
        if self.tries <= self.times:
            raise self.problem
        super().send(message)


class Waiting(MemoryMailer):
    """Sends nothing until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def send(self, message):
        self.go.wait(20)
        super().send(message)


def a_mail(number=0):
    return Message(f"a{number}@example.com", "subject", "https://example.com/reset/a-secret-token")


def test_the_answer_is_there_while_the_mailer_still_waits():
    mailer = Waiting()
    auth = middleware(mailer=mailer)
    person(auth)
    assert browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"}).status_int == 200
    assert mailer.outbox == []
    assert not auth.flush_mail(0)
    mailer.go.set()
    assert auth.flush_mail(10)
    assert len(mailer.outbox) == 1


@pytest.mark.parametrize(
    "problem", [MailerError("away"), OSError("away"), RuntimeError("https://…/reset/a-secret-token")]
)
def test_fa4_a_failing_mailer_is_invisible_and_is_tried_again(caplog, problem):
    mailer = Failing(2, problem)
    auth = middleware(mailer=mailer)
    person(auth)
    answers = {
        browser(auth).post("/-/auth/forgot", {"email": e}).text for e in ("tanaka@example.com", "no@example.com")
    }
    assert len(answers) == 1
    assert not auth.flush_mail(10)
    assert mailer.outbox == []
    for _ in range(2):
        auth.flush_mail(10)
    assert len(mailer.outbox) == 1
    assert auth.flush_mail(10)
    assert "reset/" not in caplog.text


def test_fa4_what_fails_for_good_is_given_up_with_a_word(caplog):
    caplog.set_level(logging.WARNING, "nipo_auth_mw")
    mailer = Failing(99)
    outbox = Outbox(mailer)
    outbox.put(a_mail)
    for _ in range(8):
        outbox.flush(10)
    assert mailer.tries == 5
    assert "gave up on a mail to a0@example.com" in caplog.text
    assert "a-secret-token" not in caplog.text
    outbox = Outbox(refusing := Failing(99, MailerError("no such mailbox", permanent=True)))
    outbox.put(a_mail)
    outbox.flush(10)
    outbox.flush(10)
    assert refusing.tries == 1


def test_pauses_grow_between_tries():
    assert list(outboxes._PAUSES) == sorted(outboxes._PAUSES)
    assert outboxes._PAUSES[0] >= 1


def test_mails_that_wait_are_bounded(caplog):
    mailer = Waiting()
    outbox = Outbox(mailer)
    for number in range(outboxes._MAX_WAITING + 50):
        outbox.put(lambda number=number: a_mail(number))
    assert "gave up on a mail" in caplog.text
    mailer.go.set()
    assert outbox.flush(20)
    assert outboxes._MAX_WAITING <= len(mailer.outbox) <= outboxes._MAX_WAITING + 2


def test_a_memory_mailer_has_its_mail_when_the_request_is_answered():
    mailer = MemoryMailer()
    outbox = Outbox(mailer)
    outbox.put(a_mail)
    outbox.put(lambda: None)
    assert mailer.outbox == [a_mail()]


def test_a_template_that_fails_costs_no_answer(tmp_path, caplog):
    (tmp_path / "message.mail.txt").write_text("{{ no_such_name }}")
    auth = middleware(mailer=MemoryMailer(), templates=tmp_path)
    person(auth)
    assert browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"}).status_int == 200
    assert "a mail could not be composed" in caplog.text


def test_the_console_is_for_development_alone(capsys):
    with pytest.raises(ConfigError, match="ConsoleMailer"):
        middleware(mailer=ConsoleMailer(), base_url="https://reports.example.jp")
    auth = middleware(mailer=ConsoleMailer())
    person(auth)
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    assert auth.flush_mail(10)
    printed = capsys.readouterr().out
    assert "To: tanaka@example.com" in printed
    assert "http://localhost/-/auth/reset/" in printed


@pytest.mark.parametrize(
    ("options", "warned"), [({}, True), ({"enable-threads": b"true"}, False), ({b"threads": b"2"}, False)]
)
def test_uwsgi_without_threads_is_warned_of_at_start(monkeypatch, caplog, options, warned):
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(opt=options))
    middleware(mailer=Failing(0))
    assert ("enable-threads" in caplog.text) is warned


SERVER = """
    import os, signal, sys, time
    from nipo_auth_mw._mail.outbox import Outbox
    from nipo_auth_mw.models import Message

    class Slow:
        def send(self, message):
            time.sleep(0.3)
            # One write: the lines of two processes on one pipe must not mix.
            os.write(1, f"sent {message.to} {os.getpid() == parent}\\n".encode())

    parent = os.getpid()
    outbox = Outbox(Slow())
    outbox.put(lambda: Message("first@example.com", "", ""))
"""


def run(code):
    script = textwrap.dedent(SERVER) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_what_waits_is_sent_when_the_process_ends():
    done = run("")
    assert (done.stdout, done.returncode) == ("sent first@example.com True\n", 0)


def test_what_waits_is_sent_when_the_process_is_terminated_and_it_ends_by_the_signal():
    done = run("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)")
    assert done.stdout == "sent first@example.com True\n"
    assert done.returncode == -signal.SIGTERM


def test_a_servers_own_handler_of_the_signal_is_left_alone():
    done = run("""
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))
        Outbox(Slow()).put(lambda: Message("second@example.com", "", ""))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    """)
    assert sorted(done.stdout.splitlines()) == ["sent first@example.com True", "sent second@example.com True"]
    assert done.returncode == 7


def test_a_forked_child_sends_its_own_mails_and_not_its_parents():
    done = run("""
        child = os.fork()
        outbox.put(lambda: Message("child@example.com" if not child else "second@example.com", "", ""))
        if child:
            os.waitpid(child, 0)
    """)
    assert sorted(done.stdout.splitlines()) == [
        "sent child@example.com False",
        "sent first@example.com True",
        "sent second@example.com True",
    ]
