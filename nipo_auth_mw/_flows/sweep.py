"""The sweep: work that is due although no request asks for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from nipo_auth_mw._flows import usage
from nipo_auth_mw._flows.password_check import LOCKED, UNLOCKED
from nipo_auth_mw._services import Services

_LOCKS_AT_ONCE = 1000
_DAY = 86400


def sweep(services: Services) -> int:
    """End the expired sessions and return how many ended. If several processes sweep at once, each session ends once.

    The sweep also records the locks that have run out, removes changes of address that can be neither confirmed nor
    cancelled any more and mails that were given up a month ago, seals the new rows of the audit log, and removes the
    batches and the days of use older than `audit_retention`. Raises `StoreUnavailable`.
    """
    ended = services.sessions.sweep()
    _report_locks(services)
    if services.email_changes is not None:
        services.email_changes.prune_email_changes(time.time())
    services.outbox.prune()
    services.seals.seal()
    services.seals.remove_old()
    usage.prune(services)
    return ended


def _report_locks(services: Services) -> None:
    """Record the end of locks that no later attempt has met, with the number of attempts that each refused."""
    longest = services.config.lockout.max_duration or services.config.lockout.duration
    since = datetime.fromtimestamp(time.time() - longest.total_seconds() - _DAY, UTC)
    for begun in services.audit.events(event=LOCKED.name, since=since, limit=_LOCKS_AT_ONCE):
        subject = str(begun.details.get("counter", ""))
        ended = services.lockout.ended(subject) if subject else None
        if ended is not None:
            services.log.record(
                UNLOCKED, subject=begun.user_id, email=begun.email, actor="sweep", refused=ended.refused
            )
