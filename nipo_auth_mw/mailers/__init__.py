"""How mails leave. `MemoryMailer` keeps them for tests."""

from __future__ import annotations

from nipo_auth_mw.mailers.memory import MemoryMailer

__all__ = ["MemoryMailer"]
