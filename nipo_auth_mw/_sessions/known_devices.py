"""Known devices: browsers on which an account has opened a persistent session.

The device cookie survives sign-out and signs no user in. It only makes wrong passwords from this browser count apart,
so that an attacker's guesses do not lock the user's own device (OWASP, "Slow Down Online Guessing Attacks with Device
Cookies"). The cookie holds a random device id and two values for each account. One is a security stamp that is bound to
the device id: a change of password, address or state makes the device unknown to the account again, and the cookie of
another device never fits. The other is a mark that survives such changes: it says that the account has been used on
this device, so the user gets one notification for each new device.
"""

from __future__ import annotations

import secrets

from nipo_auth_mw._credentials.security_stamp import SecurityStamps
from nipo_auth_mw._credentials.tokens import KeyedDigests, SignedTokens
from nipo_auth_mw.models import Account, AccountState, Client
from nipo_auth_mw.protocols import Account as AnyAccount

_MAX_ACCOUNTS = 20
_MARK_LENGTH = 16
_MAX_CLIENTS = 20
_CLIENT_LENGTH = 8


class KnownDevices:
    """Reads and writes the device cookie. The three keys have a purpose of their own each."""

    def __init__(self, signed: SignedTokens, stamps: SecurityStamps, marks: KeyedDigests) -> None:
        self._signed = signed
        self._stamps = stamps
        self._marks = marks

    def known(self, cookie: str | None, account: AnyAccount | None, state: AccountState) -> str | None:
        """The device's id if the account is known on it and has not changed since, else None."""
        device_id, stamps = self._open(cookie)
        # For an address without an account the stamps are compared as well, so the time does not reveal it. Another id
        # each time, since a result is kept for the next comparison of the same account.
        compared: AnyAccount = account or Account(secrets.token_hex(8), "", None)
        fits = any(self._stamps.fits(stamp, compared, state, device_id) for stamp in stamps)
        return device_id if fits and account is not None else None

    def seen_before(self, cookie: str | None, account: AnyAccount) -> bool:
        """Whether the account was known on this device at any time, whatever has changed since."""
        device_id, values = self._open(cookie)
        return any(self._is_mark(value, device_id, account) for value in values)

    def is_new_client(self, client: Client, account: AnyAccount, state: AccountState) -> bool:
        """Whether the account has been used before, and never from this client: a User-Agent at an address."""
        return bool(state.clients) and set(self._clients(client, account)).isdisjoint(state.clients.split())

    def clients_with(self, client: Client, account: AnyAccount, state: AccountState) -> str | None:
        """The account's list of clients with this one added under the newest secret key; None if the list holds it so.

        The list holds the last 20, as keyed digests: a sign-in compares with the list and reads no history.
        """
        digests, known = self._clients(client, account), state.clients.split()
        if digests[0] in known:
            return None
        return " ".join([*(one for one in known if one not in digests), digests[0]][-_MAX_CLIENTS:])

    def remember(self, cookie: str | None, account: AnyAccount, state: AccountState) -> str:
        """The cookie's value with this account added. A cookie holds 20 accounts; the oldest makes room."""
        device_id, values = self._open(cookie)
        others = [one for one in values if self._newest(one, device_id, account, state) is None]
        newest = [*others, self._mark(device_id, account), self._stamps.of(account, state, device_id)]
        return self._signed.sign(".".join([device_id, *newest[-2 * _MAX_ACCOUNTS :]]))

    def renewed(self, cookie: str | None, account: AnyAccount, state: AccountState) -> str | None:
        """The cookie's value with what it says of this account under the newest secret key; None if it is so already.

        Adds nothing: a device that the account is unknown on stays so.
        """
        device_id, values = self._open(cookie)
        newest = [self._newest(value, device_id, account, state) or value for value in values]
        renewed = self._signed.sign(".".join([device_id, *newest]))
        return renewed if values and renewed != cookie else None

    def _newest(self, value: str, device_id: str, account: AnyAccount, state: AccountState) -> str | None:
        """This value of a cookie under the newest secret key; None if it is not of this account as it is now."""
        if self._is_mark(value, device_id, account):
            return self._mark(device_id, account)
        fits = self._stamps.fits(value, account, state, device_id)
        return self._stamps.of(account, state, device_id) if fits else None

    def _mark(self, device_id: str, account: AnyAccount) -> str:
        return self._marks.digest(device_id, account.id)[:_MARK_LENGTH]

    def _is_mark(self, value: str, device_id: str, account: AnyAccount) -> bool:
        return len(value) == _MARK_LENGTH and self._marks.key_of(value, device_id, account.id) is not None

    def _clients(self, client: Client, account: AnyAccount) -> list[str]:
        """What stands for the client in the list of its account, under each of the secret keys, the newest first."""
        digests = self._marks.digests("client", account.id, client.user_agent, client.address)
        return [digest[:_CLIENT_LENGTH] for digest in digests]

    def _open(self, cookie: str | None) -> tuple[str, list[str]]:
        """The device id and the accounts' values; a new id and no values for a missing or forged cookie."""
        text = self._signed.open(cookie) if cookie else None
        if text is None:
            return secrets.token_urlsafe(18), []
        device_id, *values = text.split(".")
        return device_id, values
