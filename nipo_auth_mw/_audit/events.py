"""The kinds of events, and the construction of one event that is safe to show."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum, auto
from typing import ClassVar, Protocol

from nipo_auth_mw.models import Client, Event, StoredSession, User, public_id
from nipo_auth_mw.protocols import Account

_LONGEST = 254
_LONGEST_ADDRESS = 64

Detail = str | int | float | bool


class EventGroup(StrEnum):
    """What an event is about. The audit page lists the kinds by group, in this order."""

    LOGIN = auto()
    PASSWORD = auto()
    PROFILE = auto()
    STAFF = auto()
    REFUSAL = auto()
    SYSTEM = auto()


class EventType:
    """One kind of event, declared beside the flow: `SIGNED_OUT = EventType("signed_out", EventGroup.LOGIN)`.

    `EventType.declared` holds all kinds by name; the audit page, the command line, the docs and the tests list them
    from there. Raises `ValueError` if a name is declared twice.
    """

    declared: ClassVar[dict[str, EventType]] = {}

    def __init__(self, name: str, group: EventGroup) -> None:
        if name in self.declared:
            raise ValueError(f"the event {name!r} is declared twice")
        self.name = name
        self.group = group
        self.declared[name] = self

    def __repr__(self) -> str:
        """The name of the kind."""
        return f"EventType({self.name!r})"


class Record(Protocol):
    """The function that records one event.

    `subject` is the account that the event is about, or its id. `email` is an address as typed, if it is not the
    account's address. `session` is the session that the event is about. `actor` is the id or name of the user or
    program that acted on another account. `at` is in seconds since the epoch; None means now. `details` are further
    facts.
    """

    def __call__(
        self,
        kind: EventType,
        *,
        subject: Account | User | str | None = None,
        client: Client | None = None,
        email: str | None = None,
        session: StoredSession | None = None,
        actor: str = "",
        at: float | None = None,
        **details: Detail,
    ) -> None:
        """Record one event of this kind. Raises `StoreUnavailable` inside a transaction."""


def make_event(
    kind: EventType,
    *,
    subject: Account | User | str | None = None,
    client: Client | None = None,
    email: str | None = None,
    session: StoredSession | None = None,
    actor: str = "",
    at: float | None = None,
    **details: Detail,
) -> Event:
    """The event, with everything that came from outside made safe to show.

    `Record` explains the parameters.
    """
    account = None if isinstance(subject, str) else subject
    if email is None:
        email = account.email if account else ""
    return Event(
        time=datetime.fromtimestamp(time.time() if at is None else at, UTC),
        event=kind.name,
        user_id=account.id if account else subject if isinstance(subject, str) else None,
        email=one_line(email),
        session=public_id(session) if session else "",
        client_address=one_line(client.address, _LONGEST_ADDRESS) if client else "",
        user_agent=one_line(client.user_agent) if client else "",
        actor=one_line(actor, _LONGEST_ADDRESS),
        details={key: one_line(value) if isinstance(value, str) else value for key, value in details.items()},
    )


def one_line(text: str, longest: int = _LONGEST) -> str:
    """The first `longest` characters of the text, with every control or separator character escaped.

    No input can forge a second line of a log, or steer a terminal (ASVS 5 16.4.1).
    """
    text = text[:longest]
    if text.isprintable():
        return text
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return safe[:longest]
