"""One attempt slot, and what a caller may get in its place."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nipo_auth_mw._throttle.client_limit import ClientCounter

CHECK_SECONDS = 10
"""A slot that was reserved longer ago is used up, whatever became of its check."""


@dataclass(frozen=True, slots=True)
class Locked:
    """The subject is locked, so no password is verified.

    `retry_after` is in whole seconds; None if only a password reset or an administrator ends the lock. `begun` says
    that this call started the lock.
    """

    retry_after: int | None
    begun: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A lock that has ended and was not reported before. It refused `refused` attempts."""

    refused: int


@dataclass(slots=True)
class Slot:
    """The right to verify one password for `subject`. `reserved_at` is on `time.monotonic`.

    `clears` are the subject's counters that a correct password ends. `lasts` is the window in seconds. `client` is the
    counter of the client address, which counts the check too; it ends at `client_ends` on `time.monotonic`. After a
    failure `left` is how many more start a lock, `last` says that the next one locks the subject for good, and
    `limited` that the client has no more.
    """

    subject: str
    number: int
    reserved_at: float
    lasts: int
    clears: tuple[str, ...] = ()
    client: ClientCounter | None = None
    client_ends: float = 0.0
    left: int = 0
    last: bool = False
    limited: bool = False

    @property
    def key(self) -> str:
        """The name of the slot's counter."""
        return key_of(self.subject, self.number)

    @property
    def lapsed(self) -> bool:
        """Whether another request may hold the slot by now: the process stood still for nearly the whole window."""
        return time.monotonic() - self.reserved_at >= self.lasts * 0.9

    @property
    def given_back(self) -> dict[str, int]:
        """The counter of the client, if it still counts this check: a new counter must not begin below 0."""
        counts = self.client is not None and time.monotonic() < self.client_ends - CHECK_SECONDS
        return self.client.names if self.client is not None and counts else {}


class NoSlot(Exception):
    """All slots stayed reserved until the deadline; no password was verified."""


def key_of(subject: str, number: int) -> str:
    """The name of the counter of one slot."""
    return f"{subject}:s:{number}"
