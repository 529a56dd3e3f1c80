"""The protocol of the outbox's store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from nipo_auth_mw.models import QueuedMail


@runtime_checkable
class OutboxStore(Protocol):
    """Optional: the session store keeps the mails that are on their way (`models.QueuedMail`).

    A mail is written in the transaction of what it tells of, and any process may send it. Without this capability each
    process keeps its mails in memory, and loses them when it is killed.

    The store counts `due_in` and `claimed_for` by one clock for all its processes: that of the database's server, or
    `time.monotonic()` where all processes are on one machine. The clocks of the processes move neither.
    """

    def add_mails(self, mails: Sequence[QueuedMail]) -> None:
        """Add the mails, in one atomic step. A mail takes the place of the one with the same key, in any state."""

    def claim_mails(
        self, realm: str, state: str, *, early: float, wait: float, lease: float, limit: int
    ) -> Sequence[QueuedMail]:
        """Claim at most `limit` mails of this realm and state, the first due first.

        A mail waits while `early` < `due_in` <= `wait`, and is claimed while 0 < `claimed_for` <= `2 * lease`; a longer
        time comes from a clock that was set back, or from before a restart of the machine, and holds up no mail. It is
        twice the lease, since a caller that had to wait may see a claim that is younger than its own look at the clock.
        Sets `claimed_for` to `lease` and adds one to `tries`, in one atomic step, and returns the mails as they are
        then. No two callers in any processes get the same mail, and none waits for the other.
        """

    def change_mail(self, mail: QueuedMail) -> bool:
        """Write `state`, `due_in`, `claimed_for` and `reason` if the stored `queued_at` and `tries` equal those of
        `mail`, in one atomic step. False if one differs: another process has claimed the mail since, or it is gone, or
        a later mail has its key."""

    def remove_mail(self, mail: QueuedMail) -> bool:
        """Remove the mail if the stored `queued_at` and `tries` equal those of `mail`, in one atomic step; otherwise
        False."""

    def mails(self, *, state: str | None = None, limit: int) -> Sequence[QueuedMail]:
        """The mails of one state or of all, of every realm, the earliest `queued_at` first."""

    def count_mails(self, state: str) -> int:
        """The number of mails in this state, of every realm."""

    def prune_mails(self, state: str, queued_before: float) -> None:
        """Remove the mails of this state with `queued_at` < `queued_before`."""
