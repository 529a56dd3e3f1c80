"""Key rotation: each session in use comes to depend on the newest secret key alone.

The browser first gets its cookie signed with the newest key. When it brings that cookie, the stamp of the stored
session is renewed as well. So a stamp of the newest key says that the cookie is of that key, too, and the store tells
how many sessions still need an older key. Otherwise that key could go only when its last session is over (ASVS 5
13.3.4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._credentials.security_stamp import SecurityStamps
from nipo_auth_mw._credentials.tokens import SignedTokens
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw.models import AccountState, StoredSession
from nipo_auth_mw.protocols import Account, RestampableSessions

_SEND_AGAIN = 60
"""Seconds. A client that keeps no cookies gets a new one at most this often, since each is one write."""
_PAGE = 500

Found = tuple[StoredSession, AccountState, Account | None]
LookUp = Callable[[str], Found | None]


class KeyRotation:
    """Renews cookies and stamps of older keys. `store` may lack `RestampableSessions`; then stamps stay as they are.

    `renew_factors` renews the app and the passkeys of an account, by its id.
    """

    def __init__(
        self,
        store: object,
        signed: SignedTokens,
        stamps: SecurityStamps,
        worker: Worker,
        renew_factors: Callable[[str], None] | None,
    ) -> None:
        self._rows = store if offers(store, RestampableSessions) else None
        self._signed = signed
        self._stamps = stamps
        self._worker = worker
        self._renew_factors = renew_factors
        self.is_on: bool = signed.has_older_keys

    def use(self, cookie: str, found: Found, key_number: int) -> bool:
        """Whether the cookie of this active session is to be sent again; if it need not be, renew the stamp.

        The new stamp is of the account as it was read with the session. If the account changes before the write, the
        session is over all the same. `key_number` is that of the key of the present stamp, 0 for the newest.
        """
        stored, state, account = found
        if self._signed.is_outdated(cookie):
            return time.time() - stored.sent_at >= _SEND_AGAIN
        rows = self._rows
        if rows is not None and account is not None and key_number != 0:
            new = self._stamps.of(account, state)
            has_factors = state.two_step is not None or bool(state.passkey_handle)
            self._worker.submit(lambda: self._renew(rows, stored, new, has_factors))
        return False

    def _renew(self, rows: RestampableSessions, stored: StoredSession, new: str, has_factors: bool) -> None:
        """Renew the stamp, after the factors: a renewed stamp says that they are renewed, too."""
        if has_factors and self._renew_factors is not None:
            self._renew_factors(stored.user_id)
        rows.restamp_session(stored.key, new, expected=stored.stamp)

    def left(self, look_up: LookUp) -> int | None:
        """How many sessions would end without the older keys; None if the store cannot list its sessions."""
        if self._rows is None:
            return None
        found = (look_up(stored.key) for stored in self._all(self._rows))
        return sum(one is not None and self._is_of_older_key(one) for one in found)

    def _is_of_older_key(self, found: Found) -> bool:
        stored, state, account = found
        return account is not None and self._stamps.key_of(stored.stamp, account, state) not in {0, None}

    def _all(self, rows: RestampableSessions) -> Iterator[StoredSession]:
        """Every session, read in pages."""
        after = ""
        while page := rows.sessions_after(after, limit=_PAGE):
            yield from page
            after = page[-1].key
