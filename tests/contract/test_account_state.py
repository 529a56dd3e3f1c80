"""`AccountState` is immutable and quiet; a change of it loses no other change, in a transaction or out of one."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from nipo_auth_mw._flows.account_state import change_account_state, remove_attributes
from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.models import AccountState
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.testing.contracts.base import RACERS, at_once
from tests.kit import events, middleware, person


def test_the_attributes_of_the_package_are_typed_and_empty_at_first() -> None:
    state = AccountState()
    assert (state.revocation_counter, state.version, dict(state.attributes)) == (0, 0, {})
    assert (state.equivalent_hashes, state.language, state.notify_email) == ("", None, None)
    assert (state.password_change_deadline, state.memo) == (None, "")
    full = state.having(
        equivalent_hashes="a b", language="ja", notify_email="x@example.com", password_change_deadline=5, memo="m"
    )
    assert (full.equivalent_hashes, full.language, full.notify_email) == ("a b", "ja", "x@example.com")
    assert (full.password_change_deadline, full.memo) == (5.0, "m")
    assert (state.two_step, state.passkey_handle) == (None, "")
    full = state.having(two_step=1_800_000_000, passkey_handle="0f" * 32)
    assert (full.two_step, full.passkey_handle) == (1_800_000_000.0, "0f" * 32)


def test_having_changes_what_is_given_and_none_or_an_empty_text_removes_it() -> None:
    state = AccountState(3, 4, {"language": "ja", "memo": "m", "zero": 0, "flag": False})
    changed = state.having(language=None, memo="", terms_accepted_at=7.5)
    assert changed == AccountState(3, 4, {"zero": 0, "flag": False, "terms_accepted_at": 7.5})
    assert dict(state.attributes) == {"language": "ja", "memo": "m", "zero": 0, "flag": False}


def test_nothing_of_a_state_can_be_changed() -> None:
    given: dict[str, Any] = {"language": "ja"}
    state = AccountState(attributes=given)
    given["language"] = "en"
    assert dict(state.attributes) == {"language": "ja"}
    for name in ("revocation_counter", "version", "attributes", "language", "memo"):
        with pytest.raises(FrozenInstanceError):
            setattr(state, name, None)
    with pytest.raises(TypeError):
        state.attributes["language"] = "en"  # type: ignore[index]
    assert hash(state) == hash(AccountState(attributes={"language": "en"}))


def test_a_value_of_another_type_is_refused() -> None:
    for value in ([], {}, b"x", object()):
        with pytest.raises(TypeError, match="attribute x"):
            AccountState().having(x=value)  # type: ignore[arg-type]


def test_the_repr_shows_no_attribute() -> None:
    state = AccountState(1, 2).having(
        equivalent_hashes="tag", notify_email="home@example.com", memo="on leave", own="SECRET", language="ja"
    )
    assert repr(state) == "AccountState(revocation_counter=1, version=2)"


def test_changes_of_different_attributes_at_once_lose_none() -> None:
    auth = middleware()
    services, user_id = auth._services, person(auth).id

    def work(number: int) -> None:
        with services.log.transaction():
            change_account_state(services, user_id, **{f"of_{number}": number + 1})
        change_account_state(services, user_id, **{f"later_{number}": True})

    assert at_once(work) == [None] * RACERS
    attributes = services.account_states.account_state(user_id).attributes
    wanted: dict[str, Any] = {f"of_{number}": number + 1 for number in range(RACERS)}
    assert dict(attributes) == wanted | {f"later_{number}": True for number in range(RACERS)}


def test_a_change_returns_what_is_stored_and_writes_nothing_that_is_there_already() -> None:
    auth = middleware()
    services, user_id = auth._services, person(auth).id
    services.account_states.raise_revocation_counter(user_id)
    written = change_account_state(services, user_id, language="ja")
    assert written == services.account_states.account_state(user_id) == AccountState(1, 1, {"language": "ja"})
    assert change_account_state(services, user_id, language="ja", memo=None) == written
    assert services.account_states.account_state(user_id).version == 1


def test_a_store_that_never_takes_a_change_is_an_outage_and_no_endless_loop() -> None:
    class Stubborn(MemoryStore):
        def update_account_state(self, user_id: str, new: AccountState, *, expected: AccountState) -> bool:
            return False

    auth = middleware(store=Stubborn())
    with pytest.raises(StoreUnavailable):
        change_account_state(auth._services, "1", language="ja")


def test_a_deleted_account_leaves_its_counter_and_no_attribute() -> None:
    auth = middleware()
    services, user = auth._services, person(auth)
    change_account_state(services, user.id, memo="m", terms_accepted_at=7.5)
    counter = services.account_states.account_state(user.id).revocation_counter
    auth.accounts.delete(user.id)
    state = services.account_states.account_state(user.id)
    assert (dict(state.attributes), state.revocation_counter) == ({}, counter + 1)
    remove_attributes(services, user.id)
    assert services.account_states.account_state(user.id) == state
    assert events(auth, "account_deleted")


def test_a_store_of_sessions_that_keeps_no_account_state_is_refused_at_construction() -> None:
    whole = MemoryStore()

    class SessionsAlone:
        def __getattr__(self, name: str) -> Any:
            if name in {"account_state", "account_states", "update_account_state", "raise_revocation_counter"}:
                raise AttributeError(name)
            return getattr(whole, name)

    for given in ({"sessions": SessionsAlone(), "store": MemoryStore()}, {"store": SessionsAlone()}):
        with pytest.raises(ConfigError, match=r"lacks .*update_account_state.*AccountStateStore") as caught:
            middleware(**given)
        assert caught.value.field == "sessions"


def test_the_bundle_has_one_object_for_sessions_and_account_state() -> None:
    sessions = MemoryStore()
    services = middleware(sessions=sessions)._services
    assert services.account_states is services.session_store is sessions
