"""The suite for `EmailChangeStore`."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

from typing import Any

from nipo_auth_mw.models import EmailChange
from nipo_auth_mw.protocols import EmailChangeStore
from nipo_auth_mw.testing.contracts.accounts import SUZUKI, TANAKA
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once


class EmailChangeStoreContract(StoreContract):
    """Override `make_store`."""

    def change(self, key: str = "a" * 64, **other: Any) -> EmailChange:
        given: dict[str, Any] = {"user_id": "1", "old_email": TANAKA, "new_email": SUZUKI}
        given |= {"requested_at": 100.5, "expires_at": 200.5}
        return EmailChange(key=key, **(given | other))

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, EmailChangeStore)

    def test_a_change_is_found_by_its_key(self, store: Any) -> None:
        store.add_email_change(self.change())
        assert store.find_email_change("a" * 64) == self.change()
        for text in (*ODD_TEXTS, "A" * 64, "a" * 63):
            assert store.find_email_change(text) is None, ascii(text)

    def test_a_change_is_confirmed_once(self, store: Any) -> None:
        store.add_email_change(self.change())
        results = at_once(lambda n: store.confirm_email_change("a" * 64, confirmed_at=150.0, expires_at=300.0))
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]
        assert store.find_email_change("a" * 64) == self.change(confirmed_at=150.0, expires_at=300.0)
        assert store.confirm_email_change("\0", confirmed_at=1.0, expires_at=1.0) is False

    def test_all_changes_of_an_account_are_found(self, store: Any) -> None:
        mine = [self.change(), self.change("b" * 64, confirmed_at=150.0)]
        for one in (*mine, self.change("c" * 64, user_id="2")):
            store.add_email_change(one)
        assert sorted(store.email_changes_of("1"), key=lambda one: str(one.key)) == mine
        for text in (*ODD_TEXTS, "3"):
            assert list(store.email_changes_of(text)) == [], ascii(text)

    def test_a_change_is_cancelled_once_and_alone(self, store: Any) -> None:
        store.add_email_change(self.change("e" * 64, requested_at=50.0))
        store.add_email_change(self.change())
        store.add_email_change(self.change("b" * 64, requested_at=101.0))
        store.add_email_change(self.change("c" * 64, user_id="2", requested_at=102.0))
        results = at_once(lambda n: store.cancel_email_change("a" * 64))
        assert sorted(results, key=bool) == [None] * (RACERS - 1) + [self.change()]
        assert [store.find_email_change(k * 64) is not None for k in "eabc"] == [True, False, True, True]
        assert store.cancel_email_change("\0") is None

    def test_all_changes_of_an_account_are_removed(self, store: Any) -> None:
        store.add_email_change(self.change())
        store.add_email_change(self.change("b" * 64, user_id="2"))
        store.void_email_changes("1")
        store.void_email_changes("\0")
        assert [store.find_email_change(k * 64) is not None for k in "ab"] == [False, True]

    def test_expired_changes_are_removed(self, store: Any) -> None:
        store.add_email_change(self.change())
        store.add_email_change(self.change("b" * 64, expires_at=300.0))
        store.prune_email_changes(250.0)
        assert [store.find_email_change(k * 64) is not None for k in "ab"] == [False, True]
