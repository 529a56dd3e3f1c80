"""The mailers: `SMTPMailer` for production, `ConsoleMailer` for development, `MemoryMailer` for tests.

Any other object with a method `send(message)` works as well; see `nipo_auth_mw.protocols.Mailer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nipo_auth_mw.mailers._console import ConsoleMailer
from nipo_auth_mw.mailers._memory import MemoryMailer

if TYPE_CHECKING:
    from nipo_auth_mw.mailers._smtp import SMTPMailer

__all__ = ["ConsoleMailer", "MemoryMailer", "SMTPMailer"]


def __getattr__(name: str) -> Any:
    """Import smtplib and email's policies only if the app uses `SMTPMailer`, which shortens the start otherwise."""
    if name != "SMTPMailer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nipo_auth_mw.mailers._smtp import SMTPMailer

    return SMTPMailer
