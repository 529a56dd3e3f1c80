"""The outbox: a queue of mails, in memory.

No response waits for the mail server, and the time of a response does not reveal whether a mail was sent.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw.errors import MailerError
from nipo_auth_mw.mailers._memory import MemoryMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.protocols import Mailer

_log = logging.getLogger("nipo_auth_mw")
_PAUSES = (5.0, 30.0, 120.0, 600.0)
_MAX_WAITING = 1000
_EXIT_SECONDS = 5.0
# Composing and sending a mail takes milliseconds of the processor. After this delay the response has left, so its time
# does not reveal whether the account exists.
_DELAY = 0.1

Compose = Callable[[], Message | None]


class Outbox:
    """Composes and sends mails in the background. After a failure it tries four more times, within about 13 minutes.

    When the process exits or gets SIGTERM, the outbox sends the waiting mails first, for at most five seconds. A
    `MemoryMailer` gets its mail at once, so that a test finds the mail when the response is there. The outbox may be
    built before the server forks: each process has a queue of its own.
    """

    def __init__(self, mailer: Mailer | None) -> None:
        self._mailer = mailer
        self._worker = Worker()
        if mailer is not None and not self._at_once():
            _warn_without_threads()
            _flush_at_exit(self._worker)

    @property
    def sends(self) -> bool:
        """Whether there is a mailer."""
        return self._mailer is not None

    @property
    def sender(self) -> str:
        """The sender's address, or "" if the mailer has no `sender`."""
        return str(getattr(self._mailer, "sender", None) or "")

    @property
    def is_full(self) -> bool:
        """Whether so many mails wait that no other is taken."""
        return len(self._worker) >= _MAX_WAITING

    def put(self, compose: Compose) -> None:
        """Queue the mail that `compose` returns; None sends nothing. Never raises.

        Takes the same time in both cases. Drops the mail, with an error in the log, if 1000 mails are waiting.
        """
        if self._mailer is None:
            return
        if self._at_once():
            self._make(compose)
        elif self.is_full:
            _log.error("gave up on a mail, because %d mails are waiting", _MAX_WAITING)
        else:
            self._worker.submit(lambda: self._make(compose), after=_DELAY)

    def flush(self, timeout: float) -> bool:
        """Try every waiting mail once, now. False if any is left after that, or after `timeout` seconds."""
        return self._worker.flush(timeout)

    def _at_once(self) -> bool:
        # Not isinstance: a test's subclass that is slow or fails must be queued like any other mailer.
        return getattr(getattr(self._mailer, "send", None), "__func__", None) is MemoryMailer.send

    def _make(self, compose: Compose) -> None:
        try:
            message = compose()
        except Exception:
            _log.exception("a mail could not be composed")
            return
        if message is not None:
            self._send(message, 0)

    def _send(self, message: Message, failures: int) -> None:
        if self._mailer is None:
            return
        try:
            self._mailer.send(message)
        except Exception as problem:
            # Only a MailerError's text is safe to log: another exception's text may hold the mail, and thus a link.
            reason = str(problem) if isinstance(problem, MailerError) else type(problem).__qualname__
            permanent = isinstance(problem, MailerError) and problem.permanent
            if permanent or failures >= len(_PAUSES):
                _log.error("gave up on a mail to %s after %d tries: %s", message.to, failures + 1, reason)
                return
            _log.warning("a mail to %s could not be sent and will be tried again: %s", message.to, reason)
            self._worker.submit(lambda: self._send(message, failures + 1), after=_PAUSES[failures])


def _warn_without_threads() -> None:
    """Warn if uWSGI runs Python without threads, which is its default: then no background job runs."""
    uwsgi: Any = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", {})
    if uwsgi is not None and not {"enable-threads", "threads", b"enable-threads", b"threads"} & options.keys():
        _log.warning("uWSGI runs without threads, so no mail will be sent. Set enable-threads = true.")


def _flush_at_exit(worker: Worker) -> None:
    """Send the waiting mails when the process exits, and on SIGTERM if that would end the process without `atexit`."""
    weak_flush = weakref.WeakMethod(worker.flush)

    def flush() -> None:
        alive = weak_flush()
        if alive is not None and not alive(_EXIT_SECONDS):
            _log.error("the process ends before all mails were sent")

    atexit.register(flush)
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGTERM)
    # A server with a handler of its own exits by itself, and then `atexit` calls `flush`.
    if previous is signal.SIG_DFL or isinstance(previous, _FlushThenTerminate):
        # A sub-interpreter (mod_wsgi, uWSGI) may not set handlers; ending it calls `atexit`.
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, _FlushThenTerminate(flush, previous))


class _FlushThenTerminate:
    """A handler of SIGTERM: it sends the waiting mails, then calls the previous handler or ends the process."""

    def __init__(self, flush: Callable[[], None], previous: Any) -> None:
        self._flush = flush
        self._previous = previous

    def __call__(self, number: int, frame: Any) -> None:
        self._flush()
        if callable(self._previous):
            self._previous(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
