"""Mails handed to a real SMTP server on this machine."""

from __future__ import annotations

import datetime
import email
import email.policy
import errno
import hmac
import itertools
import re
import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from unittest import mock

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from nipo_auth_mw.errors import ConfigError, MailerError
from nipo_auth_mw.mailers import SMTPMailer, _smtp
from nipo_auth_mw.models import Message
from nipo_auth_mw.testing import link_in
from tests.kit import browser, middleware, person

SENDER = "noreply@reports.example.jp"
ODD = [
    "tanaka@example.com",
    "user..y@carrier.example.jp",
    "user.@carrier.example.jp",
    "tanaka@dummy.local",
    "x@dummy.test",
    "u@xn--bcher-kva.example",
    "a+b@example.com",
    "o'neil@example.com",
    "{a}|b~c`d$e%f&g*h=i?j^k#l!m/n@example.com",
    "l" * 64 + "@" + ".".join(["d" * 57] * 3) + ".example",
]


class Inbox:
    """What the server was told, word for word."""

    def __init__(self):
        self.envelopes = []
        self.refuse = ""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 OK"

    @property
    def mails(self):
        return [email.message_from_bytes(e.original_content, policy=email.policy.default) for e in self.envelopes]


class AnyPort(Controller):
    """On a port that the system chooses."""

    def __init__(self, inbox, **options):
        super().__init__(inbox, hostname="127.0.0.1", port=0, **options)

    def _trigger_server(self):
        self.port = self.handler.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def serve():
    running = []

    def start(controller=AnyPort, **options):
        inbox = Inbox()
        running.append(controller(inbox, **options))
        running[-1].start()
        return inbox

    yield start
    for controller in running:
        controller.stop(no_assert=True)


@pytest.fixture(scope="module")
def standing():
    """One server for the tests that ask nothing special of it."""
    controller = AnyPort(Inbox())
    controller.start()
    yield controller.handler
    controller.stop(no_assert=True)


@pytest.fixture
def inbox(standing):
    """Its inbox, emptied."""
    standing.envelopes.clear()
    standing.refuse = ""
    return standing


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def mailer_for(inbox, scheme="smtp", user="", **options):
    return SMTPMailer(f"{scheme}://{user}127.0.0.1:{inbox.port}", sender=SENDER, **options)


@pytest.mark.parametrize("to", ODD)
def test_a_mail_reaches_exactly_the_stored_address(inbox, to):
    auth = middleware(mailer=mailer_for(inbox))
    person(auth, to)
    browser(auth).post("/-/auth/forgot", {"email": to})
    assert auth.flush_mail(10)
    (envelope,) = inbox.envelopes
    assert envelope.mail_from == SENDER
    assert envelope.rcpt_tos == [to]
    (mail,) = inbox.mails
    assert mail["To"].addresses[0].addr_spec == to if ".." not in to and ".@" not in to else to in str(mail["To"])


def test_ma3_a_mail_is_well_made_and_its_link_is_in_the_text_alone(inbox):
    auth = middleware(mailer=mailer_for(inbox, sender_name="日報くん"), site_name="日報くん")
    person(auth, language="ja")
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    assert auth.flush_mail(10)
    (mail,) = inbox.mails
    text = mail.get_body(("plain",)).get_content()
    link = link_in(Message("", "", text))
    assert browser(auth).get(link.removeprefix("http://localhost")).forms["reset"]
    assert link in mail.get_body(("html",)).get_content()
    assert str(mail["Subject"]) == "【日報くん】パスワード再設定のご案内"
    assert str(mail["From"]) == f"日報くん <{SENDER}>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime is not None
    assert mail["Message-ID"].endswith("@reports.example.jp>")
    token = link.rpartition("/")[2]
    headers = inbox.envelopes[0].original_content.partition(b"\r\n\r\n")[0].decode()
    assert not any(part in headers for part in token.split(".") if len(part) > 30)
    assert all(len(line) < 1000 for line in inbox.envelopes[0].original_content.splitlines())


def test_starttls_and_login(serve, server_tls, client_tls):
    logins = []

    def authenticate(server, session, envelope, mechanism, data):
        logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"s@cret", handled=False)

    inbox = serve(tls_context=server_tls, authenticator=authenticate, auth_required=True, require_starttls=True)
    mailer_for(inbox, user="user%40host:s%40cret@", tls=client_tls).send(Message("a@example.com", "x", "y"))
    assert logins == [(b"user@host", b"s@cret")]
    assert len(inbox.envelopes) == 1
    with pytest.raises(MailerError) as refused:
        mailer_for(inbox, user="user:wrong@", tls=client_tls).send(Message("a@example.com", "x", "y"))
    assert not refused.value.permanent
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_user_and_a_password_may_hold_any_character(serve, mechanism):
    logins = []

    def authenticate(server, session, envelope, mechanism, data):
        logins.append((mechanism, data.login.decode(), data.password.decode()))
        return AuthResult(success=True)

    others = [one for one in ("PLAIN", "LOGIN") if one != mechanism]
    inbox = serve(authenticator=authenticate, auth_require_tls=False, auth_exclude_mechanism=others)
    login = "%E5%B1%B1%E7%94%B0:pa%C3%9Fw%C3%B6rt@"
    mailer_for(inbox, user=login).send(Message("a@example.com", "x", "y"))
    assert logins == [(mechanism, "山田", "paßwört")]
    assert len(inbox.envelopes) == 1


def test_a_user_of_any_characters_answers_the_challenge_of_cram_md5(serve):
    # smtplib takes CRAM-MD5 first. aiosmtpd does not offer it.
    client = _smtp._SMTP()
    client.user, client.password = mailer_for(serve(), user="%E5%B1%B1%E7%94%B0:pa%C3%9Fw%C3%B6rt@")._login
    digest = hmac.digest("paßwört".encode(), b"<1@host>", "md5").hex()
    assert client.auth_cram_md5(b"<1@host>").encode("ascii") == f"山田 {digest}".encode()
    assert client.auth_cram_md5() is None


def test_ru4_a_server_without_a_login_by_password_is_told_as_that(serve):
    inbox = serve(auth_require_tls=False, auth_exclude_mechanism=["PLAIN", "LOGIN"])
    with pytest.raises(MailerError, match="SMTPException: the server offers no login with a password") as refused:
        mailer_for(inbox, user="user:s%40cret@").send(Message("a@example.com", "x", "y"))
    assert not refused.value.permanent


def test_tls_from_the_first_byte(inbox, serve, server_tls, client_tls):
    inbox_tls = serve(ssl_context=server_tls)
    mailer_for(inbox_tls, "smtps", tls=client_tls).send(Message("a@example.com", "x", "y"))
    assert len(inbox_tls.envelopes) == 1
    with pytest.raises(MailerError):
        mailer_for(inbox, "smtps", tls=client_tls).send(Message("a@example.com", "x", "y"))


def test_a_certificate_nobody_vouches_for_is_refused(serve, server_tls):
    inbox = serve(tls_context=server_tls)
    with pytest.raises(MailerError):
        mailer_for(inbox, tls=ssl.create_default_context()).send(Message("a@example.com", "x", "y"))
    assert inbox.envelopes == []


def test_to_another_machine_nothing_goes_without_tls(inbox, monkeypatch):
    connect = socket.create_connection
    monkeypatch.setattr(
        smtplib.socket, "create_connection", lambda address, *rest: connect(("127.0.0.1", address[1]), *rest)
    )
    with pytest.raises(MailerError):
        SMTPMailer(f"smtp://mail.example.com:{inbox.port}", sender=SENDER).send(Message("a@example.com", "x", "y"))
    assert inbox.envelopes == []


@pytest.mark.parametrize(
    "to",
    [
        "",
        "a",
        "a@",
        "@b.example",
        "a@b.example, c@d.example",
        "a@b.example;c@d.example",
        "a@b.example c@d.example",
        "<a@b.example>",
        "a@b.example>\r\nRCPT TO:<c@d.example",
        "a@b.example\nBcc: c@d.example",
        "a@b.example\r",
        "a@b.example\x00",
        '"a b"@b.example',
        "a(b)@b.example",
        "@relay.example:a@b.example",
        "-oQ/tmp/x@example.com",
        "a@[192.0.2.1]",
        "ä@example.com",
        "a@bücher.example",
    ],
)
def test_ma3_no_address_becomes_a_command_or_a_second_mailbox(inbox, to):
    with pytest.raises(MailerError) as refused:
        mailer_for(inbox).send(Message(to, "x", "y"))
    assert refused.value.permanent
    assert inbox.envelopes == []


@pytest.mark.parametrize("subject", ["a\r\nBcc: c@d.example", "a\nb", "a\x00b", "a\u2028b"])
def test_ma3_no_subject_becomes_a_header(inbox, subject):
    with pytest.raises(MailerError):
        mailer_for(inbox).send(Message("a@example.com", subject, "y"))
    assert inbox.envelopes == []


@pytest.mark.parametrize(("answer", "permanent"), [("550 nobody here", True), ("450 try later", False)])
def test_a_refused_recipient_is_given_up_only_when_the_server_means_it(inbox, answer, permanent):
    inbox.refuse = answer
    with pytest.raises(MailerError) as refused:
        mailer_for(inbox).send(Message("a@example.com", "x", "y"))
    assert refused.value.permanent is permanent


def test_fa5_a_server_that_never_answers_is_given_up_after_the_time_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailer = SMTPMailer(f"smtp://127.0.0.1:{silent.getsockname()[1]}", sender=SENDER, timeout=0.05)
        with pytest.raises(MailerError) as refused:
            mailer.send(Message("a@example.com", "x", "y"))
    assert not refused.value.unconfirmed
    assert max(SMTPMailer("smtp://localhost", sender=SENDER)._timeouts) <= 600


@pytest.mark.parametrize(
    ("names", "until", "reason"),
    [
        (["127.0.0.1"], datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), "certificate has expired"),
        (["mail.example.com"], None, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
def test_ru4_a_certificate_that_is_refused_is_told_with_its_reason(serve, authority, names, until, reason):
    from_then = until and until - datetime.timedelta(days=30)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, not_before=from_then, not_after=until).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    inbox = serve(tls_context=server)
    with pytest.raises(MailerError, match=re.escape(f"SSLCertVerificationError: {reason}")) as refused:
        mailer_for(inbox, tls=client).send(Message("a@example.com", "x", "y"))
    assert not refused.value.permanent
    assert inbox.envelopes == []


def test_ru4_a_server_without_starttls_or_of_an_unknown_name_is_told_as_that(inbox, client_tls):
    with pytest.raises(MailerError, match="SMTPNotSupportedError: the server offers no STARTTLS"):
        mailer_for(inbox, tls=client_tls).send(Message("a@example.com", "x", "y"))
    with pytest.raises(MailerError, match=r"no-such-host\.invalid:25: gaierror: the host name is unknown"):
        SMTPMailer("smtp://no-such-host.invalid", sender=SENDER).check()


@pytest.mark.parametrize(("code", "reason"), [("EHOSTUNREACH", "No route to host"), ("EMFILE", "Too many open files")])
def test_ru4_a_way_that_the_system_does_not_find_is_told_with_its_reason(monkeypatch, code, reason):
    failing = mock.Mock(side_effect=OSError(getattr(errno, code), "a text of another library"))
    monkeypatch.setattr(smtplib.socket, "create_connection", failing)
    with pytest.raises(MailerError, match=rf"^mail\.example\.com:25: OSError: {reason}$"):
        SMTPMailer("smtp://mail.example.com", sender=SENDER).check()


USUAL = {"greeting": "220 ready", "EHLO": "250 hi", "DATA": "354 go on", ".": "250 taken", "QUIT": "221 bye"}


class Script(threading.Thread):
    """An SMTP server on a port of its own that plays one script for each connection.

    `answers` has an answer for each command that differs from the usual one. The value is a text, None for silence, or
    the seconds to wait before the usual one. "greeting" and "." stand for the connection and for the end of the data.
    """

    def __init__(self, **answers):
        super().__init__(daemon=True)
        self.answers, self.taken, self.commands, self.greeted = answers, [], [], []
        self.received = threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.over = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *problem):
        self.over.set()
        self.listening.close()

    def run(self):
        with suppress(OSError):
            while True:
                connection = self.listening.accept()[0]
                with connection, connection.makefile("rwb") as stream, suppress(OSError):
                    self.play(stream)

    def answer(self, stream, command):
        wanted = self.answers.get(command, 0)
        if wanted is None:
            raise OSError
        if isinstance(wanted, float):
            self.over.wait(wanted)
        line = wanted if isinstance(wanted, str) else USUAL.get(command, "250 OK")
        stream.write(line.encode() + b"\r\n")
        stream.flush()

    def play(self, stream):
        self.answer(stream, "greeting")
        for line in stream:
            command = line.split()[0].decode().upper()
            self.commands.append(command)
            if command == "EHLO":
                self.greeted.append(line.split(maxsplit=1)[1].decode().strip())
            self.answer(stream, command)
            if command != "DATA" or isinstance(self.answers.get(command), str):
                continue
            data = list(itertools.takewhile(lambda line: line != b".\r\n", stream))
            self.taken.append(b"".join(data))
            self.received.set()
            self.answer(stream, ".")


def test_ru9_each_step_has_the_time_of_the_standard():
    """RFC 5321, 4.5.3.2; the connection is no step of SMTP."""
    assert SMTPMailer("smtp://localhost", sender=SENDER)._timeouts == (30, 300, 120, 180, 600, 5)


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_ru9_a_slow_server_gets_its_time(step, monkeypatch):
    """The connection has to be made within a fiftieth of a second; each later step takes three times as long."""
    with Script(**{step: 0.06}) as server:
        mailer = SMTPMailer(f"smtp://127.0.0.1:{server.port}", sender=SENDER)
        times = mailer._timeouts._replace(connect=0.02)
        monkeypatch.setattr(mailer, "_timeouts", times)
        mailer.send(Message("a@example.com", "x", "y"))
    assert len(server.taken) == 1


STEPS = {"DATA": "data", ".": "end", "QUIT": "quit"}


def mailer_of(server, answers):
    """A mailer that gives a step without an answer a twentieth of a second. A busy machine ends no other step."""
    mailer = SMTPMailer(f"smtp://127.0.0.1:{server.port}", sender=SENDER)
    silent = [STEPS.get(step, "command") for step, answer in answers.items() if isinstance(answer, float)]
    mailer._timeouts = mailer._timeouts._replace(**dict.fromkeys(silent, 0.05))
    return mailer


@pytest.mark.parametrize(
    ("answers", "unconfirmed", "permanent"),
    [
        ({".": 2.0}, True, False),
        ({".": None}, True, False),
        ({".": "rubbish"}, True, False),
        ({".": "421 closing"}, False, False),
        ({".": "451 later"}, False, False),
        ({".": "554 spam"}, False, True),
        ({"DATA": 2.0}, False, False),
        ({"DATA": None}, False, False),
        ({"DATA": "421 closing"}, False, False),
        ({"DATA": "554 no"}, False, True),
        ({"MAIL": "421 closing"}, False, False),
        ({"MAIL": "530 log in first"}, False, False),
        ({"RCPT": "535 no"}, False, False),
        ({"RCPT": "421 closing"}, False, False),
        ({"RCPT": 2.0}, False, False),
        ({"EHLO": None}, False, False),
        ({"greeting": 2.0}, False, False),
        ({"greeting": "421 busy"}, False, False),
        ({"greeting": "554 no"}, False, False),
    ],
)
def test_ru9_only_a_mail_whose_data_was_sent_may_have_been_taken(answers, unconfirmed, permanent):
    with Script(**answers) as server:
        with pytest.raises(MailerError) as refused:
            mailer_of(server, answers).send(Message("a@example.com", "x", "a-secret-token"))
        assert (refused.value.unconfirmed, refused.value.permanent) == (unconfirmed, permanent)
        assert "a-secret-token" not in str(refused.value)
        assert "." not in answers or server.received.wait(10)
        assert bool(server.taken) is ("." in answers)


@pytest.mark.parametrize(
    ("step", "answer", "told"),
    [
        ("greeting", "554 5.7.1 blocked by a-secret-token", r"SMTPConnectError \(554 5\.7\.1\)"),
        ("MAIL", "452 4.3.1 a-secret-token", r"the server refused the sender \(452 4\.3\.1\)"),
        ("RCPT", "450 4.2.0 greylisted a-secret-token", r"the server refused the recipient \(450 4\.2\.0\)"),
        ("RCPT", "550 a-secret-token 5.1.1", r"the server refused the recipient \(550\)"),
        ("RCPT", "550 5.1.1234 a-secret-token", r"the server refused the recipient \(550\)"),
        (".", "552 5.3.4 a-secret-token", r"the server refused the mail \(552 5\.3\.4\)"),
    ],
)
def test_ru4_a_refusal_is_told_with_its_enhanced_code_and_without_its_text(step, answer, told):
    with Script(**{step: answer}) as server, pytest.raises(MailerError, match=told + r"\Z"):
        SMTPMailer(f"smtp://127.0.0.1:{server.port}", sender=SENDER, timeout=5).send(
            Message("a@example.com", "x", "a-secret-token")
        )


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("web-1.reports.example.jp", "web-1.reports.example.jp"),
        ("web_1.reports.example.jp", "[127.0.0.1]"),
        ("山田-pc.reports.example.jp", "[127.0.0.1]"),
        ("localhost", "[127.0.0.1]"),
        ("a.example\r\nRSET", "[127.0.0.1]"),
        ("192.0.2.1", "[127.0.0.1]"),
        ("l" * 63 + ".example" * 30, "[127.0.0.1]"),
        (UnicodeError("label too long"), "[127.0.0.1]"),
    ],
)
def test_ru9_a_machine_whose_name_no_server_takes_says_its_address(name, greeting, monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", mock.Mock(side_effect=[name]))
    with Script() as server:
        SMTPMailer(f"smtp://127.0.0.1:{server.port}", sender=SENDER, timeout=5).send(Message("a@example.com", "x", "y"))
    assert server.greeted == [greeting]


@pytest.mark.parametrize("answer", [2.0, None, "500 what", "421 closing"])
def test_ru9_a_mail_that_was_taken_is_sent_however_the_connection_ends(answer):
    with Script(QUIT=answer) as server:
        mailer_of(server, {"QUIT": answer}).send(Message("a@example.com", "x", "y"))
    assert len(server.taken) == 1


def test_ru10_nothing_is_waited_for_once_a_mail_was_taken():
    quitting = threading.Event()

    class Silent(Script):
        def answer(self, stream, command):
            if command == "QUIT":
                quitting.set()
                self.over.wait(30)
            super().answer(stream, command)

    with Silent() as server:
        begun = time.monotonic()
        SMTPMailer(f"smtp://127.0.0.1:{server.port}", sender=SENDER).send(Message("a@example.com", "x", "y"))
        assert time.monotonic() - begun < SMTPMailer("smtp://localhost", sender=SENDER)._timeouts.quit
        assert quitting.wait(10), "RFC 5321, 4.1.1.10: it is said in any case"
    assert len(server.taken) == 1


def test_ru9_lines_with_dots_arrive_as_they_are(inbox):
    mailer_for(inbox).send(Message("a@example.com", "x", ".\n..\n.a\n"))
    assert inbox.mails[0].get_content().splitlines() == [".", "..", ".a"]


@pytest.mark.parametrize(("address", "sent"), [("172.18.0.3", True), ("fd00::3", True), ("8.8.8.8", False)])
def test_a_relay_in_the_next_container_is_named_to_go_without_tls(monkeypatch, address, sent):
    connect = socket.create_connection
    monkeypatch.setattr(smtplib.socket, "create_connection", lambda to, *rest: connect(("127.0.0.1", to[1]), *rest))
    monkeypatch.setattr(smtplib.SMTP, "sock", property(lambda self: self._s, lambda self, s: named(self, s)), False)

    class Elsewhere:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def getpeername(self):
            return (address, 25)

    def named(client, sock):
        client._s = Elsewhere(sock) if sock is not None else None

    with Script() as server:
        url = f"smtp://mailpit:{server.port}"
        if sent:
            SMTPMailer(url, sender=SENDER, plaintext_host="mailpit").send(Message("a@example.com", "x", "y"))
        else:
            with pytest.raises(MailerError, match=r"public address 8\.8\.8\.8"):
                SMTPMailer(url, sender=SENDER, plaintext_host="mailpit").send(Message("a@example.com", "x", "y"))
        assert ("MAIL" in server.commands) is sent
        assert len(server.taken) == sent


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("smtp://mail.example.com", {}),
        ("smtps://mailpit", {}),
        ("smtp://user:s3cret@mailpit", {}),
        ("smtp://mailpit", {"tls": ssl.create_default_context()}),
    ],
)
def test_plain_text_goes_to_the_host_that_is_named_alone(url, more):
    with pytest.raises(ConfigError, match="plaintext_host") as refused:
        SMTPMailer(url, sender=SENDER, plaintext_host="mailpit", **more)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        ("localhost:25", SENDER),
        ("http://localhost", SENDER),
        ("smtp://", SENDER),
        ("smtp://localhost:port", SENDER),
        ("smtp://localhost/path", SENDER),
        ("smtp://localhost", "日報くん <noreply@example.com>"),
        ("smtp://localhost", "noreply"),
        ("smtp://localhost", ""),
        ("smtp://localhost", "a@b.example\r\nBcc: c@d.example"),
    ],
)
def test_a_mailer_that_cannot_work_is_found_at_once(url, sender):
    with pytest.raises(ConfigError):
        SMTPMailer(url, sender=sender)


def test_a_sender_with_a_name_is_told_where_the_name_goes():
    with pytest.raises(ConfigError, match="sender_name="):
        SMTPMailer("smtp://localhost", sender="日報くん <noreply@example.com>")


def test_its_password_stays_out_of_sight():
    assert "s3cret" not in repr(SMTPMailer("smtp://user:s3cret@localhost", sender=SENDER))


def test_ma3_each_mail_is_one_mail_one_rcpt_one_data(serve):
    commands = []

    class Listening(SMTP):
        async def smtp_MAIL(self, arg):
            commands.append("MAIL")
            await super().smtp_MAIL(arg)

        async def smtp_RCPT(self, arg):
            commands.append("RCPT")
            await super().smtp_RCPT(arg)

        async def smtp_DATA(self, arg):
            commands.append("DATA")
            await super().smtp_DATA(arg)

    class Told(AnyPort):
        def factory(self):
            return Listening(self.handler)

    inbox = serve(Told)
    mailer = mailer_for(inbox)
    for number in range(3):
        mailer.send(Message(f"a{number}@example.com", "x", ".\r\nMAIL FROM:<x@y.example>\r\n.\r\n"))
    assert commands == ["MAIL", "RCPT", "DATA"] * 3
    assert len(inbox.envelopes) == 3
