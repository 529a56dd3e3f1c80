"""Known devices: browsers on which an account has signed in and was kept.

The cookie survives sign-out and opens nothing. It only says that wrong passwords sent along with it are counted apart,
so that a stranger's guesses cannot lock the owner's own device (OWASP, "Slow Down Online Guessing Attacks with Device
Cookies"). It holds a random id and, for each account, a stamp of that account bound to this id: a change of password,
address or state makes it unknown again, and no one else's cookie will do. A mark that such a change leaves alone says
that the account was met on this device, so that its owner hears of a new device once.
"""

from __future__ import annotations

import secrets

from nipo_auth_mw.models import AccountNotes
from nipo_auth_mw.parts.signing import Keyed, Signed
from nipo_auth_mw.parts.stamps import Stamps
from nipo_auth_mw.protocols import Account

_MOST_ACCOUNTS = 20
_MARK = 16


class Devices:
    def __init__(self, signed: Signed, stamps: Stamps, marks: Keyed) -> None:
        self._signed = signed
        self._stamps = stamps
        self._marks = marks

    def known(self, cookie: str | None, account: Account | None, notes: AccountNotes) -> str | None:
        """This device's id if the account was kept on it and has not changed since, else None."""
        device_id, stamps = self._open(cookie)
        if account is None or not any(self._stamps.fits(stamp, account, notes, device_id) for stamp in stamps):
            return None
        return device_id

    def met(self, cookie: str | None, account: Account) -> bool:
        """Whether this account was kept on this device before, whatever has changed since."""
        device_id, words = self._open(cookie)
        return self._mark(device_id, account) in words

    def remember(self, cookie: str | None, account: Account, notes: AccountNotes) -> str:
        """The cookie's value with this account added; the oldest of more than 20 makes room."""
        device_id, words = self._open(cookie)
        own = self._mark(device_id, account)
        kept = [word for word in words if word != own and not self._stamps.fits(word, account, notes, device_id)]
        newest = [*kept, own, self._stamps.of(account, notes, device_id)][-2 * _MOST_ACCOUNTS :]
        return self._signed.sign(".".join([device_id, *newest]))

    def _mark(self, device_id: str, account: Account) -> str:
        return self._marks.digest(device_id, account.id)[:_MARK]

    def _open(self, cookie: str | None) -> tuple[str, list[str]]:
        text = self._signed.open(cookie) if cookie else None
        if text is None:
            return secrets.token_urlsafe(18), []
        device_id, *stamps = text.split(".")
        return device_id, stamps
