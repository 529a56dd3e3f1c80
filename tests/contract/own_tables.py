"""What each ready user store over a table of the host app promises beside `UserStoreContract`."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw.protocols import AccountSearch, HashSamples
from nipo_auth_mw.testing.contracts import UserStoreContract
from nipo_auth_mw.testing.contracts.accounts import HASH


class OwnTableContract(UserStoreContract):
    def test_it_can_search_and_knows_its_hashes(self, store: Any) -> None:
        assert isinstance(store, AccountSearch)
        assert isinstance(store, HashSamples)
        foreign, dearer = "pbkdf2$100$x%_", HASH.replace("m=8", "m=64")
        for number, stored in enumerate([HASH, dearer, foreign, "", None]):
            self.add_account(store, f"person{number}@example.com", stored)
        assert store.hash_unlike([HASH[:30]], start="$argon2") == dearer
        assert store.hash_unlike(["$argon2"], start="") == foreign
        assert store.hash_unlike(["$argon2", foreign[:4]], start="") is None
        found = store.search("PERSON", after=None, limit=3)
        assert [one.email for one in found] == [f"person{number}@example.com" for number in range(3)]
        assert [one.email for one in store.search("", after=found[-1].email, limit=9)] == [
            f"person{number}@example.com" for number in (3, 4)
        ]
        for text in ("%", "_", "\0", "\ud800"):
            assert store.search(text, after=None, limit=9) == []

    def test_an_address_as_it_was_typed_is_found(self, store: Any) -> None:
        first = self.add_account(store, "Taro@Example.com", HASH)
        assert store.find_by_email("taro@example.com").id == first
        exact = self.add_account(store, "taro@example.com", HASH)
        assert store.find_by_email("taro@example.com").id == exact
        assert store.find_by_email("Taro@Example.com") is None, "not canonical"
