"""The mailer for tests."""

from __future__ import annotations

from nipo_auth_mw.models import Message


class MemoryMailer:
    """Keeps every mail in the list `outbox`, oldest first. Several threads may use it."""

    def __init__(self, sender: str = "noreply@example.com") -> None:
        self.sender = sender
        self.outbox: list[Message] = []

    def send(self, message: Message) -> None:
        """Append the mail to `outbox`."""
        self.outbox.append(message)

    def __repr__(self) -> str:
        return f"MemoryMailer({len(self.outbox)} mails)"
