"""The state beside an account in a database: `AccountStateStore`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.stores._connections import Connections
from nipo_auth_mw.stores._schema import account_state
from nipo_auth_mw.stores._statements import attributes_text, storable, upsert

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
                connection.execute(self._upsert(user_id, {}, ("user_id", user_id)))
            return bool(connection.execute(sa.update(account_state).where(same).values(values)).rowcount)

    def raise_revocation_counter(self, user_id: str) -> int:
        """See `AccountStateStore.raise_revocation_counter`."""
        counter = account_state.c.revocation_counter
        raised = self._upsert(user_id, {"revocation_counter": 1}, ("revocation_counter", counter + 1))
        with self._db.writing() as connection:
            return int(connection.execute(raised.returning(counter)).scalar_one())

    def _upsert(self, user_id: str, first: Mapping[str, object], change: tuple[str, object]) -> sa.Insert:
        statement: sa.Insert = upsert(
            self._db.engine, account_state, {"user_id": user_id, **_EMPTY_ROW, **first}, (change,)
        )
        return statement
