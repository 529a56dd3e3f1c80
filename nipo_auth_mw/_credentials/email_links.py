"""Links in mails that allow one action once. They need no table.

A token holds the account's id, the time it was made and a security stamp of the account at that time, and is signed.
The action changes the account, so its token no longer fits the stamp: each token works once. Any other change of
password, address or state ends it, too (CVE-2026-21622). A token works for its account and its purpose alone, and has
256 bits that an attacker cannot guess. The signature is checked first, so a forged token never reaches the store.
OWASP, "Forgot Password Cheat Sheet"; ASVS 5 6.5.1, 6.5.5.
"""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from typing import NamedTuple

from nipo_auth_mw._credentials.security_stamp import SecurityStamps
from nipo_auth_mw._credentials.tokens import SignedTokens
from nipo_auth_mw.models import AccountState
from nipo_auth_mw.protocols import Account, AccountStateStore, UserStore

RESET_LASTS = timedelta(hours=1)
EMAIL_LASTS = timedelta(days=1)
SECOND_LASTS = timedelta(minutes=10)
"""How long a sign-in waits for its second step; its token is in a cookie, in no mail."""
_MAX_LENGTH = 1000
_CLOCK_TOLERANCE = 300


class OpenedLink(NamedTuple):
    """A valid token: its account and account state as they are now, and the `about` that `make` was given."""

    account: Account
    state: AccountState
    about: str


class EmailLinks:
    """Makes and opens the tokens of one purpose. `signed` and `stamps` have keys for this purpose alone.

    A token is valid for `lasts` after it was made.
    """

    def __init__(
        self,
        signed: SignedTokens,
        stamps: SecurityStamps,
        users: UserStore,
        account_states: AccountStateStore,
        lasts: timedelta,
    ) -> None:
        self._signed = signed
        self._stamps = stamps
        self._users = users
        self._account_states = account_states
        self.lasts = lasts

    def make(self, account: Account, state: AccountState, about: str = "") -> str:
        """A token for the account as it is now. It consists of letters, digits, `-`, `_` and dots, so it fits a path.

        `about` is bound into it and must consist of the same characters, without dots.
        """
        made = str(int(time.time()))
        return self._signed.sign(f"{_packed(account.id)}.{made}.{about}.{self._stamps.of(account, state, made, about)}")

    def stamp(self, account: Account, state: AccountState, about: str) -> str:
        """A digest of the account as it is now, for a link that is made later. It is no token, and opens nothing."""
        return self._stamps.of(account, state, about)

    def still_fits(self, stamp: str, account: Account, state: AccountState, about: str) -> bool:
        """Whether the account is still as it was when `stamp` was made."""
        return self._stamps.fits(stamp, account, state, about)

    def open(self, token: str) -> OpenedLink | None:
        """The account behind a token, or None if the token is forged, used, expired or of another purpose.

        Changes nothing. A clock that was set back by up to five minutes ends no token. Raises `StoreUnavailable`.
        """
        text = self._signed.open(token) if len(token) <= _MAX_LENGTH else None
        if text is None:
            return None
        packed, made, about, stamp = text.split(".")
        age = time.time() - int(made)
        if not -_CLOCK_TOLERANCE <= age < self.lasts.total_seconds():
            return None
        account = self._users.get(_unpacked(packed))
        if account is None:
            return None
        state = self._account_states.account_state(account.id)
        return OpenedLink(account, state, about) if self._stamps.fits(stamp, account, state, made, about) else None


def _packed(user_id: str) -> str:
    """The id in base64, since a host app's ids may hold dots."""
    return base64.urlsafe_b64encode(str(user_id).encode()).decode().rstrip("=")


def _unpacked(packed: str) -> str:
    return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
