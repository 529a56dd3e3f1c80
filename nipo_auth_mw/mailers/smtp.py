"""The mailer for a real mail server."""

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
# What may stand between the angle brackets of an SMTP command as it is: nothing that ends it or names a second mailbox.
_MAILBOX = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.][a-z0-9!#$%&'*+/=?^_`{|}~.-]*@[a-z0-9.-]+\Z", re.IGNORECASE)
_DEFAULT_PORTS = {"smtp": 25, "smtps": 465}


class SMTPMailer:
    """Hands each mail to an SMTP server, for exactly one recipient (CVE-2023-7028).

    `url` is `smtp://[user:password@]host[:port]`, or `smtps://` where the server speaks TLS from the first byte.
    `smtp://` to another machine goes on with STARTTLS or not at all, since the mails hold links that let their reader
    set a password (RFC 3207, RFC 8314); to this machine it does so when `tls` is given. Certificates are checked.
    Each step of the exchange has five seconds. `sender` is the address people have to allow in their mail filters,
    `sender_name` what their mail program shows. Raises `ConfigError`; the password stays out of its `repr`.
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
        mend = 'Write it as smtp://user:password@mail.example.com:587, with "%40" for an "@" in the user\'s name.'
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError("mailer", "the SMTP address cannot be read", mend) from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ConfigError("mailer", "the SMTP address cannot be read", mend)
        if not _MAILBOX.match(sender):
            raise ConfigError("mailer", "sender is no plain address", 'Such as "noreply@example.com".')
        if not sender_name.isprintable():
            raise ConfigError("mailer", "sender_name is not one line of text", "Take the line breaks out.")
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
        """Hand one mail over. Raises `MailerError`, permanent when the server will not have it or it is malformed."""
        if not _MAILBOX.match(message.to) or not message.subject.isprintable():
            # Our own check, not the standard library's (CVE-2015-5144, CVE-2024-6923, CVE-2026-1299).
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
        # RFC 3834: no out-of-office answer should come back.
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
