"""The delivery of queued mails: each is claimed by one process, tried again after a failure, and given up at last."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from nipo_auth_mw._runtime.failures import without_message
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw.errors import MailerError, StoreUnavailable
from nipo_auth_mw.models import Message, QueuedMail
from nipo_auth_mw.protocols import Mailer, OutboxStore

_log = logging.getLogger("nipo_auth_mw")
PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0, 120.0, 600.0, 900.0)
"""Seconds after each failure; the last one repeats."""
MAX_TRIES = 295
"""About three days. The tries are counted, not the days: a clock that jumps ahead gives no mail up."""
LEASE = 60.0
"""Seconds after which another process takes over the mail of a process that was killed."""
_AT_ONCE = 20


class Overtaken(Exception):
    """Another process has claimed the mail since."""


class Delivery:
    """Works on the claimed mails of one realm. `rows` gives the store of the mails.

    `compose` makes the mail, or returns None if there is nothing to send any more. `answer` looks up what a visitor
    asked for, and removes the request. `report` is called with each mail that was given up, and `watch` whenever a mail
    is about to be sent.
    """

    def __init__(
        self,
        mailer: Mailer,
        rows: Callable[[], OutboxStore],
        realm: str,
        compose: Callable[[QueuedMail], Message | None],
        watch: Callable[[], None],
    ) -> None:
        self._mailer = mailer
        self._rows = rows
        self._realm = realm
        self._compose = compose
        self._watch = watch
        self._leases = PerProcess(_Leases)
        self.ends = math.inf
        """The monotonic time after which no mail is begun, since the process is about to end."""
        self.answer: Callable[[QueuedMail], None] = _refuse
        self.report: Callable[[QueuedMail], None] = lambda _: None

    def run(
        self, state: str, *, everything: bool = False, early: float = 0.0, until: float | None = None
    ) -> set[float]:
        """Work on the mails that are due now or in `early` seconds; with `everything`, once on those that wait for
        another try too.

        Begins none after the monotonic time `until`, or after `ends`. Returns the pauses after which mails are due
        again. Raises `StoreUnavailable`.
        """
        self._forget()
        work, limit = (self._send, 1) if state == "waiting" else (self._answer, _AT_ONCE)
        wait = 0.0 if everything else PAUSES[-1] + LEASE
        postponed: list[QueuedMail] = []
        pauses: set[float] = set()
        claim = partial(self._rows().claim_mails, self._realm, state, early=early, wait=wait, lease=LEASE, limit=limit)
        while time.monotonic() < self.ends and (claimed := claim()):
            for mail in claimed:
                problem = work(mail)
                if problem is None:
                    continue
                pauses.add(_pause(mail))
                again = replace(mail, due_in=_pause(mail), claimed_for=0.0, reason=problem)
                if everything:
                    # It stays claimed until the end, so that this run does not find it again.
                    postponed.append(again)
                else:
                    self._rows().change_mail(again)
            if until is not None and time.monotonic() >= until:
                pauses.add(0.0)
                break
        for mail in postponed:
            self._rows().change_mail(mail)
        return pauses

    def renew(self) -> bool:
        """Prolong the claims on the mails that are being sent; False if there is none. Raises `StoreUnavailable`."""
        renewed = False
        for mail in self._leases.get().sending.copy():
            renewed = self._rows().change_mail(replace(mail, claimed_for=LEASE)) or renewed
        return renewed

    def _answer(self, mail: QueuedMail) -> str | None:
        """Answer a request, or say why it has to be tried again."""
        try:
            self.answer(mail)
        except Overtaken:
            return None
        except KeyboardInterrupt:
            raise
        except BaseException as problem:
            if not isinstance(problem, StoreUnavailable):
                _log.error("a request for a mail could not be answered: %s", without_message(problem))
            return self._again(mail, _reason(problem))
        return None

    def _send(self, mail: QueuedMail) -> str | None:
        """Send a mail and remove it, or say why it has to be tried again."""
        leases = self._leases.get()
        if (mail.key, mail.queued_at) not in leases.sent:
            try:
                message = self._compose(mail)
            except (StoreUnavailable, KeyboardInterrupt):
                raise
            except BaseException as problem:
                _log.error("a mail could not be composed: %s", without_message(problem))
                return self._again(mail, f"could not be composed ({type(problem).__qualname__})")
            leases.sending.add(mail)
            self._watch()
            try:
                if message is not None:
                    self._mailer.send(message)
            except BaseException as problem:
                # BaseException: asyncio.CancelledError, gevent.Timeout and what else a host app's mailer raises.
                return self._refused(mail, problem)
            finally:
                leases.sending.discard(mail)
        # This one first: if the process is killed before the row is gone, another process sends the mail again.
        leases.sent[mail.key, mail.queued_at] = mail
        self._remove(mail)
        return None

    def _forget(self) -> None:
        """Remove what was sent. A mail that could not be removed, because of an outage, is not sent again here."""
        for mail in list(self._leases.get().sent.values()):
            self._remove(mail)

    def _remove(self, mail: QueuedMail) -> None:
        self._rows().remove_mail(mail)
        # Another thread of the process may have removed it too.
        self._leases.get().sent.pop((mail.key, mail.queued_at), None)

    def _refused(self, mail: QueuedMail, problem: BaseException) -> str | None:
        """Give the mail up, or say why it has to be tried again."""
        reason = _reason(problem)
        if isinstance(problem, MailerError) and (problem.permanent or problem.unconfirmed):
            self._give_up(mail, reason)
            return None
        again = self._again(mail, reason)
        if again is not None:
            told = reason if isinstance(problem, MailerError) else without_message(problem)
            _log.warning("a mail to %s could not be sent and will be tried again: %s", mail.to, told)
        if isinstance(problem, KeyboardInterrupt):
            self._rows().change_mail(replace(mail, claimed_for=0.0, reason=reason))
            raise problem
        return again

    def _again(self, mail: QueuedMail, reason: str) -> str | None:
        if mail.tries < MAX_TRIES:
            return reason
        self._give_up(mail, reason)
        return None

    def _give_up(self, mail: QueuedMail, reason: str) -> None:
        failed = replace(mail, state="failed", due_in=0.0, claimed_for=0.0, reason=reason)
        if self._rows().change_mail(failed):
            _log.error("gave up on a mail to %s after %d tries: %s", mail.to, mail.tries, reason)
            self.report(failed)


class _Leases:
    """What this process is about to do: the mails that it sends now, and sent ones that it could not remove yet."""

    def __init__(self) -> None:
        self.sending: set[QueuedMail] = set()
        self.sent: dict[tuple[str, float], QueuedMail] = {}


def _pause(mail: QueuedMail) -> float:
    return PAUSES[min(mail.tries, len(PAUSES)) - 1]


def _reason(problem: BaseException) -> str:
    """Only a MailerError's text is safe to keep: another exception's text may hold the mail, and thus a link."""
    return str(problem) if isinstance(problem, MailerError) else type(problem).__qualname__


def _refuse(_: QueuedMail) -> None:
    raise LookupError("nothing answers requests; call `Outbox.serve` first")
