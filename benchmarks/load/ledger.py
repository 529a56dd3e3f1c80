"""What clients saw, and what the site promised them."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import NamedTuple


class Seen(NamedTuple):
    """One request as its client saw it; times by the monotonic clock."""

    begun: float
    ended: float
    kind: str
    status: int
    """0 for no answer."""
    heading: str = ""
    """The heading of the page, if the server failed."""

    @property
    def failed(self) -> bool:
        """Whether the server failed: no answer, or one of 500 and above."""
        return self.status == 0 or self.status >= 500


class Promise(NamedTuple):
    """An answer that said: this has happened."""

    at: float
    what: str
    """The event that the audit log must hold, or the subject of the mail that must come."""
    of: str
    """The mark of the request, which the audit log keeps as the browser; or the mail's recipient."""


@dataclass
class Ledger:
    """Filled by all clients at once: `list.append` is atomic."""

    seen: list[Seen] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers with another identity, status or page than they must have."""
    events: list[Promise] = field(default_factory=list)
    mails: list[Promise] = field(default_factory=list)
    lost: list[Promise] = field(default_factory=list)
    """Sessions that ended without a sign-out, and sessions that a sign-out did not end."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def mark(self) -> str:
        """The browser's name of the next request, which no other request has."""
        return f"load/{next(self._numbers):07d}"

    def promise(self, what: str, mark: str) -> None:
        """An event was told to a client."""
        self.events.append(Promise(time.monotonic(), what, mark))

    def promise_mail(self, subject: str, to: str) -> None:
        """A mail was promised to a client."""
        self.mails.append(Promise(time.monotonic(), subject, to))

    def lose(self, what: str, of: str) -> None:
        """A client lost what it was promised before."""
        self.lost.append(Promise(time.monotonic(), what, of))
