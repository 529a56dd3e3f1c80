"""Mails on their way out: no answer waits for them, and none is lost without a word."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from contextlib import nullcontext

import pytest

from nipo_auth_mw._mail import delivery
from nipo_auth_mw._mail import outbox as outboxes
from nipo_auth_mw._mail.outbox import Outbox
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw.errors import ConfigError, MailerError, StoreUnavailable
from nipo_auth_mw.mailers import ConsoleMailer
from nipo_auth_mw.models import Message, QueuedMail
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import MemoryMailer
from tests.kit import browser, elapsing, events, middleware, person


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
        self.go, self.begun = threading.Event(), threading.Event()

    def send(self, message):
        self.begun.set()
        self.go.wait(20)
        super().send(message)


def composed(mail):
    return None if mail.kind == "nothing" else Message(mail.to, "subject", "https://example.com/reset/a-secret-token")


def outbox_of(mailer, store=None):
    return Outbox(mailer, store, Worker(), composed)


def a_mail(number=0, **other):
    given = {"realm": "", "state": "waiting", "kind": "new_device", "user_id": "1", "to": f"a{number}@example.com"}
    given |= {"facts": {}, "queued_at": time.time(), "due_in": 0.0}
    return QueuedMail(f"{number:032}", **(given | other))


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
        browser(auth).post("/-/auth/forgot", {"email": e}).text.replace(e, "typed")
        for e in ("tanaka@example.com", "no@example.com")
    }
    assert len(answers) == 1
    assert not auth.flush_mail(10)
    assert mailer.outbox == []
    for _ in range(2):
        auth.flush_mail(10)
    assert len(mailer.outbox) == 1
    assert auth.flush_mail(10)
    assert "reset/" not in caplog.text


def test_a_mistake_in_a_mailer_of_the_hosts_own_is_logged_with_its_place(caplog):
    class Mailer:
        def send(self, message):
            _ = message.recipient

    auth = middleware(mailer=Mailer())
    person(auth)
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    auth.flush_mail(10)
    (told,) = [one.getMessage() for one in caplog.records if "could not be sent" in one.getMessage()]
    assert "tried again: AttributeError\n" in told
    assert "in send" in told
    assert __file__ in told


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_fa4_what_fails_for_good_is_given_up_with_a_word(caplog, store):
    caplog.set_level(logging.WARNING, "nipo_auth_mw")
    given_up = []
    outbox = outbox_of(Failing(9999), store)
    outbox.serve(lambda request: None, given_up.append)
    outbox.put(a_mail())
    for _ in range(delivery.MAX_TRIES + 2):
        outbox._delivery.run("waiting", everything=True)
    assert outbox._mailer.tries == delivery.MAX_TRIES
    assert "gave up on a mail to a0@example.com" in caplog.text
    assert "a-secret-token" not in caplog.text
    (failed,) = outbox.rows.mails(state="failed", limit=9)
    assert given_up == [failed]
    assert failed.reason == "the server is away"


@pytest.mark.parametrize("problem", [{"permanent": True}, {"unconfirmed": True}])
def test_ru9_what_was_refused_or_may_have_arrived_is_tried_once(problem):
    outbox = outbox_of(refusing := Failing(99, MailerError("no such mailbox", **problem)), MemoryStore())
    outbox.put(a_mail())
    outbox.flush(10)
    outbox.flush(10)
    assert refusing.tries == 1
    assert [mail.state for mail in outbox.rows.mails(limit=9)] == ["failed"]


def test_a_mail_is_tried_for_three_days_at_growing_pauses():
    pauses = [*delivery.PAUSES, *[delivery.PAUSES[-1]] * (delivery.MAX_TRIES - len(delivery.PAUSES))]
    assert pauses == sorted(pauses)
    assert pauses[0] >= 1
    assert sum(pauses[:-1]) == pytest.approx(3 * 86400, rel=0.01)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path, empty_database):
    store = MemoryStore()
    if request.param == "sqlite":
        store = SQLStore(f"sqlite:///{shutil.copy(empty_database, tmp_path / 'auth.db')}")
    yield store
    if request.param == "sqlite":
        store.close()


STEPS = [0.0, 300.0, -300.0, 3 * 86400.0, -3 * 86400.0]


@pytest.mark.parametrize("step", STEPS)
def test_ru6_each_pause_is_kept_whatever_the_clock_does(store, step, monkeypatch):
    monkeypatch.setattr(Outbox, "_submit", lambda *_: None)
    outbox = outbox_of(Failing(3), store)
    run = lambda: outbox._delivery.run("waiting")  # noqa: E731
    with elapsing(1_800_000_000) as clock:
        outbox.put(a_mail())
        for pause in delivery.PAUSES[:3]:
            assert run() == {pause}
            clock.wall.shift(step)
            clock.shift(pause / 2)
            assert run() == set()
            clock.shift(pause)
        run()
    assert len(outbox._mailer.outbox) == 1


def test_ru6_a_mail_that_was_queued_by_a_clock_ahead_leaves_at_once(store, monkeypatch):
    monkeypatch.setattr(Outbox, "_submit", lambda *_: None)
    outbox = outbox_of(Failing(0), store)
    with elapsing(1_800_000_000) as clock:
        clock.wall.shift(300)
        outbox.put(a_mail(due_in=outbox.due_in()))
        clock.wall.shift(-300)
        clock.shift(0.1)
        outbox.deliver()
    assert len(outbox._mailer.outbox) == 1


@pytest.mark.parametrize("step", STEPS)
def test_ru6_a_mail_that_is_being_sent_while_the_clock_is_set_is_not_doubled(store, step):
    mine, other = outbox_of(Waiting(), store), outbox_of(Failing(0), store)
    with elapsing(1_800_000_000) as clock:
        mine.put(a_mail())
        mine._submit("waiting", 0.0)
        assert mine._mailer.begun.wait(10)
        clock.wall.shift(step)
        for outbox in (other, mine):
            outbox._delivery.run("waiting")
        assert mine._renew()
        other._delivery.run("waiting")
        mine._mailer.go.set()
        assert mine.flush(10)
    assert (len(mine._mailer.outbox), len(other._mailer.outbox)) == (1, 0)
    assert store.mails(limit=9) == []


def test_ru10_two_threads_remove_what_was_sent(store, monkeypatch):
    """Both threads of a process, and a `flush_mail` of the host app, look for rows that could not be removed."""
    outbox = outbox_of(MemoryMailer(), store)
    remove = store.remove_mail

    def away(mail):
        raise StoreUnavailable("away")

    def beside_another_thread(mail):
        monkeypatch.setattr(store, "remove_mail", remove)
        outbox._delivery._forget()
        return remove(mail)

    monkeypatch.setattr(store, "remove_mail", away)
    outbox.put(a_mail())
    monkeypatch.setattr(store, "remove_mail", beside_another_thread)
    outbox.deliver()
    assert len(outbox._mailer.outbox) == 1
    assert store.mails(limit=9) == []


def test_ru10_each_of_the_mails_that_two_threads_send_stays_claimed(store):
    outbox = outbox_of(Waiting(), store)
    outbox.put(a_mail(), a_mail(1))
    outbox._submit("waiting", 0.0)
    assert outbox._mailer.begun.wait(10)
    outbox._mailer.begun.clear()
    second = threading.Thread(target=outbox.deliver)
    second.start()
    assert outbox._mailer.begun.wait(10)
    with elapsing(1_800_000_000) as clock:
        clock.shift(delivery.LEASE - 1)
        outbox._renew()
        clock.shift(delivery.LEASE - 1)
        assert store.claim_mails("", "waiting", early=0.0, wait=900.0, lease=60.0, limit=9) in ([], ())
    outbox._mailer.go.set()
    second.join(10)
    assert outbox.flush(10)
    assert len(outbox._mailer.outbox) == 2


def test_mails_that_wait_in_memory_are_bounded(caplog, monkeypatch):
    monkeypatch.setattr(outboxes, "_MAX_IN_MEMORY", 50)
    mailer = Waiting()
    outbox = outbox_of(mailer)
    for number in range(outboxes._MAX_IN_MEMORY + 10):
        outbox.put(a_mail(number))
    assert "gave up on a mail" in caplog.text
    mailer.go.set()
    assert outbox.flush(20)
    assert outboxes._MAX_IN_MEMORY <= len(mailer.outbox) <= outboxes._MAX_IN_MEMORY + 2


def test_ru11_requests_that_no_process_answers_are_bounded(caplog, monkeypatch):
    monkeypatch.setattr(outboxes, "_MAX_ASKED", 200)
    monkeypatch.setattr(Outbox, "_submit", lambda *_: None)
    outbox = outbox_of(Waiting(), MemoryStore())
    for number in range(1000):
        outbox.put(a_mail(number, state="asked", user_id=""))
    assert outbox.rows.count_mails("asked") < 200 + outboxes._COUNT_EVERY
    assert "requests for mails are dropped" in caplog.text
    outbox.put(a_mail(5000))
    assert outbox.rows.count_mails("waiting") == 1


def test_a_memory_mailer_has_its_mail_when_the_request_is_answered():
    mailer = MemoryMailer()
    outbox = outbox_of(mailer)
    outbox.put(a_mail())
    outbox.put(a_mail(1, kind="nothing"))
    assert [mail.to for mail in mailer.outbox] == ["a0@example.com"]
    assert outbox.rows.mails(limit=9) == []


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_ru10_nothing_is_told_of_what_was_rolled_back(store):
    outbox = outbox_of(MemoryMailer(), store)
    with pytest.raises(LookupError), outbox.transaction(), store.transaction() if store else nullcontext():
        outbox.put(a_mail())
        raise LookupError
    outbox.put(a_mail(1))
    assert [mail.to for mail in outbox._mailer.outbox] == ["a1@example.com"]


def test_ru10_the_end_of_a_process_sends_what_is_new_and_uses_up_no_tries():
    outbox = outbox_of(mailer := Failing(0), MemoryStore())
    outbox.put(a_mail(0, due_in=600.0, tries=1))
    outbox.put(a_mail(1, due_in=outbox.due_in()))
    outbox._finish()
    assert [mail.to for mail in mailer.outbox] == ["a1@example.com"]
    assert [mail.tries for mail in outbox.rows.mails(limit=9)] == [1]


@pytest.mark.parametrize("problem", [StoreUnavailable("away"), asyncio.CancelledError(), RuntimeError()])
def test_ru11_whatever_a_store_raises_the_next_request_is_answered(problem):
    answered = []

    def answer(request):
        if request.to == "a0@example.com" and request.tries == 1:
            raise problem
        answered.append(request.to)
        outbox.rows.remove_mail(request)

    outbox = outbox_of(Failing(0), MemoryStore())
    outbox.serve(answer, lambda mail: None)
    outbox.put(*[a_mail(n, state="asked", user_id="", due_in=60.0 + n) for n in range(2)])
    assert not outbox.flush(10)
    assert outbox.flush(10)
    assert answered == ["a1@example.com", "a0@example.com"]


def test_ru10_a_process_looks_for_what_others_left_behind_while_requests_arrive():
    store, worker = MemoryStore(), Worker()
    outbox = Outbox(Failing(0), store, worker, composed)
    for number in range(2):
        store.add_mails([a_mail(number)])
        # What a request leaves to the background, such as "last seen", is the occasion.
        worker.submit(lambda: None)
        outbox._answering.flush(10)
        outbox._sending.flush(10)
    assert [mail.to for mail in outbox._mailer.outbox] == ["a0@example.com"], "once in ten seconds"


class Struck(BaseException):
    """As gevent.Timeout: no Exception."""


@pytest.mark.parametrize("problem", [Struck(), asyncio.CancelledError(), SystemExit(), GeneratorExit()])
def test_ru11_whatever_a_mailer_raises_the_next_mail_leaves_and_the_first_is_tried_again(problem):
    outbox = outbox_of(mailer := Failing(1, problem), MemoryStore())
    outbox.put(a_mail(0, due_in=60.0), a_mail(1, due_in=61.0))
    assert not outbox.flush(10)
    assert [mail.to for mail in mailer.outbox] == ["a1@example.com"]
    assert outbox.flush(10)
    assert len(mailer.outbox) == 2


def test_ru10_a_mail_whose_row_could_not_be_removed_is_not_sent_again(monkeypatch):
    store = MemoryStore()
    outbox = outbox_of(mailer := MemoryMailer(), store)
    remove = store.remove_mail

    def away(mail):
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "remove_mail", away)
    with elapsing(1_800_000_000) as clock:
        outbox.put(a_mail())
        assert len(mailer.outbox) == 1
        clock.shift(delivery.LEASE + 1)
        with pytest.raises(StoreUnavailable):
            outbox.deliver()
        monkeypatch.setattr(store, "remove_mail", remove)
        outbox.deliver()
    assert len(mailer.outbox) == 1
    assert store.mails(limit=9) == []


def test_ru10_a_slow_mail_stays_claimed_by_its_process():
    store = MemoryStore()
    mine, other = (outbox_of(mailer, store) for mailer in (Waiting(), Failing(0)))
    with elapsing(1_800_000_000) as clock:
        mine.put(a_mail())
        mine._submit("waiting", 0.0)
        assert mine._mailer.begun.wait(10)
        for _ in range(5):
            clock.shift(delivery.LEASE - 1)
            assert mine._renew()
            other.flush(10)
        assert other._mailer.outbox == []
        clock.shift(delivery.LEASE + 1)
        other._delivery.run("waiting")
        assert len(other._mailer.outbox) == 1, "and is taken over from a process that does not renew its claim"
    mine._mailer.go.set()


def test_ru11_a_slow_mail_server_holds_up_no_request_of_a_visitor():
    auth = middleware(mailer=(mailer := Waiting()))
    person(auth)
    outbox = auth._services.outbox
    outbox.put(a_mail(user_id="1"))
    outbox._submit("waiting", 0.0)
    assert mailer.begun.wait(10)
    browser(auth).post("/-/auth/forgot", {"email": "nobody@example.com"})
    outbox._run("asked", everything=True)
    assert [row.event for row in events(auth, "password_reset_requested")] == ["password_reset_requested"]
    mailer.go.set()
    assert auth.flush_mail(10)


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


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"master": True}, True),
        ({"processes": b"2"}, True),
        ({b"workers": b"2"}, True),
        ({"processes": b"2", "lazy-apps": b"true"}, False),
        ({"master": True, "py-call-uwsgi-fork-hooks": True}, False),
        ({}, False),
    ],
)
def test_uwsgi_that_forks_after_the_app_was_loaded_is_warned_of_at_start(monkeypatch, caplog, options, warned):
    monkeypatch.setitem(sys.modules, "uwsgi", types.SimpleNamespace(opt=options))
    middleware(mailer=Failing(0))
    assert ("lazy-apps" in caplog.text) is warned


SERVER = """
    import os, signal, sys, time
    from nipo_auth_mw._mail.outbox import Outbox
    from nipo_auth_mw._runtime.worker import Worker
    from nipo_auth_mw.models import Message, QueuedMail

    class Slow:
        def send(self, message):
            time.sleep(0.1)
            # One write: the lines of two processes on one pipe must not mix.
            os.write(1, f"sent {message.to} {os.getpid() == parent}\\n".encode())

    def outbox_of():
        return Outbox(Slow(), None, Worker(), lambda mail: Message(mail.to, "", ""))

    def put(outbox, to):
        outbox.put(QueuedMail(to, "", "waiting", "", "1", to, {}, time.time(), outbox.due_in()))

    parent = os.getpid()
    outbox = outbox_of()
    put(outbox, "first@example.com")
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


def test_the_first_process_of_a_container_ends_too_although_it_survives_its_own_signal():
    done = run("kill, os.kill = os.kill, lambda *given: None; kill(os.getpid(), signal.SIGTERM); time.sleep(5)")
    assert (done.stdout, done.returncode) == ("sent first@example.com True\n", 128 + signal.SIGTERM)


def test_a_process_that_has_built_thousands_of_middlewares_keeps_nothing_of_them_and_ends_by_the_signal():
    done = run("""
        import gc
        from nipo_auth_mw._runtime import at_exit

        kept = len(at_exit._methods)
        for _ in range(2000):
            outbox_of()
        gc.collect()
        assert len(at_exit._methods) == kept
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    """)
    assert (done.stdout, done.returncode) == ("sent first@example.com True\n", -signal.SIGTERM), done.stderr


def test_a_servers_own_handler_of_the_signal_is_left_alone():
    done = run("""
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))
        second = outbox_of()
        put(second, "second@example.com")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    """)
    assert sorted(done.stdout.splitlines()) == ["sent first@example.com True", "sent second@example.com True"]
    assert done.returncode == 7


def test_a_forked_child_sends_its_own_mails_and_not_its_parents():
    done = run("""
        child = os.fork()
        put(outbox, "child@example.com" if not child else "second@example.com")
        if child:
            os.waitpid(child, 0)
    """)
    assert sorted(done.stdout.splitlines()) == [
        "sent child@example.com False",
        "sent first@example.com True",
        "sent second@example.com True",
    ]


class UntilTheEnd(MemoryMailer):
    """Sends for as long as the exit waits."""

    def __init__(self):
        super().__init__()
        self.begun, self.over = threading.Event(), threading.Event()

    def send(self, message):
        self.begun.set()
        self.over.wait(20)
        super().send(message)


def test_a_process_that_ends_begins_no_mail_that_it_may_have_to_cut(store, monkeypatch):
    monkeypatch.setattr(outboxes, "_EXIT_SECONDS", 0.1)
    outbox = outbox_of(mailer := UntilTheEnd(), store)
    outbox.put(a_mail(1), a_mail(2))
    assert mailer.begun.wait(20)
    outbox._finish()
    mailer.over.set()
    assert outbox._sending.flush(20)
    assert [message.to for message in mailer.outbox] == ["a1@example.com"]
    assert [(mail.to, mail.tries) for mail in store.mails(limit=9)] == [("a2@example.com", 0)]
