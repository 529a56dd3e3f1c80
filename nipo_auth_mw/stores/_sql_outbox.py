"""The mails on their way, in a database: `OutboxStore`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import QueuedMail
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import outbox
from nipo_auth_mw.stores._statements import attributes_text, clock_of, plain, storable, upsert_rows

_TIMES = (outbox.c.due_at, outbox.c.claimed_until)
_COLUMNS: tuple[sa.Column[Any], ...] = tuple(column for column in outbox.columns if column not in set(_TIMES))
_OF_CLAIM = (
    outbox.c.key == sa.bindparam("of_key"),
    outbox.c.queued_at == sa.bindparam("of_queued_at"),
    outbox.c.tries == sa.bindparam("of_tries"),
)
_REMOVE = sa.delete(outbox).where(*_OF_CLAIM)
_SKIPS_LOCKED = (10, 6)
"""The first MariaDB that skips locked rows. An older one waits for them, which is slower and as correct."""


class SQLOutbox:
    """The mails of `SQLStore`."""

    _db: Connections

    def add_mails(self, mails: Sequence[QueuedMail]) -> None:
        """See `OutboxStore.add_mails`."""
        rows = [_row(mail) for mail in mails]
        if rows:
            with self._db.writing():
                for row in rows:
                    self._db.write(self._outbox.add, **row, **self._now)

    def claim_mails(
        self, realm: str, state: str, *, early: float, wait: float, lease: float, limit: int
    ) -> Sequence[QueuedMail]:
        """See `OutboxStore.claim_mails`."""
        free = {"of_realm": realm, "of_state": state, "early": early, "wait": wait, "twice": 2 * lease, **self._now}
        # A look that finds nothing takes no lock.
        if not self._db.look_up(self._outbox.free, **free, most=1):
            return ()
        with self._db.writing():
            rows = self._db.look_up(self._outbox.claimable, **free, most=limit)
            claimed = [replace(mail, claimed_for=lease, tries=mail.tries + 1) for mail in map(_mail, rows)]
            if claimed:
                keys = {f"key_{number}": mail.key for number, mail in enumerate(claimed)}
                self._db.write(self._outbox.claim_of(len(claimed)), **keys, lease=lease, **self._now)
        return claimed

    def change_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.change_mail`."""
        changed = {"new_state": mail.state, "new_reason": plain(mail.reason), **self._now}
        times = {"due_in": mail.due_in, "claimed_for": mail.claimed_for}
        return storable(mail.key) and self._db.write(self._outbox.change, **_of_claim(mail), **changed, **times)

    def remove_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.remove_mail`."""
        return storable(mail.key) and self._db.repeatable(_REMOVE, **_of_claim(mail))

    def mails(self, *, state: str | None = None, limit: int) -> Sequence[QueuedMail]:
        """See `OutboxStore.mails`."""
        found = self._outbox.rows.order_by(outbox.c.queued_at, outbox.c.key).limit(max(limit, 0))
        wanted = found if state is None else found.where(outbox.c.state == state)
        return [_mail(row) for row in self._db.read(wanted, **self._now)]

    def count_mails(self, state: str) -> int:
        """See `OutboxStore.count_mails`."""
        rows = self._db.read(sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == state))
        return int(rows[0][0]) if rows else 0

    def prune_mails(self, state: str, queued_before: float) -> None:
        """See `OutboxStore.prune_mails`."""
        self._db.change(sa.delete(outbox).where(outbox.c.state == state, outbox.c.queued_at < queued_before))

    @property
    def _now(self) -> dict[str, float]:
        """The moment that the statements take for an SQLite file, which has no clock: that of its machine since the
        start. It is the same in all processes, and no step of the time of day moves it."""
        return {"now": time.monotonic()} if self._db.engine.dialect.name == "sqlite" else {}

    @cached_property
    def _outbox(self) -> _Statements:
        return _Statements(self._db.engine)


class _Statements:
    """The statements for one database, with its clock. SQLAlchemy spends more time on building one than on running it.

    `due_in`, `claimed_for`, `early`, `wait` and `lease` are seconds from now, and `twice` is twice the lease.
    """

    def __init__(self, engine: sa.Engine) -> None:
        now, seconds = clock_of(engine), partial(sa.bindparam, type_=sa.Double())
        times = {"due_at": now + seconds("due_in"), "claimed_until": now + seconds("claimed_for")}
        values: dict[str, Any] = {column.name: sa.bindparam(column.name) for column in _COLUMNS}
        names = [column.name for column in outbox.columns if not column.primary_key]
        self.add = upsert_rows(
            engine.dialect.name, outbox, [{**values, **times}], lambda new: [(name, new[name]) for name in names]
        )
        due = sa.or_(outbox.c.due_at <= now + seconds("early"), outbox.c.due_at > now + seconds("wait"))
        unclaimed = sa.or_(outbox.c.claimed_until <= now, outbox.c.claimed_until > now + seconds("twice"))
        of_state = outbox.c.state == sa.bindparam("of_state"), outbox.c.realm == sa.bindparam("of_realm")
        free = (*of_state, due, unclaimed)
        # SQLAlchemy would write an offset of its own for SQLite, as a parameter without a name.
        most: Any = sa.bindparam("most")
        skip: Any = sa.literal_column("0")
        self.free = sa.select(outbox.c.key).where(*free).limit(most).offset(skip)
        self.rows = sa.select(*_COLUMNS, *[moment - now for moment in _TIMES])
        first = self.rows.where(*free).order_by(outbox.c.due_at, outbox.c.key).limit(most).offset(skip)
        self._first, self._engine = first, engine
        tries = outbox.c.tries + sa.literal_column("1")
        self._claim = sa.update(outbox).values(claimed_until=now + seconds("lease"), tries=tries)
        self._claims: dict[int, sa.ClauseElement] = {}
        changed: dict[str, Any] = {"state": sa.bindparam("new_state"), "reason": sa.bindparam("new_reason")}
        self.change = sa.update(outbox).where(*_OF_CLAIM).values(**changed, **times)

    def claim_of(self, many: int) -> sa.ClauseElement:
        """The statement that claims this many mails."""
        if many not in self._claims:
            keys: list[Any] = [sa.bindparam(f"key_{number}") for number in range(many)]
            self._claims[many] = self._claim.where(outbox.c.key.in_(keys))
        return self._claims[many]

    @cached_property
    def claimable(self) -> sa.Select[Any]:
        """Locks what it finds, and is asked for after the first connection, which knows the version of the server."""
        version: Any = self._engine.dialect.server_version_info
        skips = self._engine.dialect.name != "mariadb" or tuple(version[:2]) >= _SKIPS_LOCKED
        return self._first.with_for_update(skip_locked=skips)


def _of_claim(mail: QueuedMail) -> dict[str, Any]:
    return {"of_key": mail.key, "of_queued_at": mail.queued_at, "of_tries": mail.tries}


def _row(mail: QueuedMail) -> dict[str, Any]:
    row = asdict(replace(mail, facts={}))
    row["recipient"] = row.pop("to")
    return {**row, "facts": attributes_text(mail.facts), "reason": plain(mail.reason)}


def _mail(row: Any) -> QueuedMail:
    key, realm, state, kind, user_id, to, facts, queued_at, tries, reason, *times = row
    due_in, claimed_for = (max(0.0, seconds) for seconds in times)
    return QueuedMail(
        key, realm, state, kind, user_id, to, json.loads(facts), queued_at, due_in, claimed_for, tries, reason
    )
