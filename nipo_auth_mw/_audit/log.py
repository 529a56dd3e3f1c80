"""The only way into the audit log, and to the listeners of the host app."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from nipo_auth_mw._audit.events import EventType, Record, make_event
from nipo_auth_mw._audit.seals import Seals
from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import Event
from nipo_auth_mw.protocols import AuditLog, Listener, Transactional

_log = logging.getLogger("nipo_auth_mw")


class EventNotWritten(StoreUnavailable):
    """An event of a transaction could not be written, so nothing of the transaction is."""


class EventLog:
    """Records events, each with its digest, and calls the listeners.

    `stores` are all stores that a flow writes to, so that its changes and their events become one transaction. The
    first one's begins first and ends last: the outbox sends what the others have committed. `masks` keys the masks of
    typed text. `then` is called after each event.
    """

    def __init__(
        self,
        audit: AuditLog,
        listeners: Sequence[Listener],
        stores: Sequence[object],
        masks: KeyedDigests,
        seals: Seals,
        then: Callable[[], None],
    ) -> None:
        self._audit = audit
        self._seals = seals
        self._then = then
        self._listeners = tuple(listeners)
        unique = {id(store): store for store in [*stores, audit]}
        self._stores = tuple(store for store in unique.values() if offers(store, Transactional))
        self._open = PerProcess(threading.local)
        self._masks = masks

    def masked(self, typed: str) -> str:
        """The mask of a text that names no account, since users type passwords into the wrong field (ASVS 5 16.2.5).

        The same text always gets the same mask. A reader can thus tell many attempts with one text from attempts with
        many texts.
        """
        return f"***{self._masks.digest(typed)[:8]}" if typed else ""

    def record(self, kind: EventType, **facts: Any) -> None:
        """Record one event, best effort: a sign-in does not fail because its event could not be written.

        `Record` explains the parameters.
        """
        event = make_event(kind, **facts)
        try:
            self._append(event)
        except StoreUnavailable:
            _log.error(
                "the audit log cannot be reached; the event %s of account %s is lost", event.event, event.user_id
            )
        self._tell(event)

    @contextmanager
    def transaction(self) -> Iterator[Record]:
        """Write changes and their events in one transaction: all of them, or none (ASVS 5 2.3.3, 16.5.3).

        The `with` statement gives the function that records. Listeners are called after the transaction. A nested one
        joins the outer one. Raises `EventNotWritten` if an event is what could not be written, and `StoreUnavailable`
        for any other outage.
        """
        local: Any = self._open.get()
        outer: list[Event] | None = getattr(local, "done", None)
        done: list[Event] = [] if outer is None else outer

        def record(kind: EventType, **facts: Any) -> None:
            event = make_event(kind, **facts)
            try:
                self._append(event)
            except StoreUnavailable:
                raise EventNotWritten("the audit log cannot be reached") from None
            done.append(event)

        if outer is not None:
            yield record
            return
        local.done = done
        try:
            with ExitStack() as stack:
                for store in self._stores:
                    stack.enter_context(store.transaction())
                yield record
        finally:
            local.done = None
        for event in done:
            self._tell(event)

    def covers(self, *stores: object) -> bool:
        """Whether `transaction` makes the writes to these stores atomic."""
        return all(any(store is one for one in self._stores) for store in stores)

    def _append(self, event: Event) -> None:
        """Write the event with its digest. Raises `StoreUnavailable`."""
        self._audit.append_event(self._seals.signed(event))

    def _tell(self, event: Event) -> None:
        """Call each listener; a failure of the host app's code is logged and changes nothing."""
        self._then()
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                _log.exception("a listener failed on the event %s", event.event)
