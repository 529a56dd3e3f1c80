"""Rows RU10, RU11, RU21, RU22: a mail that was promised arrives once, whatever happens to processes and stores."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
import time

import pytest
import time_machine

from nipo_auth_mw._flows.mails import ANSWERS
from nipo_auth_mw.errors import MailerError, StoreUnavailable
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.contract.workers import forked
from tests.kit import PASSWORD, WRONG, browser, elapsing, events, middleware, person, sign_in

NEW = "midori-no-oka-to-kaze"
NOW = 1_800_000_000


class Queued(MemoryMailer):
    """Queues its mails as a real mailer does, and fails or waits while it is told to."""

    def __init__(self):
        super().__init__()
        self.problem = None
        self.go, self.begun = threading.Event(), threading.Event()
        self.go.set()

    def send(self, message):
        self.begun.set()
        self.go.wait(30)
        if self.problem is not None:
            raise self.problem
        super().send(message)


@pytest.fixture
def url(store):
    person(middleware(store=store, mailer=None))
    store.close()
    return f"sqlite:///{store._db.engine.url.database}"


class Server:
    """A process on the store, forked: it does this with its middleware, and tells what it does line by line."""

    def __init__(self, url, sent, mode, act):
        told, tell = os.pipe()
        self.told = os.fdopen(told)
        self.process = forked(lambda: self.serve(url, sent, mode, act, tell))
        os.close(tell)

    def serve(self, url, sent, mode, act, tell):
        def say(text):
            os.write(tell, f"{text}\n".encode())

        class Mailer:
            def send(self, message):
                say("sending")
                if mode == "hangs":
                    time.sleep(600)
                with sent.open("a") as file:
                    file.write(f"{message.to} {message.subject}\n")

        auth = middleware(store=SQLStore(url), mailer=Mailer())
        act(auth)
        say("acted")
        if mode != "ends":
            time.sleep(600)

    def kill(self):
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            self.wait()

    def wait(self):
        """Wait for the end, and tell whether it was one without an exception."""
        ended = os.waitpid(self.process, 0)[1]
        self.process = 0
        return ended == 0


@pytest.fixture
def server(url, tmp_path):
    """Starts a process on the store that does this; it gets the mode of its mailer."""
    started = []

    def start(mode, act):
        started.append(Server(url, tmp_path / "sent", mode, act))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.told.close()


def sent(tmp_path):
    path = tmp_path / "sent"
    return path.read_text().splitlines() if path.exists() else []


def asks(auth):
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})


def asks_and_dies(auth):
    """The process is killed when the answer is out, and before its thread looks at what waits."""
    auth._services.outbox._submit = lambda *_: None
    asks(auth)
    os.kill(os.getpid(), signal.SIGKILL)


def sends(auth):
    auth.flush_mail(20)


def two_processes_send(server):
    both = [server("ends", sends) for _ in range(2)]
    assert [process.wait() for process in both] == [True, True]


def test_ru10_a_process_killed_between_the_answer_and_the_mail_loses_nothing(server, tmp_path):
    assert not server("ends", asks_and_dies).wait()
    two_processes_send(server)
    assert len(sent(tmp_path)) == 1


def test_ru10_a_process_killed_while_it_sends_loses_nothing(server, tmp_path, url):
    first = server("hangs", asks)
    assert {first.told.readline(), first.told.readline()} == {"acted\n", "sending\n"}
    first.kill()
    # Its claim lasts a minute; instead of the wait, the claim is made a minute older.
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        claimed = connection.execute("UPDATE nipo_auth_outbox SET claimed_until = claimed_until - 60").rowcount
    connection.close()
    assert claimed == 1
    two_processes_send(server)
    assert len(sent(tmp_path)) == 1


def test_ru10_a_new_process_looks_for_what_another_left_behind(server):
    assert not server("ends", asks_and_dies).wait()
    second = server("stays", lambda auth: browser(auth).get("/page", expect_errors=True))
    told = {second.told.readline(), second.told.readline()}
    assert told == {"acted\n", "sending\n"}, "with no other cause than one request of a visitor"


def all_mails(auth, mailer):
    """Cause every mail there is; the account of each, and the words that only links have."""
    person(auth, "admin@example.com", role="admin")
    user = person(auth, notify_email="home@example.org")
    person(auth, "taken@example.com")
    own = browser(auth)
    sign_in(own)
    sign_in(browser(auth, HTTP_USER_AGENT="another"))
    own.post("/-/auth/account/email", {"email": "new@example.com", "password": PASSWORD})
    with time_machine.travel(time.time() + 70):
        own.post("/-/auth/account/email", {"email": "taken@example.com", "password": PASSWORD})
        own.post("/-/auth/account/profile", {"notify_email": "office@example.org"})
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    for _ in range(5):
        sign_in(browser(auth, "198.51.100.7"), "taken@example.com", WRONG)
    return user


def test_ru10_no_token_no_link_and_no_text_is_at_rest(store, tmp_path):
    """Whatever can be read from the rows while every mail waits is in no link that leaves later."""
    mailer = Queued()
    mailer.problem = MailerError("away")
    auth = middleware(store=store, mailer=mailer)
    all_mails(auth, mailer)
    auth.flush_mail(20)
    assert mailer.outbox == []
    at_rest = "".join(file.read_bytes().decode("latin-1") for file in tmp_path.iterdir())
    mailer.problem = None
    while not auth.flush_mail(20):
        pass
    kinds = {link_in(mail).removeprefix("http://localhost/-/auth/").rpartition("/")[0] for mail in mailer.outbox}
    assert kinds >= {"reset", "email/confirm", "email/cancel"}
    for mail in mailer.outbox:
        token = link_in(mail).rpartition("/")[2]
        assert token == "forgot" or token not in at_rest
        assert token == "forgot" or token.rpartition(".")[2] not in at_rest, "the signature"
        assert mail.text[:40] not in at_rest
    (cancel,) = [link_in(mail) for mail in mailer.outbox if "/email/cancel/" in mail.text][:1]
    secret = cancel.rpartition("/")[2].partition(".")[0]
    assert secret not in at_rest
    assert store.mails(limit=99) == []


def test_ru10_an_hour_and_more_without_a_mail_server(each_store):
    mailer = Queued()
    mailer.problem = MailerError("away")
    auth = middleware(store=each_store, mailer=mailer)
    outbox = auth._services.outbox
    person(auth)
    with elapsing(NOW) as clock:
        for _ in range(20):
            browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
            for _ in range(4):
                clock.shift(50)
                outbox.deliver()
        assert mailer.outbox == []
        mailer.problem = None
        for _ in range(19):
            clock.shift(50)
            outbox.deliver()
        assert len(mailer.outbox) == 1, "all the requests of an outage become one mail"
        path = link_in(mailer.outbox[0]).removeprefix("http://localhost")
        assert browser(auth).get(path).status_int == 200, "its link begins to age when it leaves"


def test_ru10_what_is_given_up_is_an_event_and_a_dead_letter():
    mailer = Queued()
    mailer.problem = MailerError("the server refused the recipient (550)", permanent=True)
    auth = middleware(mailer=mailer)
    user = person(auth)
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    auth.flush_mail(10)
    (event,) = events(auth, "mail_failed")
    assert (event.user_id, event.email) == (user.id, "tanaka@example.com")
    assert event.details == {"mail": "reset", "reason": "the server refused the recipient (550)", "tries": 1}
    (failed,) = auth._services.outbox.rows.mails(limit=9)
    assert failed.state == "failed"
    mailer.problem = None
    with time_machine.travel(time.time() + 61):
        browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
        assert auth.flush_mail(10)
    assert len(mailer.outbox) == 1
    assert auth._services.outbox.rows.mails(limit=9) == [], "the next request takes the place of the dead letter"


def test_ru10_dead_letters_last_a_month():
    mailer = Queued()
    mailer.problem = MailerError("no", permanent=True)
    auth = middleware(mailer=mailer)
    person(auth)
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    auth.flush_mail(10)
    for days, left in ((29, 1), (31, 0)):
        with time_machine.travel(time.time() + days * 86400):
            auth.sweep()
        assert len(auth._services.outbox.rows.mails(limit=9)) == left


@pytest.mark.parametrize("change", ["delete", "disable"])
def test_ru10_a_link_that_is_not_possible_any_more_is_not_sent(change):
    mailer = Queued()
    auth = middleware(mailer=mailer)
    user = person(auth)
    own = browser(auth)
    sign_in(own)
    own.post("/-/auth/account/email", {"email": "new@example.com", "password": PASSWORD})
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    auth._services.outbox._run("asked", everything=True)
    if change == "delete":
        auth.accounts.delete(user.id)
    else:
        auth.accounts.set_active(user.id, False)
    assert auth.flush_mail(10)
    assert [mail for mail in mailer.outbox if "/reset/" in mail.text or "/confirm/" in mail.text] == []


def test_ru10_a_confirmation_is_bound_to_the_account_as_it_was_at_the_request():
    """Else a thief could ask, and the owner's new password would not end the link, for it was not made yet."""
    mailer = Queued()
    auth = middleware(mailer=mailer)
    user = person(auth)
    thief = browser(auth)
    sign_in(thief)
    thief.post("/-/auth/account/email", {"email": "thief@example.com", "password": PASSWORD})
    auth.accounts.set_password(user.id, NEW)
    assert auth.flush_mail(10)
    assert [mail for mail in mailer.outbox if mail.to == "thief@example.com"] == []


def test_ru11_requests_for_nobody_take_no_place_while_the_server_hangs():
    mailer = Queued()
    auth = middleware(mailer=mailer)
    person(auth)
    person(auth, "suzuki@example.com")
    mailer.go.clear()
    browser(auth).post("/-/auth/forgot", {"email": "suzuki@example.com"})
    auth._services.outbox._run("asked", everything=True)
    auth._services.outbox._submit("waiting", 0.2)
    assert mailer.begun.wait(10)
    for number in range(1050):
        stranger = browser(auth, f"198.51.{number // 50}.7")
        assert stranger.post("/-/auth/forgot", {"email": f"nobody{number}@example.com"}).status_int == 200
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    own = browser(auth)
    sign_in(own)
    own.post("/-/auth/account/email", {"email": "new@example.com", "password": PASSWORD})
    rows, ends = auth._services.outbox.rows, time.monotonic() + 10
    # The outbox's own thread may have claimed some of them.
    while rows.count_mails("asked") and time.monotonic() < ends:
        auth._services.outbox._run("asked", everything=True)
    assert (rows.count_mails("asked"), rows.count_mails("waiting")) == (0, 4)
    assert len(events(auth, "password_reset_requested")) == 1052
    mailer.go.set()
    assert auth.flush_mail(20)
    wanted = ["new@example.com", "suzuki@example.com", "tanaka@example.com", "tanaka@example.com"]
    assert sorted(mail.to for mail in mailer.outbox) == wanted


@pytest.mark.parametrize("kind", sorted(ANSWERS))
def test_ru11_a_request_waits_for_a_store_or_counters_out_of_reach(kind, monkeypatch):
    mailer = Queued()
    auth = middleware(mailer=mailer)
    person(auth)
    services = auth._services
    ask = {"reset": services.notifications.reset_asked, "locked": services.notifications.lock_begun}[kind]
    ask("tanaka@example.com", Client(), **({"seconds": 300} if kind == "locked" else {}))

    def refusing(*_, **__):
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(services.quotas._counters, "incr", refusing)
        assert not auth.flush_mail(10)
    with monkeypatch.context() as patched:
        patched.setattr(services.audit, "append_event", refusing)
        assert auth.flush_mail(10) is (kind == "locked"), "no event is lost with it"
    assert auth.flush_mail(10)
    assert len(mailer.outbox) == 1


def test_ru21_who_has_the_password_cannot_keep_the_mailbox_from_recovering():
    """The thief changes the password every 20 seconds, and asks for mails too, so that none is left for the owner."""
    mailer = MemoryMailer()
    auth = middleware(mailer=mailer)
    person(auth)
    changes, asks, refused, password = 0, 0, set(), PASSWORD
    with time_machine.travel(NOW, tick=False) as clock:
        thief = browser(auth, "203.0.113.9")
        sign_in(thief)
        alive = False
        for second in range(0, 3600, 20):
            clock.move_to(NOW + second)
            fields = {"current_password": password, "password": f"{NEW}-{changes}"}
            answer = thief.post("/-/auth/account/password", fields, expect_errors=True)
            if answer.status_int == 303:
                changes, password = changes + 1, fields["password"]
            else:
                refused.add((answer.status_int, answer.headers["Retry-After"]))
            asks += second % 60 == 0
            if second % 60 == 0:
                browser(auth, f"203.0.113.{second // 60 % 50}").post("/-/auth/forgot", {"email": "tanaka@example.com"})
            if second % 300 == 0 and second:
                links = [link_in(mail) for mail in mailer.outbox if "/reset/" in mail.text]
                path = links[-1].removeprefix("http://localhost") if links else ""
                alive = alive or browser(auth).get(path, expect_errors=True).status_int == 200
        assert alive
        told = [mail for mail in mailer.outbox if "was changed" in mail.subject]
        assert len(told) == changes == len(events(auth, "password_changed"))
        assert changes <= 5
        assert {status for status, _ in refused} == {429}
        assert browser(auth).post(path, {"password": "kaze-to-oka-no-midori"}).status_int == 303
    assert sign_in(browser(auth), password=password).status_int == 401


def test_ru21_a_temporary_password_can_be_changed_after_any_number_of_changes():
    auth = middleware()
    user = person(auth)
    own, password = browser(auth), PASSWORD
    sign_in(own)
    for number in range(6):
        fields = {"current_password": password, "password": f"{NEW}-{number}"}
        last = own.post("/-/auth/account/password", fields, expect_errors=True).status_int
        password = fields["password"] if last == 303 else password
    assert last == 429
    auth.accounts.set_password(user.id, NEW, must_change=True)
    own = browser(auth)
    sign_in(own, password=NEW)
    fields = {"current_password": NEW, "password": f"{NEW}-again"}
    assert own.post("/-/auth/account/password", fields).status_int == 303


def test_ru21_each_change_gives_the_owner_new_mails():
    mailer = MemoryMailer()
    auth = middleware(mailer=mailer)
    user = person(auth)
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(7):
            browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
            clock.shift(61)
        assert len(mailer.outbox) == 5
        auth.accounts.set_password(user.id, NEW)
        del mailer.outbox[:]
        browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
        assert len(mailer.outbox) == 1


def locked_out(auth):
    for _ in range(5):
        sign_in(browser(auth, "198.51.100.7"), password=WRONG)
    assert sign_in(browser(auth, "198.51.100.8")).status_int == 429


@pytest.mark.parametrize("who", ["owner", "administrator"])
def test_ru22_a_password_that_was_set_is_told_and_its_lock_lifted_later(who, monkeypatch):
    mailer = MemoryMailer()
    auth = middleware(mailer=mailer)
    services, user = auth._services, person(auth)
    person(auth, "admin@example.com", role="admin")
    admin = browser(auth)
    sign_in(admin, "admin@example.com")
    locked_out(auth)
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    path = link_in(mailer.outbox[-1]).removeprefix("http://localhost")
    del mailer.outbox[:]

    def refusing(*_, **__):
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        for name in ("incr", "get", "get_expiry", "clear", "read", "remove"):
            patched.setattr(services.counters, name, refusing)
        if who == "owner":
            answer = browser(auth).post(path, {"password": NEW})
        else:
            answer = admin.post(f"/-/auth/staff/{user.id}/password", {"password": NEW})
        assert answer.status_int in {200, 303}
    assert [mail.to for mail in mailer.outbox] == ["tanaka@example.com"]
    assert services.worker.flush(10)
    assert sign_in(browser(auth, "198.51.100.8"), password=NEW).status_int == 303
    assert len(events(auth, "unlocked")) == 1


@pytest.mark.parametrize("door", ["reset", "change", "staff"])
def test_ru22_a_password_that_cannot_be_told_is_not_set(door, monkeypatch):
    mailer = MemoryMailer()
    auth = middleware(mailer=mailer)
    user = person(auth)
    own = browser(auth)
    sign_in(own)
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    path = re.sub("^http://localhost", "", link_in(mailer.outbox[-1]))

    def refusing(*_, **__):
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(auth._services.session_store, "add_mails", refusing)
        if door == "reset":
            assert browser(auth).post(path, {"password": NEW}, expect_errors=True).status_int == 503
        elif door == "change":
            fields = {"current_password": PASSWORD, "password": NEW}
            assert own.post("/-/auth/account/password", fields, expect_errors=True).status_int == 503
        else:
            with pytest.raises(StoreUnavailable):
                auth.accounts.set_password(user.id, NEW)
    assert sign_in(browser(auth)).status_int == 303
