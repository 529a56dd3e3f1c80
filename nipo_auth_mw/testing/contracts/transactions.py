"""The suite for `Transactional`, for a store with sessions, account state and an audit log."""
# ruff: noqa: PT012, S101

from __future__ import annotations

import threading
from typing import Any

import pytest

from nipo_auth_mw.models import AccountState
from nipo_auth_mw.protocols import Transactional
from nipo_auth_mw.testing.contracts.audit import an_event
from nipo_auth_mw.testing.contracts.base import RACERS, StoreContract, at_once
from nipo_auth_mw.testing.contracts.sessions import a_session


class Stop(Exception):
    """Leaves a transaction in the tests."""


class TransactionalContract(StoreContract):
    """Override `make_store`."""

    def write_rows(self, store: Any) -> None:
        store.open_session(a_session())
        store.append_event(an_event())
        store.raise_revocation_counter("1")

    def written(self, store: Any) -> tuple[bool, int, AccountState]:
        return store.find_session("a" * 64) is not None, len(store.events()), store.account_state("1")

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, Transactional)

    def test_all_writes_are_committed(self, store: Any) -> None:
        with store.transaction():
            self.write_rows(store)
        assert self.written(store) == (True, 1, AccountState(1))

    def test_an_exception_rolls_back_all_writes(self, store: Any) -> None:
        with pytest.raises(Stop), store.transaction():
            self.write_rows(store)
            raise Stop
        assert self.written(store) == (False, 0, AccountState())

    def test_a_rollback_keeps_earlier_rows(self, store: Any) -> None:
        self.write_rows(store)
        with pytest.raises(Stop), store.transaction():
            store.end_session("a" * 64)
            store.raise_revocation_counter("1")
            store.update_account_state("1", AccountState(attributes={"language": "ja"}), expected=AccountState())
            raise Stop
        assert self.written(store) == (True, 1, AccountState(1))

    def test_reads_inside_a_transaction_see_its_writes(self, store: Any) -> None:
        with store.transaction():
            self.write_rows(store)
            assert self.written(store) == (True, 1, AccountState(1))
            assert store.end_session("a" * 64) == a_session()
            assert store.find_session("a" * 64) is None
            assert list(store.sessions_of("1")) == []

    def test_a_nested_transaction_joins_the_outer_one(self, store: Any) -> None:
        with pytest.raises(Stop), store.transaction():
            with store.transaction():
                self.write_rows(store)
            raise Stop
        assert self.written(store) == (False, 0, AccountState())
        with store.transaction():
            with store.transaction():
                store.raise_revocation_counter("1")
            self.write_rows(store)
        assert self.written(store) == (True, 1, AccountState(2))

    def test_a_write_after_a_rollback_is_committed(self, store: Any) -> None:
        with pytest.raises(Stop), store.transaction():
            raise Stop
        self.write_rows(store)
        assert self.written(store) == (True, 1, AccountState(1))

    def test_a_transaction_belongs_to_its_thread(self, store: Any) -> None:
        entered, leave = threading.Event(), threading.Event()

        def other() -> None:
            with pytest.raises(Stop), store.transaction():
                store.open_session(a_session("b" * 64))
                entered.set()
                leave.wait(10)
                raise Stop

        thread = threading.Thread(target=other)
        thread.start()
        assert entered.wait(10)
        waiting = threading.Timer(0.1, leave.set)
        waiting.start()
        self.write_rows(store)
        thread.join()
        waiting.join()
        assert self.written(store) == (True, 1, AccountState(1))
        assert store.find_session("b" * 64) is None

    def test_after_a_failed_update_a_read_finds_the_version_of_other_transactions(self, store: Any) -> None:
        """Without this, a caller that reads and writes until the version matches never ends."""
        succeeded: list[int] = []

        def change(number: int) -> None:
            with store.transaction():
                for _ in range(100):
                    stored = store.account_state("1")
                    if store.update_account_state("1", stored.having(**{f"of_{number}": 1}), expected=stored):
                        succeeded.append(number)
                        return

        assert at_once(change) == [None] * RACERS
        assert sorted(succeeded) == [*range(RACERS)]
        assert dict(store.account_state("1").attributes) == {f"of_{number}": 1 for number in range(RACERS)}

    def test_simultaneous_transactions_are_independent(self, store: Any) -> None:
        def work(number: int) -> None:
            with store.transaction():
                store.open_session(a_session(f"{number:064}", user_id="7"))
                store.append_event(an_event(number))
                if number % 2:
                    raise Stop

        results = at_once(work)
        assert sum(isinstance(result, Stop) for result in results) == 4
        assert results.count(None) == 4
        assert len(store.sessions_of("7")) == len(store.events()) == 4
