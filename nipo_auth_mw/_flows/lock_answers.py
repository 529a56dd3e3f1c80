"""How a lock shows: one shape for wrong passwords and for wrong codes."""

from __future__ import annotations

from collections.abc import Callable

from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._throttle.counters import Reading
from nipo_auth_mw._throttle.lockout import Lockout
from nipo_auth_mw._throttle.slots import Ended, Locked, Slot


def look(
    lockout: Lockout, subject: str, report: Callable[[Ended], None], beside: dict[str, int] | None = None
) -> Reading:
    """The counters of the subject, and of the names `beside`, after a lock that has ended was reported and removed."""
    seen = lockout.look(subject, beside)
    if ended := lockout.ended(subject, seen):
        report(ended)
        seen = lockout.look(subject, beside)
    return seen


def refuse_locked(lockout: Lockout, subject: str, lock: Locked, tell: Callable[[Locked], None], kind: str) -> Refused:
    """Refuse an attempt without a check, and count it towards the lock that refused it.

    `kind` names the text of a lock that ends, and `kind` with "for_good" that of one without an end.
    """
    if lock.begun:
        tell(lock)
    elif lock.retry_after is not None:
        lockout.refuse(subject)
    words = (kind,) if lock.retry_after else (kind, "for_good")
    return Refused("locked", lock.retry_after, detail="_".join(filter(None, words)))


def refuse_wrong(lockout: Lockout, subject: str, slot: Slot, lock: Locked | None, code: str) -> Refused:
    """The answer to a check that failed: the lock that it began, a warning before the last one, or the refusal alone.

    It is the same for every subject, so it tells of no account.
    """
    if lock is not None:
        return Refused(code, lock.retry_after, detail="lock_begun" if lock.retry_after else "lock_for_good")
    if slot.last:
        return Refused(code, detail="last_try_for_good")
    if slot.left == 1:
        return Refused(code, detail="last_try", values={"lasts": lockout.next_duration(subject)})
    return Refused(code)
