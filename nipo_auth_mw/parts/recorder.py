"""The one way into the audit log, and to the host's listeners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.models import Client, Event
from nipo_auth_mw.parts.seals import Seals
from nipo_auth_mw.parts.signing import Keyed
from nipo_auth_mw.protocols import AuditLog, Listener, Transactional

_log = logging.getLogger("nipo_auth_mw")
_LONGEST = 254

Record = Callable[[Event], None]


def one_line(text: str, longest: int = _LONGEST) -> str:
    """The text cut and with every control or separator character escaped, so that no input can forge a second line or
    steer a terminal (ASVS 5 16.4.1)."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[:longest])
    return safe[:longest]


def event(
    name: str,
    *,
    time: float,
    client: Client | None = None,
    user_id: str | None = None,
    email: str = "",
    session: str = "",
    actor: str = "",
    details: Mapping[str, str | int | float | bool] | None = None,
) -> Event:
    """An event with everything that came from outside made safe to show. `time` is seconds since the epoch."""
    return Event(
        time=datetime.fromtimestamp(time, UTC),
        event=name,
        user_id=user_id,
        email=one_line(email),
        session=session,
        client_address=one_line(client.address, 64) if client else "",
        user_agent=one_line(client.user_agent) if client else "",
        actor=one_line(actor, 64),
        details={key: one_line(value) if isinstance(value, str) else value for key, value in (details or {}).items()},
    )


class Recorder:
    """Writes events, each with its digest. `stores` are all stores a use case may write to, so that its rows become one
    with its changes. `then` is called after each event."""

    def __init__(
        self,
        audit: AuditLog,
        listeners: Sequence[Listener],
        stores: Sequence[object],
        masks: Keyed,
        seals: Seals,
        then: Callable[[], None],
    ) -> None:
        self._audit = audit
        self._seals = seals
        self._then = then
        self._listeners = tuple(listeners)
        unique = {id(store): store for store in [*stores, audit]}
        self._stores = tuple(store for store in unique.values() if isinstance(store, Transactional))
        self._masks = masks

    def masked(self, typed: str) -> str:
        """What is kept of a text that belongs to no account: people type passwords into the wrong box. The same text
        gives the same mask, so that repeated attempts can be told apart from many."""
        return f"***{self._masks.digest(typed)[:8]}" if typed else ""

    def record(self, event: Event) -> None:
        """Write one row, best effort: a sign-in does not fail because its row could not be written."""
        try:
            self._audit.append_event(self._seals.signed(event))
        except StoreUnavailable:
            _log.error("the audit log is out of reach; lost the event %s of account %s", event.event, event.user_id)
        self._tell(event)

    @contextmanager
    def transaction(self) -> Iterator[Record]:
        """Changes and their rows become one: whole, or not at all (ASVS 5 2.3.3, 16.5.3).

        Listeners hear of them afterwards.
        """
        done: list[Event] = []

        def record(event: Event) -> None:
            self._audit.append_event(self._seals.signed(event))
            done.append(event)

        with ExitStack() as stack:
            for store in self._stores:
                stack.enter_context(store.transaction())
            yield record
        for event in done:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        self._then()
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                _log.exception("a listener failed on the event %s", event.event)
