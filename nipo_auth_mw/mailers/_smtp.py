"""The mailer for production: it sends by SMTP."""

from __future__ import annotations

import ipaddress
import re
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from urllib.parse import unquote, urlsplit

from nipo_auth_mw.errors import ConfigError, MailerError
from nipo_auth_mw.models import Message

_TIMEOUT = 5.0
# The mailboxes that are safe in an SMTP command: no character ends the command or separates a second mailbox.
_MAILBOX = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.][a-z0-9!#$%&'*+/=?^_`{|}~.-]*@[a-z0-9.-]+\Z", re.IGNORECASE)
_DEFAULT_PORTS = {"smtp": 25, "smtps": 465}


class SMTPMailer:
    """Sends each mail to an SMTP server, for exactly one recipient (CVE-2023-7028).

    `url` is `smtp://[user:password@]host[:port]`, or `smtps://` for a server that speaks TLS from the first byte. With
    `smtp://` to another machine, the mailer uses STARTTLS or fails, because the mails contain links that set a password
    (RFC 3207, RFC 8314). To the same machine, it uses STARTTLS only if `tls` is given. It always checks certificates:
    against `tls`, or against the system's authorities.

    `sender` is the address that mails come from, and `sender_name` the name that mail programs show. `timeout` is in
    seconds, for each step of the exchange. Raises `ConfigError` for a wrong argument. The `repr` hides the password.
    """

    def __init__(
        self,
        url: str,
        *,
        sender: str,
        sender_name: str = "",
        tls: ssl.SSLContext | None = None,
        timeout: float = _TIMEOUT,
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
            raise ConfigError("mailer", "sender is not a plain address", 'Use one such as "noreply@example.com".')
        if not sender_name.isprintable():
            raise ConfigError("mailer", "sender_name is not one line of text", "Remove the line breaks.")
        self.sender = sender
        self._host = parts.hostname
        self._port = port or _DEFAULT_PORTS[parts.scheme]
        self._tls_at_once = parts.scheme == "smtps"
        self._starttls = not self._tls_at_once and (tls is not None or not _is_this_machine(self._host))
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._tls = tls or ssl.create_default_context()
        self._timeout = timeout
        self._from = _address(sender, sender_name)

    def __repr__(self) -> str:
        return f"SMTPMailer({self._host}:{self._port}, sender={self.sender!r})"

    def send(self, message: Message) -> None:
        """Send one mail.

        Raises `MailerError`, which is permanent if the server refuses the mail for good or the mail is malformed. Its
        text holds neither the mail nor the password. A line break in the recipient or the subject makes a mail
        malformed, which stops the injection of headers and commands.
        """
        if not _MAILBOX.match(message.to) or not message.subject.isprintable():
            # Checked here, not by the standard library (CVE-2015-5144, CVE-2024-6923, CVE-2026-1299).
            raise MailerError("malformed recipient or subject", permanent=True)
        data = self._composed(message).as_bytes()
        try:
            with self._connected() as server:
                server.sendmail(self.sender, [f"<{message.to}>"], data)
        except smtplib.SMTPRecipientsRefused as problem:
            code = next(iter(problem.recipients.values()))[0]
            raise MailerError(f"the server refused the recipient ({code})", permanent=code >= 500) from None
        except smtplib.SMTPResponseException as problem:
            permanent = problem.smtp_code >= 500 and not isinstance(problem, smtplib.SMTPAuthenticationError)
            raise MailerError(f"{type(problem).__name__} ({problem.smtp_code})", permanent=permanent) from None
        except (OSError, smtplib.SMTPException) as problem:
            raise MailerError(f"{self._host}:{self._port}: {type(problem).__name__}") from None

    def _connected(self) -> smtplib.SMTP:
        if self._tls_at_once:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=self._tls)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        try:
            server.ehlo_or_helo_if_needed()
            if self._starttls:
                server.starttls(context=self._tls)
            if self._login:
                server.login(*self._login)
        except BaseException:
            server.close()
            raise
        return server

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
