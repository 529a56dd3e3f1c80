"""The state beside an account in a database: `AccountStateStore`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._folding import READING, folded_values, reading_in
from nipo_auth_mw.stores._schema import account, account_state
from nipo_auth_mw.stores._statements import attributes_text, number_of, storable, upsert, upsert_rows

STATE = (account_state.c.revocation_counter, account_state.c.version, account_state.c.attributes)
_STATE_OF = sa.select(*STATE).where(account_state.c.user_id == sa.bindparam("user_id"))
NO_STATE = AccountState()
_EMPTY_ROW = {"revocation_counter": 0, "version": 0, "attributes": "{}"}
_UPDATE = (
    sa.update(account_state)
    .where(account_state.c.user_id == sa.bindparam("of_user"), account_state.c.version == sa.bindparam("expected"))
    .values(version=sa.bindparam("new_version"), attributes=sa.bindparam("new_attributes"))
)
_OF_NUMBER = account.c.id == sa.bindparam("number")
# SQLAlchemy omits FOR UPDATE for SQLite, where one transaction writes at a time.
_HELD = sa.select(account.c.email, account.c.name).where(_OF_NUMBER).with_for_update()
_FOLD = sa.update(account).where(_OF_NUMBER).values({name: sa.bindparam(name) for name in folded_values("", "", "")})
_AT_ONCE = 500


@lru_cache(maxsize=4096)
def state_of(counter: int, version: int, attributes: str) -> AccountState:
    """The state in the columns of a row. Every request calls this function; with the cache of immutable results, nearly
    no call parses. The key of the cache is the whole text, so a changed row never gets an old result."""
    return AccountState(counter, version, json.loads(attributes))


@lru_cache(maxsize=8)
def _insert_or(dialect: str, changed: str) -> Any:
    """Insert the row of an account, or add to this column of the row that is there; a `user_id` stays as it is."""
    column = account_state.c[changed]
    values: dict[str, Any] = {name: sa.bindparam(name) for name in ("user_id", *_EMPTY_ROW)}
    if changed == "user_id":
        return upsert(dialect, account_state, values, [(changed, column)])
    made = upsert_rows(dialect, account_state, [values], lambda new: [(changed, column + new[changed])])
    return made.returning(column)


def fold_account(db: Connections, user_id: str) -> None:
    """Fold the account anew, after its address, its name or its reading was changed in this transaction.

    Of two such transactions the second one waits for the account's row, and then sees what the first one has written.
    """
    number = number_of(user_id)
    for email, name in db.look_up(_HELD, number=number) if number is not None else ():
        states = db.look_up(_STATE_OF, user_id=user_id)
        reading = reading_in(states[0][2] if states else "{}")
        db.write(_FOLD, number=number, **folded_values(email, name, reading))


def keep_last_use(connection: sa.Connection, user_id: str, seen_at: float) -> None:
    """Note the last use of a session that is about to end."""
    column = account_state.c.last_used_at
    values = {"user_id": user_id, **_EMPTY_ROW, "last_used_at": seen_at}
    later = sa.case((column > seen_at, column), else_=seen_at)
    connection.execute(upsert(connection.dialect.name, account_state, values, [("last_used_at", later)]))


def lock_account(db: Connections, user_id: str) -> None:
    """Let every other transaction that locks this account, or changes its state, wait until this one ends."""
    db.write(_insert_or(db.engine.dialect.name, "user_id"), user_id=user_id, **_EMPTY_ROW)


class SQLAccountStates:
    """The account state of `SQLStore`."""

    _db: Connections

    def account_state(self, user_id: str) -> AccountState:
        """See `AccountStateStore.account_state`."""
        rows = self._db.look_up(_STATE_OF, user_id=user_id) if storable(user_id) else ()
        return state_of(*rows[0]) if rows else NO_STATE

    def account_states(self, user_ids: Sequence[str]) -> Mapping[str, AccountState]:
        """See `AccountStateStore.account_states`."""
        wanted = [user_id for user_id in user_ids if storable(user_id)]
        found: dict[str, AccountState] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            chosen = account_state.c.user_id.in_(wanted[start : start + _AT_ONCE])
            for row in self._db.read(sa.select(account_state.c.user_id, *STATE).where(chosen)):
                found[row.user_id] = state_of(row.revocation_counter, row.version, row.attributes)
        return found

    def update_account_state(self, user_id: str, new: AccountState, *, expected: AccountState) -> bool:
        """See `AccountStateStore.update_account_state`."""
        if not storable(user_id):
            return False
        values = {"new_version": expected.version + 1, "new_attributes": attributes_text(new.attributes)}
        with self._db.writing():
            if expected == NO_STATE:
                # The UPDATE needs a row. Of two first writers the second waits here until the first commits.
                lock_account(self._db, user_id)
            changed = self._db.write(_UPDATE, of_user=user_id, expected=expected.version, **values)
            if changed and new.attributes.get(READING) != expected.attributes.get(READING):
                fold_account(self._db, user_id)
            return changed

    def raise_revocation_counter(self, user_id: str) -> int:
        """See `AccountStateStore.raise_revocation_counter`."""
        raised = _insert_or(self._db.engine.dialect.name, "revocation_counter")
        with self._db.writing():
            rows = self._db.look_up(raised, **{**_EMPTY_ROW, "user_id": user_id, "revocation_counter": 1})
            if not rows:
                raise ValueError("no account can have this id")
            return int(rows[0][0])
