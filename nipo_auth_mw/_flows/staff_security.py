"""The second step of another's account: what an administrator sees of it, and its reset for an owner who has lost the
phone and the backup codes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.revocation import end_everything
from nipo_auth_mw._flows.second_check import lift_second_lock
from nipo_auth_mw._flows.staff_accounts import account_with
from nipo_auth_mw._flows.staff_actor import Actor, colleagues, still_allowed, too_many_mails
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import NotSupported, StoreUnavailable
from nipo_auth_mw.models import AccountState, Client
from nipo_auth_mw.protocols import AccountFactorStore, Factor

FACTORS_RESET = EventType("factors_reset", EventGroup.STAFF)


class ShownFactor(NamedTuple):
    """A proof of the second step without its secret. Times are in UTC; `used_at` is None before the first use.

    The proof itself was not verified, so a time may be None in a row that an attacker has written.
    """

    kind: str
    name: str
    created_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Security:
    """The second step of an account. `since` is when two steps were switched on, None while they are off."""

    since: datetime | None = None
    factors: list[ShownFactor] = field(default_factory=list)
    codes_left: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to reset."""
        return self.since is None and not self.factors and not self.codes_left


def security_of(services: Services, user_id: str, state: AccountState) -> Security | None:
    """The second step of the account with this state; None if the store keeps no proofs. Raises `StoreUnavailable`."""
    store = services.factor_store
    if store is None:
        return None
    factors = [_shown(factor) for factor in store.factors_of(user_id)]
    return Security(_moment(state.two_step), factors, len(store.backup_codes(user_id)))


def reset_factors(services: Services, user_id: str, *, actor: Actor) -> Refused | None:
    """Remove all proofs of the second step and all backup codes, and switch two steps off. Returns None on success.

    Every session and every link of the account ends. Its owner and all other administrators are told, since a reset is
    how an attacker who has persuaded an administrator gets past the second step (ASVS 5 6.4.4). An account without a
    second step stays as it is. Raises `NoSuchAccount`, `NotOneself`, `NotAllowed`, `NotSupported`, `StoreUnavailable`.
    """
    account, store = account_with(services, user_id, actor), _store_of(services)
    notify = services.account_states.account_state(user_id).notify_email
    try:
        refused = too_many_mails(services, actor, account, "factors reset", account.email, notify)
    except StoreUnavailable:
        # Counters out of reach count no mails, and keep no administrator from removing a stolen phone.
        refused = None
    if refused:
        return refused
    told = [(one, services.account_states.account_state(one.id)) for one in colleagues(services, actor.name, user_id)]
    client, by = actor.client or Client(), actor.session.user.email if actor.session else actor.name
    with services.log.transaction() as record:
        still_allowed(services, actor)
        state = services.account_states.account_state(user_id)
        found = security_of(services, user_id, state)
        if found is None or found.is_empty:
            return None
        # First: a request that adds a proof meanwhile waits for it, or finds itself overtaken.
        end_everything(services, account, why="factors_reset", record=record, actor=actor.name)
        store.remove_factors(user_id)
        change_account_state(services, user_id, two_step=None)
        services.notifications.factors_reset(account, state, client)
        for admin, of_admin in told:
            services.notifications.factors_reset_by(admin, of_admin, client, about=account.email, by=by)
        many, left = len(found.factors), found.codes_left
        record(FACTORS_RESET, subject=account, client=actor.client, actor=actor.name, factors=many, codes=left)
    # Nothing is left that it would protect. Counters out of reach undo no reset.
    with suppress(StoreUnavailable):
        lift_second_lock(services, account, actor=actor.name, client=actor.client)
    return None


def _store_of(services: Services) -> AccountFactorStore:
    if services.factor_store is None:
        raise NotSupported("the session store is no AccountFactorStore")
    return services.factor_store


def _shown(factor: Factor) -> ShownFactor:
    return ShownFactor(factor.kind, factor.name, _moment(factor.created_at), _moment(factor.used_at))


def _moment(seconds: float | None) -> datetime | None:
    """The moment in UTC; None for none. SQLite keeps any value in any column."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None
