"""The mailer for development."""

from __future__ import annotations

import sys
from typing import TextIO

from nipo_auth_mw.models import Message


class ConsoleMailer:
    """Prints every mail, links included, to standard output or to `stream`.

    Goes with an http `base_url` alone: a link that lets its reader set somebody's password belongs in no log.
    """

    def __init__(self, stream: TextIO | None = None, sender: str = "noreply@localhost") -> None:
        self._stream = stream
        self.sender = sender

    def send(self, message: Message) -> None:
        lines = [f"From: {self.sender}", f"To: {message.to}", f"Subject: {message.subject}", "", message.text.rstrip()]
        rule = "-" * 72
        print(rule, *lines, rule, sep="\n", file=self._stream or sys.stdout, flush=True)

    def __repr__(self) -> str:
        return "ConsoleMailer()"
