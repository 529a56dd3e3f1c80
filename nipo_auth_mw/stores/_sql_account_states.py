"""The state beside an account in a database: `AccountStateStore`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._folding import READING, folded_values, reading_in
from nipo_auth_mw.stores._schema import account, account_state
from nipo_auth_mw.stores._statements import attributes_text, number_of, storable, upsert

STATE = (account_state.c.revocation_counter, account_state.c.version, account_state.c.attributes)
_STATE_OF = sa.select(*STATE).where(account_state.c.user_id == sa.bindparam("user_id"))
NO_STATE = AccountState()
_EMPTY_ROW = {"revocation_counter": 0, "version": 0, "attributes": "{}"}
_AT_ONCE = 500


@lru_cache(maxsize=4096)
def state_of(counter: int, version: int, attributes: str) -> AccountState:
    """The state in the columns of a row. Every request calls this function; with the cache of immutable results, nearly
    no call parses. The key of the cache is the whole text, so a changed row never gets an old result."""
    return AccountState(counter, version, json.loads(attributes))


def fold_account(connection: sa.Connection, user_id: str) -> None:
    """Fold the account anew, after its address, its name or its reading was changed in this transaction.

    Of two such transactions the second one waits for the account's row, and then sees what the first one has written.
    """
    number = number_of(user_id)
    held = sa.select(account.c.email, account.c.name).where(account.c.id == number).with_for_update()
    row = connection.execute(held).first() if number is not None else None
    if row is not None:
        chosen = sa.select(account_state.c.attributes).where(account_state.c.user_id == user_id)
        reading = reading_in(connection.execute(chosen).scalar() or "{}")
        folded = folded_values(row.email, row.name, reading)
        connection.execute(sa.update(account).where(account.c.id == number).values(folded))


def keep_last_use(engine: sa.Engine, connection: sa.Connection, user_id: str, seen_at: float) -> None:
    """Note the last use of a session that is about to end."""
    column = account_state.c.last_used_at
    values = {"user_id": user_id, **_EMPTY_ROW, "last_used_at": seen_at}
    later = sa.case((column > seen_at, column), else_=seen_at)
    connection.execute(upsert(engine, account_state, values, [("last_used_at", later)]))


def lock_account(engine: sa.Engine, connection: sa.Connection, user_id: str) -> None:
    """Let every other transaction that locks this account, or changes its state, wait until this one ends."""
    values = {"user_id": user_id, **_EMPTY_ROW}
    connection.execute(upsert(engine, account_state, values, [("user_id", user_id)]))


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
        same = sa.and_(account_state.c.user_id == user_id, account_state.c.version == expected.version)
        values = {"version": expected.version + 1, "attributes": attributes_text(new.attributes)}
        with self._db.writing() as connection:
            if expected.version == 0:
                # The UPDATE needs a row. Of two first writers the second waits here until the first commits.
                lock_account(self._db.engine, connection, user_id)
            changed = bool(connection.execute(sa.update(account_state).where(same).values(values)).rowcount)
            if changed and new.attributes.get(READING) != expected.attributes.get(READING):
                fold_account(connection, user_id)
            return changed

    def raise_revocation_counter(self, user_id: str) -> int:
        """See `AccountStateStore.raise_revocation_counter`."""
        counter = account_state.c.revocation_counter
        first = {"user_id": user_id, **_EMPTY_ROW, "revocation_counter": 1}
        raised = upsert(self._db.engine, account_state, first, [("revocation_counter", counter + 1)])
        with self._db.writing() as connection:
            return int(connection.execute(raised.returning(counter)).scalar_one())
