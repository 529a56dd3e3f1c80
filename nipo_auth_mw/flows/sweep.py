"""What has to be done now and then although nobody asks for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.parts.services import Services

_LOCKS_AT_ONCE = 1000
_DAY = 86400


def sweep(services: Services) -> int:
    """End the sessions that are past their time, exactly once however many processes sweep; returns how many.

    Also reports locks that have run out, removes changes of address that can be neither confirmed nor cancelled any
    more, seals the history's new rows and removes batches that are older than the history is kept. Raises
    `StoreUnavailable`.
    """
    ended = services.sessions.sweep()
    _report_locks(services)
    if services.email_changes is not None:
        services.email_changes.prune_email_changes(time.time())
    services.seals.seal()
    services.seals.remove_old()
    return ended


def _report_locks(services: Services) -> None:
    """A lock that nobody came back to ends too, and its row says how many attempts it refused."""
    longest = services.config.lockout.longest or services.config.lockout.duration
    since = datetime.fromtimestamp(time.time() - longest.total_seconds() - _DAY, UTC)
    for begun in services.audit.events(event="locked", since=since, limit=_LOCKS_AT_ONCE):
        subject = str(begun.details.get("counter", ""))
        ended = services.lockout.ended(subject) if subject else None
        if ended is not None:
            services.recorder.record(
                event(
                    "unlocked",
                    time=time.time(),
                    user_id=begun.user_id,
                    email=begun.email,
                    actor="sweep",
                    details={"refused": ended.refused},
                )
            )
