"""Links in mails that let their reader do one thing once, without a table.

A token names an account and when it was made, and carries a stamp of the account as it was then, all of it signed. So
it is spent by the very change it allows, and dies with any other change of password, address or state (CVE-2026-21622).
It is bound to its account and to its purpose, holds 256 bits nobody can guess, and a forged one never
reaches the store. Time alone ends it too. OWASP, "Forgot Password Cheat Sheet"; ASVS 5 6.5.1, 6.5.5.
"""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from typing import NamedTuple

from nipo_auth_mw.models import AccountNotes
from nipo_auth_mw.parts.signing import Signed
from nipo_auth_mw.parts.stamps import Stamps
from nipo_auth_mw.protocols import Account, SessionStore, UserStore

RESET_LASTS = timedelta(hours=1)
EMAIL_LASTS = timedelta(days=1)
_LONGEST = 1000
_CLOCK_TOLERANCE = 300


class Opened(NamedTuple):
    """A link that is good now: whose it is, as they are now."""

    account: Account
    notes: AccountNotes
    about: str


class Links:
    """Links of one purpose, whose `signed` and `stamps` have keys of their own."""

    def __init__(
        self, signed: Signed, stamps: Stamps, users: UserStore, session_store: SessionStore, lasts: timedelta
    ) -> None:
        self._signed = signed
        self._stamps = stamps
        self._users = users
        self._session_store = session_store
        self.lasts = lasts

    def make(self, account: Account, notes: AccountNotes, about: str = "") -> str:
        """A token fit for a path: letters, digits, `-`, `_` and dots, as `about` is, which is bound into it."""
        made = str(int(time.time()))
        return self._signed.sign(f"{_packed(account.id)}.{made}.{about}.{self._stamps.of(account, notes, made, about)}")

    def open(self, token: str) -> Opened | None:
        """Whose link it is, or None for one that is unknown, spent, too old or of another purpose. Changes nothing."""
        text = self._signed.open(token) if len(token) <= _LONGEST else None
        if text is None:
            return None
        packed, made, about, stamp = text.split(".")
        age = time.time() - int(made)
        if not -_CLOCK_TOLERANCE <= age < self.lasts.total_seconds():
            return None
        account = self._users.get(_unpacked(packed))
        if account is None:
            return None
        notes = self._session_store.notes_of(account.id)
        return Opened(account, notes, about) if self._stamps.fits(stamp, account, notes, made, about) else None


def _packed(user_id: str) -> str:
    return base64.urlsafe_b64encode(str(user_id).encode()).decode().rstrip("=")


def _unpacked(packed: str) -> str:
    return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
