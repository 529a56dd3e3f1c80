"""The audit log in a database: `AuditLog` and `SealableLog`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import Event, Seal
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import event, seal
from nipo_auth_mw.stores._statements import plain, savepoint, storable

_COLUMNS = tuple(event.c[field.name] for field in fields(Event) if field.name != "position")
_SEAL = tuple(seal.c[field.name] for field in fields(Seal))
_APPEND = sa.insert(event).values({column.name: sa.bindparam(column.name) for column in _COLUMNS}).inline()
_TEXTS = ("email", "session", "client_address", "user_agent", "actor")
_POSITION = re.compile(r"(-?[0-9]{1,12}(?:\.[0-9]{1,6})?)_([0-9]{1,18})", re.ASCII)
_AT_ONCE = 500


class SQLAudit:
    """The audit log of `SQLStore`. No statement here changes an event; `remove_sealed` alone removes events, in whole
    sealed batches."""

    _db: Connections

    def append_event(self, new: Event) -> None:
        """See `AuditLog.append_event`."""
        texts = {name: plain(getattr(new, name)) for name in _TEXTS}
        details = json.dumps(dict(new.details), separators=(",", ":"))
        values = {"time": new.time.timestamp(), "event": new.event, "user_id": new.user_id, "details": details}
        self._db.write(_APPEND, **values, **texts, digest=new.digest)

    def events(
        self,
        *,
        user_id: str | None = None,
        email: str | None = None,
        event: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int = 50,
    ) -> Sequence[Event]:
        """See `AuditLog.events`."""
        if not storable(user_id, email, event):
            return []
        wanted: dict[str, Any] = {"user_id": user_id, "email": email, "event": event}
        wanted |= {"since": since and since.timestamp(), "until": until and until.timestamp()}
        if after:
            place = _POSITION.fullmatch(after)
            if place is None:
                return []
            wanted |= {"place": float(place[1]), "number": int(place[2])}
        given = {name: value for name, value in wanted.items() if value is not None}
        rows = self._db.look_up(_newest(tuple(given)), limit=max(limit, 0), **given)
        return [_event(row) for row in rows]

    def numbered_events(self, after: int, *, limit: int) -> Sequence[tuple[int, Event]]:
        """See `SealableLog.numbered_events`."""
        rows = self._db.read(sa.select(_ID, *_COLUMNS).where(after < _ID).order_by(_ID).limit(limit))
        return [(row[0], _event(row)) for row in rows]

    def seals(self, *, above: int = -1, after: int = 0, limit: int) -> Sequence[Seal]:
        """See `SealableLog.seals`."""
        wanted = sa.select(*_SEAL).where(seal.c.number > after, seal.c.last > above)
        return [_seal(row) for row in self._db.read(wanted.order_by(seal.c.number).limit(limit))]

    def last_seal(self) -> Seal | None:
        """See `SealableLog.last_seal`."""
        rows = self._db.read(sa.select(*_SEAL).order_by(seal.c.number.desc()).limit(1))
        return _seal(rows[0]) if rows else None

    def add_seal(self, new: Seal) -> bool:
        """See `SealableLog.add_seal`."""
        with self._db.writing() as connection:
            # SQLite's second writer waits for BEGIN IMMEDIATE and finds the first one's number here.
            if connection.execute(sa.select(seal.c.number).where(seal.c.number == new.number)).first():
                return False
            try:
                with savepoint(connection):
                    connection.execute(sa.insert(seal), _values(new))
            except sa.exc.IntegrityError:
                return False
        return True

    def remove_sealed(self, anchor: Seal) -> None:
        """See `SealableLog.remove_sealed`."""
        with self._db.writing() as connection:
            # No seal of this package has a number below 1, so an attacker wrote what such a seal names.
            ours = sa.and_(seal.c.number >= 1, seal.c.number <= anchor.number)
            old = connection.execute(sa.select(*_SEAL).where(ours)).all()
            # Of two sweeps at once, the slower one must not put an older anchor before the newer.
            if not connection.execute(sa.delete(seal).where(seal.c.number == anchor.number)).rowcount:
                return
            numbers = [number for row in old for number, _ in _seal(row).entries]
            for start in range(0, len(numbers), _AT_ONCE):
                connection.execute(sa.delete(event).where(_ID.in_(numbers[start : start + _AT_ONCE])))
            connection.execute(sa.delete(seal).where(seal.c.number <= anchor.number))
            connection.execute(sa.insert(seal), _values(anchor))


_TIME, _ID = event.c.time, event.c.id


_CONDITIONS: dict[str, Any] = {
    "user_id": event.c.user_id == sa.bindparam("user_id"),
    "email": event.c.email == sa.bindparam("email"),
    "event": event.c.event == sa.bindparam("event"),
    "since": sa.bindparam("since") <= _TIME,
    "until": sa.bindparam("until") > _TIME,
    # Implied by the next condition: no database derives the start of its index scan from an OR.
    "place": sa.bindparam("place") >= _TIME,
    "number": sa.or_(sa.bindparam("place") > _TIME, sa.bindparam("number") > _ID),
}


@cache
def _newest(given: tuple[str, ...]) -> sa.Select[Any]:
    """The query with these conditions. SQLAlchemy spends more time on building a statement than on running it."""
    chosen = sa.select(_ID, *_COLUMNS).where(*[_CONDITIONS[name] for name in given])
    limit = sa.bindparam("limit", type_=sa.Integer())
    # SQLAlchemy renders an OFFSET for SQLite in any case; a literal saves a parameter.
    return chosen.order_by(_TIME.desc(), _ID.desc()).limit(limit).offset(sa.literal_column("0"))


def _event(row: Sequence[Any]) -> Event:
    """The event of a row. A row that an attacker wrote into the table must be shown, and stop nothing."""
    number, time, name, user_id, email, session, address, agent, actor, details, digest = row
    moment, facts = _moment(time), _details(details)
    return Event(
        time=moment,
        event=str(name),
        user_id=user_id,
        email=str(email),
        session=str(session),
        client_address=str(address),
        user_agent=str(agent),
        actor=str(actor),
        details=facts,
        digest=str(digest),
        position=f"{moment.timestamp():.6f}_{number}",
    )


def _moment(time: Any) -> datetime:
    """The moment of a row; 1970 for a value that is none."""
    try:
        return datetime.fromtimestamp(time, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _details(text: Any) -> dict[str, Any]:
    """The details of a row; none for a text that is no JSON object."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _values(new: Seal) -> dict[str, Any]:
    return asdict(new) | {"entries": " ".join(f"{number}:{digest}" for number, digest in new.entries)}


def _seal(row: sa.Row[Any]) -> Seal:
    """The seal of a row, which an attacker may have written."""
    texts = {name: str(getattr(row, name)) for name in ("key", "chain", "proof")}
    return Seal(**row._asdict() | texts | {"entries": tuple(_pairs(str(row.entries)))})


def _pairs(text: str) -> Iterator[tuple[int, str]]:
    for pair in text.split():
        number, _, digest = pair.partition(":")
        yield (int(number) if number.isascii() and number.isdigit() and len(number) < 20 else -1), digest
