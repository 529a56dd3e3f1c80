"""The protocol that lets an older secret key be dropped before its last session is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from nipo_auth_mw.models import StoredSession


@runtime_checkable
class RestampableSessions(Protocol):
    """Optional: the session store renews stamps after a change of the secret key, and lists all sessions, so that
    `nipo-auth check` tells when the older key can go.

    Without it the older key is needed until every session that was opened under it is over.
    """

    def restamp_session(self, key: str, stamp: str, *, expected: str) -> bool:
        """Replace the stamp of the session if the stored one equals `expected`, in one atomic step.

        False if the stored stamp differs or the session has ended. Never inserts: a session that has ended stays ended.
        """

    def sessions_after(self, key: str, *, limit: int) -> Sequence[StoredSession]:
        """At most `limit` sessions with a key above `key` by code points, in this order; "" is below every key."""
