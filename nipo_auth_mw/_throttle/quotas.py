"""Quotas on mails and audit log entries that a visitor or an account can cause.

Without them an attacker could flood a mailbox with reset links, or fill the audit log with one cheap request repeated
(OWASP, "Forgot Password Cheat Sheet").
"""

from __future__ import annotations

from itertools import islice

from nipo_auth_mw._throttle.counters import CounterNames, outages
from nipo_auth_mw.protocols import Counters

_MINUTE = 60
_HOUR = 3600


class Quotas:
    """Each method counts the call if it returns True. Each raises `StoreUnavailable` if the counters cannot be reached.

    `what` names the kind of mail or entry; every kind has a quota of its own.
    """

    def __init__(self, counters: Counters, names: CounterNames) -> None:
        self._counters = counters
        self._names = names

    def once_a_minute(self, what: str, client_address: str) -> bool:
        """True once a minute for each client: for audit log entries that any request can cause.

        Clients without an IP address share one quota.
        """
        key = self._names.client(client_address)
        with outages():
            return self._counters.incr(f"{key or 'c:unknown'}:{what}", _MINUTE) == 1

    def allow_about(self, user_id: str, what: str, *, an_hour: int, spaced: bool = True) -> bool:
        """Whether a mail that this account's user causes may be sent now, or its locks be lifted.

        At most `an_hour` in any hour and, if `spaced`, one a minute. The quota belongs to the account, because its user
        can change the address: otherwise one account could flood any number of other people's mailboxes.
        """
        return self._allow(f"{self._names.account(user_id)}:{what}", an_hour, spaced=spaced)

    def allow_mails(self, user_id: str, what: str, mails: int, *, an_hour: int) -> bool:
        """Whether so many mails may be sent at once for this user. At most `an_hour` mails in any hour.

        The quota belongs to the account with this id: to the one that causes the mails, or to the one they are about.
        """
        name = f"{self._names.account(user_id)}:{what}"
        with outages():
            free = (self._counters.incr(f"{name}:{number}", _HOUR) == 1 for number in range(an_hour))
            return sum(islice((True for one in free if one), mails)) == mails

    def allow_mails_by(self, user_id: str, what: str, *, an_hour: int, mails: int = 1) -> bool:
        """Whether this user may cause so many more mails. At most `an_hour` in an hour that the first of them begins.

        One counter for all of them, since there may be thousands. Refused mails count, too.
        """
        with outages():
            return self._counters.incr(f"{self._names.account(user_id)}:{what}", _HOUR, mails) <= an_hour

    def first_use(self, name: str, *, lasts: int) -> bool:
        """True for the first of all calls with this name within `lasts` seconds: for what may be used once."""
        with outages():
            return self._counters.incr(f"u:{name}", lasts) == 1

    def _allow(self, name: str, an_hour: int, *, spaced: bool) -> bool:
        """Take the first free one of `an_hour` counters, each of which expires an hour after its mail."""
        with outages():
            if spaced and self._counters.incr(f"{name}:minute", _MINUTE) != 1:
                return False
            return any(self._counters.incr(f"{name}:{number}", _HOUR) == 1 for number in range(an_hour))
