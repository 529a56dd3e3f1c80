"""The outbox: mails on their way, as rows of the store or, if the store keeps none, in the memory of the process.

No response waits for the mail server, and the time of a response does not reveal whether a mail was sent.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nipo_auth_mw._mail.delivery import LEASE, Delivery, Overtaken
from nipo_auth_mw._runtime.at_exit import at_exit, exit_at_sigterm
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw._runtime.periodic import PeriodicJob
from nipo_auth_mw._runtime.worker import Worker
from nipo_auth_mw.errors import MailerError, StoreUnavailable
from nipo_auth_mw.mailers._memory import MemoryMailer
from nipo_auth_mw.models import Message, QueuedMail
from nipo_auth_mw.protocols import Mailer, OutboxStore
from nipo_auth_mw.stores._memory_outbox import MemoryOutbox

_log = logging.getLogger("nipo_auth_mw")
# Composing and sending a mail takes milliseconds of the processor. After this delay the response has left, so its time
# does not reveal whether the account exists.
_DELAY = 0.1
# The pauses end by the store's clock. Two clocks that are adjusted without steps differ by less (adjtime: 1 in 2,000).
_SLACK = 1.001
_FIRST_LOOK = 1.0
_LOOK_EVERY = 10.0
_TURN = 5.0
_EXIT_SECONDS = 5.0
_MAX_ASKED = 10_000
_COUNT_EVERY = 128
_MAX_IN_MEMORY = 1000
_DEAD_LETTERS_LAST = 30 * 86400.0


class Outbox:
    """Queues mails, and sends them in the background: by the process that queued them, or by any other.

    A background thread sends; another one answers the requests of visitors, which takes no mail server, so requests for
    addresses without an account hold up no mail. Each process looks for mails that another one left behind, every ten
    seconds while requests arrive. When the process exits or gets SIGTERM, the outbox sends first, for at most five
    seconds; if the store keeps the mails, it begins none in the second half of them. A `MemoryMailer` gets its mail at
    once, so that a test finds the mail when the response is there.

    `store` is None if the session store is no `OutboxStore`: then mails wait in the memory of each process.
    """

    def __init__(
        self,
        mailer: Mailer | None,
        store: OutboxStore | None,
        worker: Worker,
        compose: Callable[[QueuedMail], Message | None],
        *,
        realm: str = "",
    ) -> None:
        self._mailer = mailer
        self._store = store
        self._memory = PerProcess(MemoryOutbox)
        self._batches = PerProcess(threading.local)
        self._answering, self._sending = Worker(), Worker()
        self._one_at_a_time = threading.RLock()
        self._asked = itertools.count(1)
        self._too_many_asked = False
        self._exit_until: float | None = None
        self._looking = PeriodicJob(self._answering, self._look, after=_LOOK_EVERY, every=_LOOK_EVERY)
        worker.on_submit(self.trigger)
        self._renewing = PerProcess(lambda: PeriodicJob(self._answering, self._renew, after=LEASE / 4, every=LEASE / 4))
        if mailer is None:
            return
        self._delivery = Delivery(mailer, lambda: self.rows, realm, compose, lambda: self._renewing.get().trigger())
        if not self._at_once():
            _warn_of_uwsgi()
            at_exit(self._finish)
            exit_at_sigterm()

    def serve(self, answer: Callable[[QueuedMail], None], report: Callable[[QueuedMail], None]) -> None:
        """Set what answers a request, and what is told of a mail that was given up. See `Delivery`."""
        if self._mailer is not None:
            self._delivery.answer, self._delivery.report = answer, report

    @property
    def sends(self) -> bool:
        """Whether there is a mailer."""
        return self._mailer is not None

    def send_now(self, message: Message) -> None:
        """Hand one mail to the mailer, past the queue. Raises `MailerError`, also for another failure of the mailer."""
        self._with_mailer(lambda mailer: mailer.send(message))

    def check_mailer(self) -> bool:
        """Let the mailer reach its server without a mail; False if it has no method `check`. Raises `MailerError`."""
        can = callable(getattr(self._mailer, "check", None))
        if can:
            self._with_mailer(lambda mailer: mailer.check())
        return can

    def _with_mailer(self, work: Callable[[Any], object]) -> None:
        """Call the mailer. Raises `MailerError`, also for another failure of the mailer."""
        if self._mailer is None:
            raise MailerError("there is no mailer", permanent=True)
        try:
            work(self._mailer)
        except MailerError:
            raise
        except Exception as problem:
            raise MailerError(f"the mailer failed ({type(problem).__name__})") from None

    @property
    def sender(self) -> str:
        """The sender's address, or "" if the mailer has no `sender`."""
        return str(getattr(self._mailer, "sender", None) or "")

    @property
    def is_full(self) -> bool:
        """Whether further mails, or requests for mails, are dropped now, because so many wait."""
        full = self._store is None and self.rows.count_mails("waiting") >= _MAX_IN_MEMORY
        return self._too_many_asked or full

    @property
    def is_durable(self) -> bool:
        """Whether the store keeps the mails."""
        return self._store is not None

    @property
    def rows(self) -> OutboxStore:
        """The store of the mails; without one, the memory of this process."""
        return self._memory.get() if self._store is None else self._store

    def put(self, *mails: QueuedMail) -> None:
        """Queue mails, in the transaction of this thread if one is open. Raises `StoreUnavailable`.

        A request takes the same time whether a mail comes of it or not.
        """
        if self._mailer is None:
            return
        taken = [mail for mail in mails if self._has_room(mail)]
        with self.transaction():
            self._do(lambda: self.rows.add_mails(taken), *[mail.state for mail in taken])

    def settle(self, mail: QueuedMail) -> None:
        """Remove a claimed request in the transaction of this thread. Raises `Overtaken` if another process has claimed
        it since."""

        def remove() -> None:
            if not self.rows.remove_mail(mail):
                raise Overtaken

        self._do(remove)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Send what this thread queues inside after the `with`, and nothing if an exception leaves it.

        A nested one joins the outer one. The store's own transaction has to end before this one.
        """
        local: Any = self._batches.get()
        if getattr(local, "batch", None) is not None:
            yield
            return
        batch = local.batch = _Batch()
        try:
            yield
        finally:
            local.batch = None
        for do in batch.later:
            do()
        if batch.states:
            self._wake(batch.states)

    def _do(self, write: Callable[[], None], *states: str) -> None:
        """Write to the store now, since its transaction is open; to the memory, which has none, at the end."""
        batch = self._batches.get().batch
        if self._store is None:
            batch.later.append(write)
        else:
            write()
        batch.states.update(states)

    def begin(self) -> None:
        """Look at the mails that other processes have left behind, at the first request of a process."""
        if self.sends and not self._at_once():
            for state in ("asked", "waiting"):
                self._submit(state, _FIRST_LOOK)

    def trigger(self) -> None:
        """Ask for such a look again. Costs next to nothing."""
        if self.sends and not self._at_once():
            self._looking.trigger()

    def flush(self, timeout: float) -> bool:
        """Try every mail once, now. False if any is left after that, or after `timeout` seconds."""
        if self._mailer is None:
            return True
        until = time.monotonic() + timeout
        for state, worker in (("asked", self._answering), ("waiting", self._sending)):
            worker.submit(partial(self._run, state, everything=True, until=until))
            worker.flush(until - time.monotonic())
        try:
            return not any(self.rows.count_mails(state) for state in ("asked", "waiting"))
        except StoreUnavailable:
            return False

    def deliver(self) -> None:
        """Work on the mails that are due, on this thread. Raises `StoreUnavailable`."""
        for state in ("asked", "waiting"):
            self._delivery.run(state)

    def prune(self) -> None:
        """Remove mails that were given up thirty days ago. Raises `StoreUnavailable`."""
        self.rows.prune_mails("failed", time.time() - _DEAD_LETTERS_LAST)

    def due_in(self) -> float:
        """Seconds after which a mail that is queued now may be worked on."""
        return 0.0 if self._at_once() else _DELAY

    def _at_once(self) -> bool:
        # Not isinstance: a test's subclass that is slow or fails must be queued like any other mailer.
        return getattr(getattr(self._mailer, "send", None), "__func__", None) is MemoryMailer.send

    def _has_room(self, mail: QueuedMail) -> bool:
        """Whether the outbox takes the mail. A flood of requests must not fill the store, nor mails the memory."""
        if mail.state == "asked":
            if next(self._asked) % _COUNT_EVERY == 0:
                self._too_many_asked = self.rows.count_mails("asked") >= _MAX_ASKED
                if self._too_many_asked:
                    _log.error("requests for mails are dropped, because %d wait", _MAX_ASKED)
            return not self._too_many_asked
        if self._store is None and self.rows.count_mails("waiting") >= _MAX_IN_MEMORY:
            _log.error("gave up on a mail, because %d mails are waiting", _MAX_IN_MEMORY)
            return False
        return True

    def _wake(self, states: set[str]) -> None:
        if self._at_once():
            with self._one_at_a_time:
                self._run("asked")
                self._run("waiting")
            return
        for state in states:
            self._submit(state, _DELAY * 1.1)

    def _submit(self, state: str, after: float) -> None:
        worker = self._sending if state == "waiting" else self._answering
        worker.submit(lambda: self._run(state), after=after)

    def _run(self, state: str, *, everything: bool = False, until: float | None = None) -> None:
        """Work on the mails of one state, and come back for those that have to be tried again."""
        early = 0.0
        if self._exit_until is not None:
            # What is in the store and waits for another try is left to other processes: a server that ends its workers
            # often must not use up the tries.
            everything, early, until = not self.is_durable, _DELAY * 2, self._exit_until
        elif state == "asked" and until is None:
            # A flood of requests must not hold up the renewal of claims, which is on the same thread.
            until = time.monotonic() + _TURN
        try:
            pauses = self._delivery.run(state, everything=everything, early=early, until=until)
        except StoreUnavailable:
            _log.warning("the store cannot be reached, so mails wait")
            pauses = {_LOOK_EVERY}
        if not self._at_once() and self._exit_until is None:
            for pause in pauses:
                self._submit(state, pause * _SLACK)

    def _look(self) -> None:
        self._submit("waiting", 0.0)
        self._run("asked")

    def _renew(self) -> bool:
        return self._delivery.renew()

    def _finish(self) -> None:
        """Send what waits, before the process ends."""
        self._exit_until = time.monotonic() + _EXIT_SECONDS
        # The second half is left to the mail that is being sent: a mail that is cut after its data is sent again. The
        # limit stays, since a thread that is still sending must not go on. Mails in memory have no other process.
        self._delivery.ends = self._exit_until - (_EXIT_SECONDS / 2 if self.is_durable else 0.0)
        done = True
        for worker in (self._answering, self._sending):
            done = worker.flush(max(0.0, self._exit_until - time.monotonic())) and done
        self._exit_until = None
        if not done and not self.is_durable:
            _log.error("the process ends before all mails were sent")


def _warn_of_uwsgi() -> None:
    """Warn of uWSGI's defaults: without threads no background job runs, and a fork of which Python is not told leaves
    workers that wait for threads of the process that built the app."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        return
    given = {name.decode() if isinstance(name, bytes) else name for name in getattr(uwsgi, "opt", {})}
    if not {"enable-threads", "threads"} & given:
        _log.warning("uWSGI runs without threads, so no mail will be sent. Set enable-threads = true.")
    forks = {"master", "processes", "workers"} & given
    if forks and not {"lazy", "lazy-apps", "py-call-uwsgi-fork-hooks"} & given:
        _log.warning("uWSGI loads the app before it forks, so a worker may hang. Set lazy-apps = true.")


class _Batch:
    """What one transaction has queued: writes to the memory, and the states of the mails."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.states: set[str] = set()
