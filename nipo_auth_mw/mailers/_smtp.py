"""The mailer for production: it sends by SMTP."""

from __future__ import annotations

import ipaddress
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from nipo_auth_mw._runtime.failures import unreached
from nipo_auth_mw.errors import ConfigError, MailerError
from nipo_auth_mw.models import Message

# The mailboxes that are safe in an SMTP command: no character ends the command or separates a second mailbox.
_MAILBOX = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.][a-z0-9!#$%&'*+/=?^_`{|}~.-]*@[a-z0-9.-]+\Z", re.IGNORECASE)
_DEFAULT_PORTS = {"smtp": 25, "smtps": 465}
# RFC 4954, section 6: the server wants a login or TLS. An administrator can set that right, and the mails wait.
_ABOUT_THE_LOGIN = frozenset({530, 534, 535, 538})
_ENHANCED = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]")
_LONGEST_NAME = 253
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class _Timeouts(NamedTuple):
    """Seconds for each step (RFC 5321, 4.5.3.2). Many servers greet late on purpose, and scan a mail after its data."""

    connect: float = 30.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    quit: float = 5.0


class SMTPMailer:
    """Sends each mail to an SMTP server, for exactly one recipient (CVE-2023-7028).

    `url` is `smtp://[user:password@]host[:port]`, or `smtps://` for a server that speaks TLS from the first byte. With
    `smtp://` to another machine, the mailer uses STARTTLS or fails, because the mails contain links that set a password
    (RFC 3207, RFC 8314). To the same machine, it uses STARTTLS only if `tls` is given. It always checks certificates:
    against `tls`, or against the system's authorities.

    `plaintext_host` names the host of `url` again, to send to it without TLS: for a relay or a mail catcher in a
    neighbouring container. The mailer then sends nothing unless the host has a private address (RFC 1918, RFC 4193),
    and no password either.

    `sender` is the address that mails come from, and `sender_name` the name that mail programs show. `timeout` is in
    seconds, for each step of the exchange; None means 30 seconds for the connection and then what RFC 5321 asks for:
    between two and ten minutes. Raises `ConfigError` for a wrong argument. The `repr` hides the password.
    """

    def __init__(
        self,
        url: str,
        *,
        sender: str,
        sender_name: str = "",
        tls: ssl.SSLContext | None = None,
        plaintext_host: str = "",
        timeout: float | None = None,
    ) -> None:
        hint = 'Write it as smtp://user:password@mail.example.com:587, with "%40" for an "@" in the user name.'
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError("mailer", "the SMTP address cannot be read", hint) from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ConfigError("mailer", "the SMTP address cannot be read", hint)
        if not _MAILBOX.match(sender):
            hint = 'Use one such as "noreply@example.com". A name goes into sender_name=.'
            raise ConfigError("mailer", "sender is not a plain address", hint)
        if not sender_name.isprintable():
            raise ConfigError("mailer", "sender_name is not one line of text", "Remove the line breaks.")
        self.sender = sender
        self._host = parts.hostname
        self._port = port or _DEFAULT_PORTS[parts.scheme]
        self._tls_at_once = parts.scheme == "smtps"
        self._login = (_Utf8(unquote(parts.username)), _Utf8(unquote(parts.password or ""))) if parts.username else None
        self._plaintext = bool(plaintext_host)
        if plaintext_host:
            self._check_plaintext(plaintext_host.lower(), tls)
        local = self._plaintext or _is_this_machine(self._host)
        self._starttls = not self._tls_at_once and (tls is not None or not local)
        # To read the certificates of the system takes 20 ms, which a relay on this machine does not need.
        self._tls = tls or (ssl.create_default_context() if self._tls_at_once or self._starttls else None)
        self._timeouts = _Timeouts() if timeout is None else _Timeouts(*[timeout] * len(_Timeouts._fields))
        self._from = _address(sender, sender_name)

    def __repr__(self) -> str:
        return f"SMTPMailer({self._host}:{self._port}, sender={self.sender!r})"

    def send(self, message: Message) -> None:
        """Send one mail.

        Raises `MailerError`, which is permanent if the server refuses the mail for good or the mail is malformed, and
        unconfirmed if the server got the whole mail and gave no answer. Its text holds neither the mail nor the
        password. A line break in the recipient or the subject makes a mail malformed, which stops the injection of
        headers and commands.
        """
        if not _MAILBOX.match(message.to) or not message.subject.isprintable():
            # Checked here, not by the standard library (CVE-2015-5144, CVE-2024-6923, CVE-2026-1299).
            raise MailerError("malformed recipient or subject", permanent=True)
        data = self._composed(message).as_bytes()
        with self._reached() as server:
            self._hand_over(server, message.to, data)

    def check(self) -> None:
        """Connect and sign in to the server as for a mail, and send none. Raises `MailerError`."""
        with self._reached():
            pass

    @contextmanager
    def _reached(self) -> Iterator[smtplib.SMTP]:
        """A connection that is ready for a mail. Raises `MailerError` in place of what the library raises."""
        try:
            with self._connected() as server:
                yield server
        except smtplib.SMTPResponseException as problem:
            # A refusal before MAIL is about the server or the settings, and not about this mail.
            raise MailerError(f"{type(problem).__name__} ({_told(problem.smtp_code, problem.smtp_error)})") from None
        except (OSError, smtplib.SMTPException) as problem:
            raise MailerError(f"{self._host}:{self._port}: {_reason(problem)}") from None

    def _check_plaintext(self, host: str, tls: ssl.SSLContext | None) -> None:
        """Raise `ConfigError` if plain text is not what the other arguments say."""
        if host != self._host or self._tls_at_once or tls is not None:
            problem = f"plaintext_host is {host!r}, and the SMTP address asks for another host or for TLS"
            raise ConfigError("mailer", problem, "Name the host of an smtp:// address, and give no tls.")
        if self._login:
            problem = "plaintext_host would send the password of the SMTP address in plain text"
            raise ConfigError("mailer", problem, "Use TLS, or a relay that knows its clients by their addresses.")

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A connection that is ready for a mail. Its end never fails, since the mail may have been taken."""
        name, limit = _own_name(), self._timeouts.connect
        if self._tls_at_once:
            server: _SMTP | _SMTPS = _SMTPS(local_hostname=name, timeout=limit, context=self._tls)
        else:
            server = _SMTP(local_hostname=name, timeout=limit)
        # smtplib's private attributes: `connect` waits for the greeting, and STARTTLS checks the name of the host.
        server._greeting_timeout = self._timeouts.command
        server._host = self._host
        try:
            code, greeting = server.connect(self._host, self._port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, greeting)
            server.local_hostname = name or _literal(_socket(server).getsockname()[0])
            if self._plaintext:
                self._check_private(server)
            server.ehlo_or_helo_if_needed()
            if self._starttls:
                server.starttls(context=self._tls)
            if self._login:
                server.login(*self._login)
            yield server
            with suppress(OSError, smtplib.SMTPException):
                _socket(server).settimeout(self._timeouts.quit)
                # RFC 5321, 4.1.1.10, asks to wait for the answer too. It does not say more than that of the data, and
                # while the process waits it may be killed, and the mail be sent again.
                server.putcmd("quit")
        finally:
            server.close()

    def _check_private(self, server: smtplib.SMTP) -> None:
        """Raise `MailerError` if the host has a public address: a mail with a link must not cross the Internet."""
        peer = _socket(server).getpeername()[0].partition("%")[0]
        if ipaddress.ip_address(peer).is_global:
            raise MailerError(f"{self._host} has the public address {peer}, so nothing is sent without TLS")

    def _hand_over(self, server: smtplib.SMTP, to: str, data: bytes) -> None:
        """Send the mail. Until its last line no server has taken it; from then on only an answer tells."""
        connection = _socket(server)
        _expect("sender", 2, server.mail(self.sender))
        _expect("recipient", 2, server.rcpt(f"<{to}>"))
        connection.settimeout(self._timeouts.data)
        _expect("mail", 3, server.docmd("DATA"))
        connection.settimeout(self._timeouts.block)
        # RFC 5321, 4.5.2: a line that begins with a dot gets another one.
        server.send(_LEADING_DOT.sub(b"..", data if data.endswith(b"\r\n") else data + b"\r\n"))
        try:
            server.send(b".\r\n")
            connection.settimeout(self._timeouts.end)
            answer = server.getreply()
            if not 200 <= answer[0] < 600:
                raise smtplib.SMTPServerDisconnected
        except (OSError, smtplib.SMTPException) as problem:
            lost = f"{self._host}:{self._port}: {_reason(problem)} after the data"
            raise MailerError(f"{lost}, so the mail may have been delivered", unconfirmed=True) from None
        _expect("mail", 2, answer)

    def _composed(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._from
        mail["To"] = _address(message.to)
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        # RFC 3834: mail programs send no out-of-office reply to this.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
        return mail


class _Utf8(str):
    """A user name or a password, which `smtplib` sends in ASCII. It is UTF-8 (RFC 4616, section 2)."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        """The text in UTF-8, whatever `smtplib` asks for."""
        return super().encode()


class _Client:
    """Gives the greeting a time-out of its own: `smtplib` waits for it as long as for the connection. Sends user names
    and passwords in UTF-8."""

    _greeting_timeout: float
    _host: str

    def auth_plain(self, challenge: Any = None) -> str:
        """The answer of AUTH PLAIN."""
        library: Any = super()
        return _Utf8(library.auth_plain(challenge))

    def auth_cram_md5(self, challenge: Any = None) -> Any:
        """The answer of AUTH CRAM-MD5; None before the challenge."""
        library: Any = super()
        answer = library.auth_cram_md5(challenge)
        return None if answer is None else _Utf8(answer)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        library: Any = super()
        connection: socket.socket = library._get_socket(host, port, timeout)
        connection.settimeout(self._greeting_timeout)
        return connection


class _SMTP(_Client, smtplib.SMTP): ...


class _SMTPS(_Client, smtplib.SMTP_SSL): ...


def _socket(server: smtplib.SMTP) -> socket.socket:
    """The socket of a connection. Raises `SMTPServerDisconnected` if the connection was lost."""
    if server.sock is None:
        raise smtplib.SMTPServerDisconnected
    return server.sock


def _expect(what: str, hundreds: int, answer: tuple[int, bytes]) -> None:
    """Raise `MailerError` for an answer of another kind."""
    code = answer[0]
    if code // 100 != hundreds:
        permanent = code // 100 == 5 and code not in _ABOUT_THE_LOGIN
        raise MailerError(f"the server refused the {what} ({_told(*answer)})", permanent=permanent)


def _told(code: int, answer: bytes | str) -> str:
    """The code of an answer, with its enhanced code (RFC 3463), such as `550 5.7.1`. Its text may quote the mail."""
    text = answer if isinstance(answer, bytes) else answer.encode()
    enhanced = _ENHANCED.match(text)
    return f"{code} {enhanced[0].decode()}" if enhanced else str(code)


def _reason(problem: Exception) -> str:
    """The class of an error, with what is wrong."""
    if isinstance(problem, smtplib.SMTPNotSupportedError):
        return "SMTPNotSupportedError: the server offers no STARTTLS or no login"
    if type(problem) is smtplib.SMTPException:
        return "SMTPException: the server offers no login with a password (PLAIN, LOGIN, CRAM-MD5)"
    return unreached(problem)


def _own_name() -> str:
    """The name of this machine if EHLO may say it, else "".

    A container may have a name with an underscore, which servers refuse (RFC 5321, 4.1.1.1), and a Japanese PC one in
    kanji, which no command can hold.
    """
    try:
        name = socket.getfqdn()
    except (OSError, UnicodeError):
        return ""
    return name if len(name) <= _LONGEST_NAME and _HOST_NAME.fullmatch(name) else ""


def _literal(address: str) -> str:
    """The IP address of this end, as EHLO says it without a name (RFC 5321, 4.1.3)."""
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"


def _address(mailbox: str, name: str = "") -> Address:
    local, _, domain = mailbox.rpartition("@")
    return Address(display_name=name, username=local, domain=domain)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
