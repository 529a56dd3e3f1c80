"""The mailer for development."""

from __future__ import annotations

import sys
from typing import TextIO

from nipo_auth_mw.models import Message


class ConsoleMailer:
    """Prints every mail, with its links, to standard output or to `stream`.

    The middleware refuses it for an https `base_url`: in production, a link that sets a password must not get into a
    log.
    """

    def __init__(self, stream: TextIO | None = None, sender: str = "noreply@localhost") -> None:
        self._stream = stream
        self.sender = sender

    def send(self, message: Message) -> None:
        """Print the mail's headers and its plain text."""
        lines = [f"From: {self.sender}", f"To: {message.to}", f"Subject: {message.subject}", "", message.text.rstrip()]
        rule, stream = "-" * 72, self._stream or sys.stdout
        # A console of Windows, or a pipe without a locale, has no kanji; the link has to be readable all the same.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = "\n".join([rule, *lines, rule]).encode(encoding, "backslashreplace").decode(encoding)
        print(text, file=stream, flush=True)

    def __repr__(self) -> str:
        return "ConsoleMailer()"
