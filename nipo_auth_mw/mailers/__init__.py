"""How mails leave: `SMTPMailer` to a mail server, `ConsoleMailer` on a developer's screen, `MemoryMailer` in tests.

Any object with `send(message)` will do; see `nipo_auth_mw.protocols.Mailer`.
"""

from __future__ import annotations

from nipo_auth_mw.mailers.console import ConsoleMailer
from nipo_auth_mw.mailers.memory import MemoryMailer
from nipo_auth_mw.mailers.smtp import SMTPMailer

__all__ = ["ConsoleMailer", "MemoryMailer", "SMTPMailer"]
