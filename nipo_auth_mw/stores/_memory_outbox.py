"""The mails on their way, in memory: `OutboxStore`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from nipo_auth_mw.models import QueuedMail


class MemoryOutbox:
    """The mails of `MemoryStore`, and of a process whose store keeps none."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._mails: dict[str, QueuedMail] = {}

    def add_mails(self, mails: Sequence[QueuedMail]) -> None:
        """See `OutboxStore.add_mails`."""
        with self._lock:
            for mail in mails:
                self._mails.pop(mail.key, None)
                self._mails[mail.key] = replace(mail, facts=dict(mail.facts))

    def claim_mails(
        self, realm: str, state: str, *, now: float, wait: float, lease: float, limit: int
    ) -> Sequence[QueuedMail]:
        """See `OutboxStore.claim_mails`."""
        with self._lock:
            free = (
                mail
                for mail in self._mails.values()
                if (mail.realm, mail.state) == (realm, state)
                and not now < mail.due_at <= now + wait
                and not now < mail.claimed_until <= now + lease
            )
            first = sorted(free, key=lambda mail: (mail.due_at, mail.key))[: max(limit, 0)]
            claimed = [replace(mail, claimed_until=now + lease, tries=mail.tries + 1) for mail in first]
            self._mails.update({mail.key: mail for mail in claimed})
            return claimed

    def change_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.change_mail`."""
        with self._lock:
            stored = self._mails.get(mail.key)
            if stored is None or stored.tries != mail.tries:
                return False
            self._mails[mail.key] = replace(
                stored, state=mail.state, due_at=mail.due_at, claimed_until=mail.claimed_until, reason=mail.reason
            )
            return True

    def remove_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.remove_mail`."""
        with self._lock:
            stored = self._mails.get(mail.key)
            if stored is None or stored.tries != mail.tries:
                return False
            del self._mails[mail.key]
            return True

    def mails(self, *, state: str | None = None, limit: int) -> Sequence[QueuedMail]:
        """See `OutboxStore.mails`."""
        with self._lock:
            found = [mail for mail in self._mails.values() if state in (None, mail.state)]
        return sorted(found, key=lambda mail: (mail.queued_at, mail.key))[: max(limit, 0)]

    def count_mails(self, state: str) -> int:
        """See `OutboxStore.count_mails`."""
        with self._lock:
            return sum(mail.state == state for mail in self._mails.values())

    def prune_mails(self, state: str, queued_before: float) -> None:
        """See `OutboxStore.prune_mails`."""
        with self._lock:
            for mail in list(self._mails.values()):
                if mail.state == state and mail.queued_at < queued_before:
                    del self._mails[mail.key]
