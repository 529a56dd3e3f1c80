"""Why a session ended, for the browser that comes back with its cookie.

The row of a session is gone when it has ended, so the reason is kept apart for a month, under a digest of the session's
key. Only a cookie with a valid signature leads to that digest: an attacker who knows an address, or another user's
device, learns nothing (CWE-203). The reason is told once.
"""

from __future__ import annotations

from contextlib import suppress

from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.protocols import BatchCounters

WORDS = (
    "expired",
    "elsewhere",
    "by_admin",
    "password_set",
    "password_changed",
    "email_changed",
    "email_change_cancelled",
    "disabled",
    "deleted",
    "changed",
)
"""What a user is told: `ending.<word>` in the catalogues. The stored number is the place in this list."""
_WORD_OF = {
    "by_owner": "elsewhere",
    "cap": "elsewhere",
    "password_reset": "password_changed",
    "invitation_accepted": "password_changed",
    "account_disabled": "disabled",
    "account_deleted": "deleted",
    "account_changed": "changed",
    "factors_reset": "by_admin",
}
_A_MONTH = 30 * 86400


class Endings:
    """Keeps the reasons, best effort: without one the user sees the plain sign-in page.

    `in_store` says that a transaction of the store holds the counters too; another storage is written in the
    background, so that no transaction waits for it.
    """

    def __init__(self, counters: BatchCounters, digests: KeyedDigests, worker: Worker, *, in_store: bool) -> None:
        self._counters = counters
        self._digests = digests
        self._worker = worker
        self._in_store = in_store

    def keep(self, key: str, why: str, *, by_other: bool) -> None:
        """Keep the reason for the end of the session with this key. `by_other` says that another account ended it."""
        word = "password_set" if why == "password_changed" and by_other else _WORD_OF.get(why, why)
        if word not in WORDS:
            return
        name, number = self._name(key), WORDS.index(word) + 1

        def write() -> None:
            self._counters.incr(name, _A_MONTH, number)

        if self._in_store:
            write()
        else:
            self._worker.submit(write)

    def take(self, key: str) -> str:
        """The word for the session with this key, once; "" if there is none, or in an outage."""
        name, number = self._name(key), 0
        # A storage of counters raises errors of its own.
        with suppress(StoreUnavailable, Exception):
            number = self._counters.remove([name]).get(name, 0)
        return WORDS[number - 1] if 0 < number <= len(WORDS) else ""

    def _name(self, key: str) -> str:
        return "e:" + self._digests.digest("ended", key)[:32]
