"""Mails on their way out: a queue, so that no answer waits for a mail server, or tells by its time that a mail left."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from nipo_auth_mw.errors import MailerError
from nipo_auth_mw.mailers.memory import MemoryMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.parts.worker import Worker
from nipo_auth_mw.protocols import Mailer

_log = logging.getLogger("nipo_auth_mw")
_PAUSES = (5.0, 30.0, 120.0, 600.0)
_MOST = 1000
_LAST_SECONDS = 5.0
# Composing and sending take the processor for milliseconds. By then the answer has left, so its time does not tell
# whether there is somebody to write to.
_MOMENT = 0.1

Compose = Callable[[], Message | None]


class Outbox:
    """Composes and sends in the background, with four more tries after a failure.

    A `MemoryMailer` is handed its mail at once, so that a test finds it when the request is answered. Sends what waits
    when the process ends or is terminated. Safe when built before a fork.
    """

    def __init__(self, mailer: Mailer | None) -> None:
        self._mailer = mailer
        self._worker = Worker()
        if mailer is not None and not self._at_once():
            _warn_without_threads()
            _send_before_the_end(self._worker)

    @property
    def sends(self) -> bool:
        """Whether there is a mailer."""
        return self._mailer is not None

    @property
    def sender(self) -> str:
        """The address that mails come from, "" when the mailer does not say."""
        return str(getattr(self._mailer, "sender", None) or "")

    def put(self, compose: Compose) -> None:
        """Send what `compose` makes, if anything. Never raises, and takes as long for a mail as for none."""
        if self._mailer is None:
            return
        if self._at_once():
            self._make(compose)
        elif len(self._worker) >= _MOST:
            _log.error("gave up on a mail: %d are waiting already", _MOST)
        else:
            self._worker.submit(lambda: self._make(compose), after=_MOMENT)

    def flush(self, timeout: float) -> bool:
        """Try everything that waits once, now; False if anything is left after that or after `timeout` seconds."""
        return self._worker.flush(timeout)

    def _at_once(self) -> bool:
        # Not by isinstance: a test's slow or failing subclass is to be queued like any mailer.
        return getattr(getattr(self._mailer, "send", None), "__func__", None) is MemoryMailer.send

    def _make(self, compose: Compose) -> None:
        try:
            message = compose()
        except Exception:
            _log.exception("a mail could not be written")
            return
        if message is not None:
            self._send(message, 0)

    def _send(self, message: Message, failures: int) -> None:
        if self._mailer is None:
            return
        try:
            self._mailer.send(message)
        except Exception as problem:
            # Of a failure the log gets its kind: a mailer's own words may hold the mail, and with it a link.
            words = str(problem) if isinstance(problem, MailerError) else type(problem).__qualname__
            permanent = isinstance(problem, MailerError) and problem.permanent
            if permanent or failures >= len(_PAUSES):
                _log.error("gave up on a mail to %s after %d tries: %s", message.to, failures + 1, words)
                return
            _log.warning("a mail to %s could not be sent, trying again: %s", message.to, words)
            self._worker.submit(lambda: self._send(message, failures + 1), after=_PAUSES[failures])


def _warn_without_threads() -> None:
    """uWSGI starts Python without threads unless it is told to; then nothing of ours runs in the background."""
    uwsgi: Any = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", {})
    if uwsgi is not None and not {"enable-threads", "threads", b"enable-threads", b"threads"} & options.keys():
        _log.warning("uWSGI runs without threads, so mails will not be sent; set enable-threads = true")


def _send_before_the_end(worker: Worker) -> None:
    flush = weakref.WeakMethod(worker.flush)

    def last_words() -> None:
        flushing = flush()
        if flushing is not None and not flushing(_LAST_SECONDS):
            _log.error("the process ends with mails that could not be sent")

    atexit.register(last_words)
    if threading.current_thread() is not threading.main_thread():
        return
    present = signal.getsignal(signal.SIGTERM)
    # A server with a handler of its own ends in its own time, and then the line above does it.
    if present is signal.SIG_DFL or isinstance(present, _FlushFirst):
        signal.signal(signal.SIGTERM, _FlushFirst(last_words, present))


class _FlushFirst:
    """What SIGTERM does where it would end the process at once: the mails leave, then the process ends by it."""

    def __init__(self, last_words: Callable[[], None], then: Any) -> None:
        self._last_words = last_words
        self._then = then

    def __call__(self, number: int, frame: Any) -> None:
        self._last_words()
        if callable(self._then):
            self._then(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
