"""Whether an account is invited: it has no password, and its owner has a link to set one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.protocols import Account


class Invitation(NamedTuple):
    """An invitation that nothing has ended yet. `until` is in seconds since 1970 (UTC)."""

    until: float

    @property
    def ends(self) -> datetime:
        """`until` as a moment."""
        return datetime.fromtimestamp(self.until, UTC)

    @property
    def expired(self) -> bool:
        """Whether its link has expired."""
        return time.time() >= self.until


def invitation_of(account: Account, state: AccountState) -> Invitation | None:
    """The invitation of an account; None if there was none, or if a change has ended it.

    The state holds the number of the revocation counter at the invitation. Every change of the password, the address or
    the activation raises the counter, so a feature that makes one needs to know nothing of invitations.
    """
    until, counter = state.attributes.get("invited_until"), state.attributes.get("invited_at")
    if until is None or counter != state.revocation_counter:
        return None
    return Invitation(float(until)) if account.password_hash is None and account.active else None
