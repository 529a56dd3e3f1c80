"""The history in a database: `AuditLog` and `SealableLog`."""

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
from nipo_auth_mw.stores.connections import Connections
from nipo_auth_mw.stores.schema import event, seal
from nipo_auth_mw.stores.statements import plain, savepoint, storable

_COLUMNS = tuple(event.c[field.name] for field in fields(Event) if field.name != "position")
_SEAL = tuple(seal.c[field.name] for field in fields(Seal))
_APPEND = sa.insert(event)
_TEXTS = ("email", "session", "client_address", "user_agent", "actor")
_POSITION = re.compile(r"(-?[0-9]{1,12}(?:\.[0-9]{1,6})?)_([0-9]{1,18})", re.ASCII)
_AT_ONCE = 500


class SQLAudit:
    """The part of `SQLStore` that keeps the history. It holds no statement that changes a row, and one that removes
    rows: whole sealed batches, past the time for which the history is kept."""

    _db: Connections

    def append_event(self, new: Event) -> None:
        texts = {name: plain(getattr(new, name)) for name in _TEXTS}
        details = json.dumps(dict(new.details), separators=(",", ":"))
        values = {"time": new.time.timestamp(), "event": new.event, "user_id": new.user_id, "details": details}
        with self._db.writing() as connection:
            connection.execute(_APPEND, values | texts | {"digest": new.digest})

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
        rows = self._db.read(sa.select(_ID, *_COLUMNS).where(after < _ID).order_by(_ID).limit(limit))
        return [(row[0], _event(row)) for row in rows]

    def seals(self, *, above: int = -1, after: int = 0, limit: int) -> Sequence[Seal]:
        wanted = sa.select(*_SEAL).where(seal.c.number > after, seal.c.last > above)
        return [_seal(row) for row in self._db.read(wanted.order_by(seal.c.number).limit(limit))]

    def last_seal(self) -> Seal | None:
        rows = self._db.read(sa.select(*_SEAL).order_by(seal.c.number.desc()).limit(1))
        return _seal(rows[0]) if rows else None

    def add_seal(self, new: Seal) -> bool:
        with self._db.writing() as connection:
            # Whoever comes second waits for the first and then finds its number.
            if connection.execute(sa.select(seal.c.number).where(seal.c.number == new.number)).first():
                return False
            try:
                with savepoint(connection):
                    connection.execute(sa.insert(seal), _values(new))
            except sa.exc.IntegrityError:
                return False
        return True

    def remove_sealed(self, anchor: Seal) -> None:
        with self._db.writing() as connection:
            old = connection.execute(sa.select(*_SEAL).where(seal.c.number <= anchor.number)).all()
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
    # Said twice, so that every database starts in the index at that time.
    "place": sa.bindparam("place") >= _TIME,
    "number": sa.or_(sa.bindparam("place") > _TIME, sa.bindparam("number") > _ID),
}


@cache
def _newest(given: tuple[str, ...]) -> sa.Select[Any]:
    """The question with these conditions: one statement each, since building one costs more than running it."""
    chosen = sa.select(_ID, *_COLUMNS).where(*[_CONDITIONS[name] for name in given])
    limit = sa.bindparam("limit", type_=sa.Integer())
    # SQLAlchemy writes an OFFSET for SQLite whether there is one or not; said so, it is no parameter.
    return chosen.order_by(_TIME.desc(), _ID.desc()).limit(limit).offset(sa.literal_column("0"))


def _event(row: Sequence[Any]) -> Event:
    number, time, name, user_id, email, session, address, agent, actor, details, digest = row
    return Event(
        time=datetime.fromtimestamp(time, UTC),
        event=name,
        user_id=user_id,
        email=email,
        session=session,
        client_address=address,
        user_agent=agent,
        actor=actor,
        details=json.loads(details),
        digest=digest,
        position=f"{time:.6f}_{number}",
    )


def _values(new: Seal) -> dict[str, Any]:
    return asdict(new) | {"entries": " ".join(f"{number}:{digest}" for number, digest in new.entries)}


def _seal(row: sa.Row[Any]) -> Seal:
    return Seal(**row._asdict() | {"entries": tuple(_pairs(row.entries))})


def _pairs(text: str) -> Iterator[tuple[int, str]]:
    for pair in text.split():
        number, _, digest = pair.partition(":")
        # Whatever somebody wrote there must not stop a verification.
        yield (int(number) if number.isascii() and number.isdigit() else -1), digest
