"""The suite for `Transactional`, for a store that has sessions and a history."""
# ruff: noqa: PT012, S101

from __future__ import annotations

import threading
from typing import Any

import pytest

from nipo_auth_mw.models import AccountNotes
from nipo_auth_mw.protocols import Transactional
from nipo_auth_mw.testing.contracts.audit import an_event
from nipo_auth_mw.testing.contracts.base import StoreContract, at_once
from nipo_auth_mw.testing.contracts.sessions import a_session


class Stop(Exception):
    """Raised by the tests inside a transaction."""


class TransactionalContract(StoreContract):
    """Override `make_store`."""

    def write_everything(self, store: Any) -> None:
        store.open_session(a_session())
        store.append_event(an_event())
        store.raise_epoch("1")

    def written(self, store: Any) -> tuple[bool, int, AccountNotes]:
        return store.find_session("a" * 64) is not None, len(store.events()), store.notes_of("1")

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, Transactional)

    def test_everything_is_written(self, store: Any) -> None:
        with store.transaction():
            self.write_everything(store)
        assert self.written(store) == (True, 1, AccountNotes(1))

    def test_nothing_is_written_when_an_exception_leaves_it(self, store: Any) -> None:
        with pytest.raises(Stop), store.transaction():
            self.write_everything(store)
            raise Stop
        assert self.written(store) == (False, 0, AccountNotes())

    def test_what_was_there_before_stays(self, store: Any) -> None:
        self.write_everything(store)
        with pytest.raises(Stop), store.transaction():
            store.end_session("a" * 64)
            store.raise_epoch("1")
            store.set_profile("1", language="ja", notify_email=None)
            raise Stop
        assert self.written(store) == (True, 1, AccountNotes(1))

    def test_reads_inside_see_the_writes(self, store: Any) -> None:
        with store.transaction():
            self.write_everything(store)
            assert self.written(store) == (True, 1, AccountNotes(1))
            assert store.end_session("a" * 64) == a_session()
            assert store.find_session("a" * 64) is None
            assert list(store.sessions_of("1")) == []

    def test_an_inner_one_joins_the_outer(self, store: Any) -> None:
        with pytest.raises(Stop), store.transaction():
            with store.transaction():
                self.write_everything(store)
            raise Stop
        assert self.written(store) == (False, 0, AccountNotes())
        with store.transaction():
            with store.transaction():
                store.raise_epoch("1")
            self.write_everything(store)
        assert self.written(store) == (True, 1, AccountNotes(2))

    def test_it_works_again_after_an_exception(self, store: Any) -> None:
        with pytest.raises(Stop), store.transaction():
            raise Stop
        self.write_everything(store)
        assert self.written(store) == (True, 1, AccountNotes(1))

    def test_it_is_bound_to_its_thread(self, store: Any) -> None:
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
        self.write_everything(store)
        thread.join()
        waiting.join()
        assert self.written(store) == (True, 1, AccountNotes(1))
        assert store.find_session("b" * 64) is None

    def test_several_at_once_do_not_disturb_each_other(self, store: Any) -> None:
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
