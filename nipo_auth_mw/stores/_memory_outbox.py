"""The mails on their way, in memory: `OutboxStore`."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from nipo_auth_mw.models import QueuedMail


class _Row(NamedTuple):
    """A mail, and its times by the monotonic clock."""

    mail: QueuedMail
    due_at: float
    claimed_until: float

    @classmethod
    def of(cls, mail: QueuedMail) -> _Row:
        now = time.monotonic()
        return cls(mail, now + mail.due_in, now + mail.claimed_for)

    def read(self) -> QueuedMail:
        now = time.monotonic()
        left = (max(0.0, self.due_at - now), max(0.0, self.claimed_until - now))
        return replace(self.mail, due_in=left[0], claimed_for=left[1])


class MemoryOutbox:
    """The mails of `MemoryStore`, and of a process whose store keeps none."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._mails: dict[str, _Row] = {}

    def add_mails(self, mails: Sequence[QueuedMail]) -> None:
        """See `OutboxStore.add_mails`."""
        with self._lock:
            for mail in mails:
                self._mails.pop(mail.key, None)
                self._mails[mail.key] = _Row.of(replace(mail, facts=dict(mail.facts)))

    def claim_mails(
        self, realm: str, state: str, *, early: float, wait: float, lease: float, limit: int
    ) -> Sequence[QueuedMail]:
        """See `OutboxStore.claim_mails`."""
        with self._lock:
            now = time.monotonic()
            free = (
                row
                for row in self._mails.values()
                if (row.mail.realm, row.mail.state) == (realm, state)
                and not early < row.due_at - now <= wait
                and not 0.0 < row.claimed_until - now <= 2 * lease
            )
            first = sorted(free, key=lambda row: (row.due_at, row.mail.key))[: max(limit, 0)]
            claimed = [replace(row.read(), claimed_for=lease, tries=row.mail.tries + 1) for row in first]
            self._mails.update({mail.key: _Row.of(mail) for mail in claimed})
            return claimed

    def change_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.change_mail`."""
        with self._lock:
            stored = self._stored(mail)
            if stored is None:
                return False
            self._mails[mail.key] = _Row.of(
                replace(stored, state=mail.state, due_in=mail.due_in, claimed_for=mail.claimed_for, reason=mail.reason)
            )
            return True

    def remove_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.remove_mail`."""
        with self._lock:
            if self._stored(mail) is None:
                return False
            del self._mails[mail.key]
            return True

    def _stored(self, mail: QueuedMail) -> QueuedMail | None:
        """The stored mail, if it is this one and no other process has claimed it since."""
        row = self._mails.get(mail.key)
        same = row is not None and (row.mail.queued_at, row.mail.tries) == (mail.queued_at, mail.tries)
        return row.mail if row is not None and same else None

    def mails(self, *, state: str | None = None, limit: int) -> Sequence[QueuedMail]:
        """See `OutboxStore.mails`."""
        with self._lock:
            found = [row.read() for row in self._mails.values() if state in (None, row.mail.state)]
        return sorted(found, key=lambda mail: (mail.queued_at, mail.key))[: max(limit, 0)]

    def count_mails(self, state: str) -> int:
        """See `OutboxStore.count_mails`."""
        with self._lock:
            return sum(row.mail.state == state for row in self._mails.values())

    def prune_mails(self, state: str, queued_before: float) -> None:
        """See `OutboxStore.prune_mails`."""
        with self._lock:
            for mail in [row.mail for row in self._mails.values()]:
                if mail.state == state and mail.queued_at < queued_before:
                    del self._mails[mail.key]
