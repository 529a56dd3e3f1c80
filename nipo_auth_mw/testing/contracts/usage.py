"""The suite for `UsageStore`."""
# ruff: noqa: S101

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from nipo_auth_mw.protocols import DayOfUse, UsageStore
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once

FRIDAY = date(2026, 11, 20)
SATURDAY = FRIDAY + timedelta(days=1)
NOW = 1_800_000_000.25


class UsageStoreContract(StoreContract):
    """Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, UsageStore)

    def test_one_row_an_account_and_day_holds_the_first_and_the_last_use(self, store: Any) -> None:
        for at in (NOW, NOW + 60, NOW - 60, NOW + 30):
            store.note_use("1", FRIDAY, at)
        assert list(store.days_of_use(["1"], FRIDAY, FRIDAY)) == [DayOfUse("1", FRIDAY, NOW - 60, NOW + 60)]

    def test_rows_are_found_by_account_and_day(self, store: Any) -> None:
        for user_id, day in (("1", FRIDAY), ("1", SATURDAY), ("2", SATURDAY), ("3", SATURDAY)):
            store.note_use(user_id, day, NOW)
        found = store.days_of_use(["1", "2", "4"], FRIDAY, SATURDAY)
        assert sorted((use.user_id, use.day) for use in found) == [("1", FRIDAY), ("1", SATURDAY), ("2", SATURDAY)]
        assert [use.user_id for use in store.days_of_use(["1", "2"], FRIDAY, FRIDAY)] == ["1"]
        assert list(store.days_of_use([], FRIDAY, SATURDAY)) == []
        assert list(store.days_of_use(["1"], SATURDAY, FRIDAY)) == []

    def test_the_users_of_days_come_once_and_page_by_page(self, store: Any) -> None:
        for number in (3, 1, 20, 10, 2):
            for day in (FRIDAY, SATURDAY):
                store.note_use(str(number), day, NOW)
        store.note_use("4", SATURDAY, NOW)
        both = [FRIDAY, SATURDAY]
        assert list(store.users_of_days(both, after="", limit=10)) == ["1", "10", "2", "20", "3", "4"]
        assert list(store.users_of_days(both, after="", limit=2)) == ["1", "10"]
        assert list(store.users_of_days(both, after="10", limit=2)) == ["2", "20"]
        assert list(store.users_of_days([FRIDAY], after="20", limit=10)) == ["3"]
        assert list(store.users_of_days([FRIDAY - timedelta(days=1)], after="", limit=10)) == []
        assert list(store.users_of_days([], after="", limit=10)) == []

    def test_old_days_are_removed(self, store: Any) -> None:
        store.note_use("1", FRIDAY, NOW)
        store.note_use("1", SATURDAY, NOW)
        store.prune_usage(SATURDAY)
        assert [use.day for use in store.days_of_use(["1"], FRIDAY, SATURDAY)] == [SATURDAY]

    def test_odd_ids_do_no_harm(self, store: Any) -> None:
        for text in ODD_TEXTS:
            store.note_use(text, FRIDAY, NOW)
            store.days_of_use([text], FRIDAY, FRIDAY)

    def test_processes_that_note_at_once_lose_nothing(self, store: Any) -> None:
        assert at_once(lambda number: store.note_use("1", FRIDAY, NOW + number)) == [None] * RACERS
        assert list(store.days_of_use(["1"], FRIDAY, FRIDAY)) == [DayOfUse("1", FRIDAY, NOW, NOW + RACERS - 1)]
