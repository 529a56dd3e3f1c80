"""The suite for `AccountStateStore`."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

from typing import Any

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.protocols import AccountStateStore
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once

_RAISES = 50
_TYPES = {"text": "週3日勤務 \U0001f511", "quotes": "\"'\\%_\n", "whole": 7, "real": 1_800_000_000.5, "flag": True}


class AccountStateStoreContract(StoreContract):
    """Override `make_store`."""

    def write(self, store: Any, user_id: str, **attributes: Any) -> None:
        """Write attributes as the middleware does: read, change, and compare and set until the version matches."""
        while True:
            stored = store.account_state(user_id)
            if store.update_account_state(user_id, stored.having(**attributes), expected=stored):
                return

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, AccountStateStore)

    def test_an_account_without_state_has_an_empty_one(self, store: Any) -> None:
        for text in (*ODD_TEXTS, "2"):
            assert store.account_state(text) == AccountState(), ascii(text)

    def test_attributes_are_read_equal_and_of_the_same_type(self, store: Any) -> None:
        self.write(store, "1", **_TYPES)
        found = store.account_state("1").attributes
        assert dict(found) == _TYPES
        assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in _TYPES.items()}
        assert store.account_state("2") == AccountState()

    def test_an_attribute_of_a_later_feature_is_stored_as_well(self, store: Any) -> None:
        self.write(store, "1", terms_accepted_at=1_800_000_000.5)
        self.write(store, "1", language="ja")
        state = store.account_state("1")
        assert (state.attributes.get("terms_accepted_at"), state.language) == (1_800_000_000.5, "ja")
        self.write(store, "1", terms_accepted_at=None)
        assert dict(store.account_state("1").attributes) == {"language": "ja"}

    def test_an_update_replaces_all_attributes(self, store: Any) -> None:
        self.write(store, "1", language="ja", memo="memo")
        stored = store.account_state("1")
        assert store.update_account_state("1", AccountState(attributes={"memo": "new"}), expected=stored) is True
        assert dict(store.account_state("1").attributes) == {"memo": "new"}
        assert stored.language == "ja"

    def test_each_update_raises_the_version_by_one(self, store: Any) -> None:
        versions = [store.account_state("1").version]
        for language in ("ja", "en", None):
            self.write(store, "1", language=language)
            versions.append(store.account_state("1").version)
        assert versions == [0, 1, 2, 3]

    def test_an_update_of_another_version_changes_nothing(self, store: Any) -> None:
        first = store.account_state("1")
        assert store.update_account_state("1", first.having(memo="x"), expected=AccountState(version=1)) is False
        assert store.account_state("1") == AccountState()
        assert store.update_account_state("1", first.having(memo="first"), expected=first) is True
        assert store.update_account_state("1", first.having(memo="second"), expected=first) is False
        assert store.account_state("1") == AccountState(0, 1, {"memo": "first"})

    def test_states_of_several_accounts_are_found_together(self, store: Any) -> None:
        self.write(store, "1", memo="週3日勤務")
        self.write(store, "2", memo="other")
        store.raise_revocation_counter("3")
        found = store.account_states(["1", "3", "4", *ODD_TEXTS])
        assert dict(found) == {"1": AccountState(0, 1, {"memo": "週3日勤務"}), "3": AccountState(1)}
        assert dict(store.account_states([])) == {}

    def test_the_counter_rises_by_one_for_each_account(self, store: Any) -> None:
        assert [store.raise_revocation_counter("1") for _ in range(3)] == [1, 2, 3]
        assert store.raise_revocation_counter("2") == 1
        assert store.account_state("1").revocation_counter == 3

    def test_a_raise_of_the_counter_keeps_attributes_and_version(self, store: Any) -> None:
        self.write(store, "1", language="ja")
        assert store.raise_revocation_counter("1") == 1
        assert store.account_state("1") == AccountState(1, 1, {"language": "ja"})

    def test_an_update_never_touches_the_counter(self, store: Any) -> None:
        """A lost raise between the read and the update makes a revoked session valid again."""
        store.raise_revocation_counter("1")
        stored = store.account_state("1")
        store.raise_revocation_counter("1")
        written = AccountState(revocation_counter=0, attributes={"language": "ja"})
        assert store.update_account_state("1", written, expected=stored) is True
        assert store.account_state("1") == AccountState(2, 1, {"language": "ja"})

    def test_fifty_simultaneous_raises_give_fifty_numbers(self, store: Any) -> None:
        results = at_once(lambda number: store.raise_revocation_counter("1"), racers=_RAISES)
        assert sorted(results, key=str) == sorted(range(1, _RAISES + 1), key=str)
        assert store.account_state("1") == AccountState(_RAISES)

    def test_of_several_simultaneous_first_updates_one_succeeds(self, store: Any) -> None:
        results = at_once(
            lambda number: store.update_account_state(
                "1", AccountState(attributes={"memo": f"by {number}"}), expected=AccountState()
            )
        )
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]
        assert store.account_state("1").version == 1

    def test_of_several_simultaneous_later_updates_one_succeeds(self, store: Any) -> None:
        self.write(store, "1", language="ja")
        stored = store.account_state("1")
        results = at_once(
            lambda number: store.update_account_state("1", stored.having(memo=f"by {number}"), expected=stored)
        )
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]
        assert store.account_state("1").version == 2

    def test_simultaneous_writers_of_different_attributes_lose_none(self, store: Any) -> None:
        def work(number: int) -> None:
            for turn in range(1, 6):
                self.write(store, "1", **{f"of_{number}": turn})

        assert at_once(work) == [None] * RACERS
        assert dict(store.account_state("1").attributes) == {f"of_{number}": 5 for number in range(RACERS)}
        assert store.account_state("1").version == 5 * RACERS

    def test_simultaneous_updates_and_raises_lose_neither(self, store: Any) -> None:
        def work(number: int) -> None:
            for turn in range(1, 6):
                if number % 2:
                    store.raise_revocation_counter("1")
                else:
                    self.write(store, "1", **{f"of_{number}": turn})

        assert at_once(work) == [None] * RACERS
        state = store.account_state("1")
        assert state.revocation_counter == 5 * RACERS // 2
        assert dict(state.attributes) == {f"of_{number}": 5 for number in range(0, RACERS, 2)}
