"""The mails on their way, in a database: `OutboxStore`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import QueuedMail
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import outbox
from nipo_auth_mw.stores._statements import attributes_text, clock_of, plain, replacing_insert, storable

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
            times = {"due_at": self._now + _of_row("due_in"), "claimed_until": self._now + _of_row("claimed_for")}
            with self._db.writing() as connection:
                connection.execute(replacing_insert(connection.dialect.name, outbox).values(times), rows)

    def claim_mails(
        self, realm: str, state: str, *, early: float, wait: float, lease: float, limit: int
    ) -> Sequence[QueuedMail]:
        """See `OutboxStore.claim_mails`."""
        now = self._now
        free = (
            *(outbox.c.state == state, outbox.c.realm == realm),
            sa.or_(outbox.c.due_at <= now + early, outbox.c.due_at > now + wait),
            sa.or_(outbox.c.claimed_until <= now, outbox.c.claimed_until > now + 2 * lease),
        )
        # A look that finds nothing takes no lock.
        if not self._db.read(sa.select(outbox.c.key).where(*free).limit(1)):
            return ()
        first = self._rows().where(*free).order_by(outbox.c.due_at, outbox.c.key).limit(limit)
        with self._db.writing() as connection:
            rows = connection.execute(first.with_for_update(skip_locked=_skips_locked(connection))).all()
            claimed = [replace(mail, claimed_for=lease, tries=mail.tries + 1) for mail in map(_mail, rows)]
            if claimed:
                values = {"claimed_until": self._now + lease, "tries": outbox.c.tries + 1}
                keys = [mail.key for mail in claimed]
                connection.execute(sa.update(outbox).where(outbox.c.key.in_(keys)).values(values))
        return claimed

    def change_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.change_mail`."""
        times = {"due_at": self._now + mail.due_in, "claimed_until": self._now + mail.claimed_for}
        change = sa.update(outbox).where(*_OF_CLAIM).values(state=mail.state, reason=plain(mail.reason), **times)
        return storable(mail.key) and self._db.change(change, **_of_claim(mail))

    def remove_mail(self, mail: QueuedMail) -> bool:
        """See `OutboxStore.remove_mail`."""
        return storable(mail.key) and self._db.repeatable(_REMOVE, **_of_claim(mail))

    def mails(self, *, state: str | None = None, limit: int) -> Sequence[QueuedMail]:
        """See `OutboxStore.mails`."""
        found = self._rows().order_by(outbox.c.queued_at, outbox.c.key).limit(max(limit, 0))
        return [_mail(row) for row in self._db.read(found if state is None else found.where(outbox.c.state == state))]

    def count_mails(self, state: str) -> int:
        """See `OutboxStore.count_mails`."""
        rows = self._db.read(sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == state))
        return int(rows[0][0]) if rows else 0

    def prune_mails(self, state: str, queued_before: float) -> None:
        """See `OutboxStore.prune_mails`."""
        self._db.change(sa.delete(outbox).where(outbox.c.state == state, outbox.c.queued_at < queued_before))

    @property
    def _now(self) -> sa.ColumnElement[float]:
        """The clock of the database's server. For an SQLite file it is that of its machine since the start: it is the
        same in all processes, and no step of the time of day moves it."""
        engine = self._db.engine
        if engine.dialect.name == "sqlite":
            return sa.literal(time.monotonic(), sa.Double())
        return clock_of(engine)

    def _rows(self) -> sa.Select[Any]:
        return sa.select(*_COLUMNS, *[moment - self._now for moment in _TIMES])


def _of_claim(mail: QueuedMail) -> dict[str, Any]:
    return {"of_key": mail.key, "of_queued_at": mail.queued_at, "of_tries": mail.tries}


def _of_row(name: str) -> sa.BindParameter[float]:
    return sa.bindparam(name, type_=sa.Double())


def _skips_locked(connection: sa.Connection) -> bool:
    version: Any = connection.dialect.server_version_info
    return connection.dialect.name != "mariadb" or tuple(version[:2]) >= _SKIPS_LOCKED


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
