"""The history in a database: `AuditLog`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import Event
from nipo_auth_mw.stores.connections import Connections
from nipo_auth_mw.stores.schema import event
from nipo_auth_mw.stores.statements import plain, storable

_COLUMNS = tuple(event.c[field.name] for field in fields(Event))
_NEWEST = sa.select(*_COLUMNS).order_by(event.c.id.desc()).limit(sa.bindparam("limit", type_=sa.Integer()))
_NEWEST_OF = _NEWEST.where(event.c.user_id == sa.bindparam("user_id"))
_APPEND = sa.insert(event)
_TEXTS = ("email", "session", "client_address", "user_agent", "actor")


class SQLAudit:
    """The part of `SQLStore` that keeps the history; it holds no statement that changes or removes a row."""

    _db: Connections

    def append_event(self, new: Event) -> None:
        texts = {name: plain(getattr(new, name)) for name in _TEXTS}
        details = json.dumps(dict(new.details), separators=(",", ":"))
        values = {"time": new.time.timestamp(), "event": new.event, "user_id": new.user_id, "details": details}
        with self._db.writing() as connection:
            connection.execute(_APPEND, values | texts)

    def events(self, *, user_id: str | None = None, limit: int = 50) -> Sequence[Event]:
        if not storable(user_id):
            return []
        limit = max(limit, 0)
        of_one = user_id is not None
        rows = (
            self._db.read(_NEWEST_OF, user_id=user_id, limit=limit) if of_one else self._db.read(_NEWEST, limit=limit)
        )
        return [_event(row._asdict()) for row in rows]


def _event(row: dict[str, Any]) -> Event:
    time, details = datetime.fromtimestamp(row.pop("time"), UTC), json.loads(row.pop("details"))
    return Event(time=time, details=details, **row)
