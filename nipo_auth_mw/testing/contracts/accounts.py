"""Suites for `UserStore`, `EmailStore` and `StaffDirectory`."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

from typing import Any

import pytest

from nipo_auth_mw.errors import EmailTaken
from nipo_auth_mw.protocols import EmailStore, HashSamples, RoleHolders, StaffDirectory, Transactional, UserStore
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once

TANAKA = "tanaka@example.com"
SUZUKI = "suzuki@example.com"
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"
NEW = "new"


class _Accounts(StoreContract):
    def add_account(self, store: Any, email: str, password_hash: str | None, active: bool = True) -> str:
        """Add an account and return its id. Override it for a store that is no `StaffDirectory`."""
        account = store.create(email=email, password_hash=password_hash, name="", role="staff", active=active)
        return str(account.id)


class UserStoreContract(_Accounts):
    """Override `make_store`, and `add_account` for a store without `create`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, UserStore)

    def test_an_account_is_found_by_its_id(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        account = store.get(user_id)
        assert (account.id, account.email, account.password_hash) == (user_id, TANAKA, HASH)
        assert account.active
        assert isinstance(account.name, str)
        assert isinstance(account.role, str)

    def test_an_id_is_a_short_printable_text(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        assert isinstance(store.get(user_id).id, str)
        assert 0 < len(user_id) <= 64
        assert user_id.isprintable()
        user_id.encode("latin-1")

    def test_an_account_is_found_by_its_address(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        self.add_account(store, SUZUKI, HASH)
        assert store.find_by_email(TANAKA).id == user_id

    def test_an_account_may_have_no_password(self, store: Any) -> None:
        assert store.get(self.add_account(store, TANAKA, None)).password_hash is None

    def test_a_disabled_account_is_found_as_inactive(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH, active=False)
        assert not store.get(user_id).active
        assert not store.find_by_email(TANAKA).active

    def test_a_text_that_is_no_id_is_not_found(self, store: Any) -> None:
        self.add_account(store, TANAKA, HASH)
        user_id = self.add_account(store, SUZUKI, HASH)
        for text in (*ODD_TEXTS, user_id + "0000", user_id + "\n", f" {user_id}", f"0{user_id}", "9" * 30):
            assert store.get(text) is None, ascii(text)

    def test_addresses_are_compared_exactly(self, store: Any) -> None:
        self.add_account(store, TANAKA, HASH)
        for near in (
            *ODD_TEXTS,
            TANAKA.upper(),
            TANAKA + " ",
            TANAKA + "\0",
            "tänaka@example.com",
            "tanaka%",
            "t" * 300,
        ):
            assert store.find_by_email(near) is None, ascii(near)

    def test_a_hash_is_replaced_if_it_is_the_expected_one(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        other = self.add_account(store, SUZUKI, HASH)
        assert store.set_password_hash(user_id, NEW, expected=HASH) is True
        assert store.get(user_id).password_hash == NEW
        assert store.get(other).password_hash == HASH

    def test_a_first_hash_is_expected_to_be_none(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, None)
        assert store.set_password_hash(user_id, NEW, expected="") is False
        assert store.set_password_hash(user_id, NEW, expected=None) is True
        assert store.set_password_hash(user_id, "newer", expected=None) is False
        assert store.get(user_id).password_hash == NEW

    def test_a_hash_that_is_not_the_expected_one_stays(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        for wrong in ("other", "", None, HASH.lower(), HASH + " ", HASH + "\0"):
            assert store.set_password_hash(user_id, NEW, expected=wrong) is False, wrong
        assert store.get(user_id).password_hash == HASH

    def test_no_hash_is_replaced_under_an_unknown_id(self, store: Any) -> None:
        self.add_account(store, TANAKA, HASH)
        for text in ODD_TEXTS:
            assert store.set_password_hash(text, NEW, expected=HASH) is False, ascii(text)

    def test_of_several_simultaneous_replacements_of_a_hash_one_succeeds(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        results = at_once(lambda number: store.set_password_hash(user_id, f"new-{number}", expected=HASH))
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]


class EmailStoreContract(_Accounts):
    """Override `make_store`, and `add_account` for a store without `create`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, EmailStore)

    def test_an_address_is_replaced_if_it_is_the_expected_one(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        assert store.set_email(user_id, "new@example.com", expected=TANAKA) is True
        assert store.get(user_id).email == "new@example.com"
        assert store.find_by_email("new@example.com").id == user_id
        assert store.find_by_email(TANAKA) is None

    def test_an_address_that_is_not_the_expected_one_stays(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        for wrong in (SUZUKI, "", TANAKA.upper(), TANAKA + " ", TANAKA + "\0"):
            assert store.set_email(user_id, "new@example.com", expected=wrong) is False, wrong
        assert store.set_email("nobody", "new@example.com", expected=TANAKA) is False
        assert store.get(user_id).email == TANAKA

    def test_another_accounts_address_is_refused(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        self.add_account(store, SUZUKI, HASH)
        with pytest.raises(EmailTaken):
            store.set_email(user_id, SUZUKI, expected=TANAKA)
        assert store.get(user_id).email == TANAKA

    def test_the_present_address_of_an_account_is_not_taken(self, store: Any) -> None:
        user_id = self.add_account(store, TANAKA, HASH)
        assert store.set_email(user_id, TANAKA, expected=TANAKA) is True

    def test_of_several_accounts_that_take_an_address_at_once_one_gets_it(self, store: Any) -> None:
        ids = [self.add_account(store, f"n{number}@example.com", HASH) for number in range(RACERS)]
        results = at_once(lambda n: store.set_email(ids[n], "wanted@example.com", expected=f"n{n}@example.com"))
        assert results.count(True) == 1
        assert sum(isinstance(result, EmailTaken) for result in results) == RACERS - 1
        assert sum(store.get(user_id).email == "wanted@example.com" for user_id in ids) == 1


class StaffDirectoryContract(StoreContract):
    """Override `make_store`; the store is a `UserStore` too."""

    def create(self, store: Any, email: str = TANAKA, **other: Any) -> Any:
        given = {"password_hash": HASH, "name": "田中 Äiti", "role": "staff", "active": True} | other
        return store.create(email=email, **given)

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, StaffDirectory)

    def test_a_created_account_has_the_given_attributes(self, store: Any) -> None:
        account = self.create(store, active=False, role="admin")
        found = store.get(account.id)
        for one in (account, found):
            assert (one.email, one.password_hash, one.name, one.role) == (TANAKA, HASH, "田中 Äiti", "admin")
            assert not one.active

    def test_an_address_belongs_to_one_account(self, store: Any) -> None:
        self.create(store)
        with pytest.raises(EmailTaken):
            self.create(store)
        assert len(store.search("", after=None, limit=9)) == 1

    def test_of_several_simultaneous_creations_with_one_address_one_succeeds(self, store: Any) -> None:
        results = at_once(lambda number: self.create(store).id)
        assert sum(isinstance(result, EmailTaken) for result in results) == RACERS - 1
        assert len(store.search("", after=None, limit=9)) == 1

    def test_an_id_is_never_used_again(self, store: Any) -> None:
        gone = self.create(store)
        assert store.delete(gone.id) is True
        assert self.create(store).id != gone.id

    def test_a_deleted_account_is_gone_and_its_address_free(self, store: Any) -> None:
        gone = self.create(store)
        assert store.delete(gone.id) is True
        assert store.delete(gone.id) is False
        assert store.get(gone.id) is None
        assert store.find_by_email(TANAKA) is None
        assert self.create(store).email == TANAKA

    def test_an_update_sets_the_given_attributes_and_keeps_the_others(self, store: Any) -> None:
        user_id, other = self.create(store).id, self.create(store, SUZUKI).id
        assert store.update(user_id, name="New") is True
        assert store.update(user_id, role="admin") is True
        assert store.update(user_id, active=False) is True
        assert store.update(user_id) is True
        account = store.get(user_id)
        assert (account.name, account.role, bool(account.active)) == ("New", "admin", False)
        assert (account.email, account.password_hash) == (TANAKA, HASH)
        assert store.update(user_id, name="", active=True) is True
        assert (store.get(user_id).name, bool(store.get(user_id).active)) == ("", True)
        assert store.get(other).name == "田中 Äiti"

    def test_an_unknown_account_is_neither_updated_nor_deleted(self, store: Any) -> None:
        self.create(store)
        for text in (*ODD_TEXTS, "999999"):
            assert store.update(text, name="New") is False, ascii(text)
            assert store.update(text) is False, ascii(text)
            assert store.delete(text) is False, ascii(text)

    def found(self, store: Any, text: str, after: str | None = None, limit: int = 50) -> list[str]:
        return [account.email for account in store.search(text, after=after, limit=limit)]

    def test_search_reads_address_and_name_ignoring_case(self, store: Any) -> None:
        self.create(store)
        self.create(store, SUZUKI, name="Suzuki Ken")
        assert self.found(store, "TANAKA") == [TANAKA]
        assert self.found(store, "ken") == [SUZUKI]
        assert self.found(store, "中 äI") == [TANAKA]
        assert self.found(store, "EXAMPLE") == [SUZUKI, TANAKA]
        assert self.found(store, "nobody") == []

    def test_search_finds_changed_values(self, store: Any) -> None:
        user_id = self.create(store).id
        store.update(user_id, name="Mori")
        assert self.found(store, "mori") == [TANAKA]
        assert self.found(store, "äiti") == []
        if isinstance(store, EmailStore):
            store.set_email(user_id, "mori@example.com", expected=TANAKA)
            assert self.found(store, "tanaka") == []

    def test_search_takes_the_text_literally(self, store: Any) -> None:
        self.create(store, "a_b@example.com", name="100% [x]\\")
        self.create(store, "axb@example.com", name="100 x")
        for text in ("a_b", "100%", "[x]", "\\", "_", "%"):
            assert self.found(store, text) == ["a_b@example.com"], text
        for text in ("a%b", "*", "a?b", "/", "'", "\0", "\ud800", "x" * 70_000):
            assert self.found(store, text) == [], ascii(text)

    def test_search_is_ordered_by_address_and_paged(self, store: Any) -> None:
        addresses = [f"{name}@example.com" for name in ("b", "a", "z", "m", "a-b", "a.b", "aa")]
        for address in addresses:
            self.create(store, address)
        seen: list[str] = []
        while page := self.found(store, "", after=seen[-1] if seen else None, limit=2):
            assert len(page) <= 2
            seen += page
        assert seen == sorted(addresses)
        assert self.found(store, "", limit=0) == []

    def test_search_reads_no_password_hash(self, store: Any) -> None:
        self.create(store)
        assert self.found(store, "argon2") == []

    def test_a_hash_unlike_others_is_found(self, store: Any) -> None:
        if not isinstance(store, HashSamples):
            pytest.skip("the directory is no HashSamples")
        foreign, dearer = "pbkdf2$100$x%_", HASH.replace("m=8", "m=64")
        for number, stored in enumerate([HASH, HASH, dearer, foreign, "", None]):
            self.create(store, f"person{number}@example.com", password_hash=stored)
        assert store.hash_unlike([], start="$argon2") in {HASH, dearer}
        assert store.hash_unlike([HASH[:30]], start="$argon2") == dearer
        assert store.hash_unlike([HASH[:30], dearer[:30]], start="$argon2") is None
        assert store.hash_unlike(["$argon2"], start="") == foreign
        assert store.hash_unlike(["$argon2", foreign[:4]], start="") is None
        assert store.hash_unlike(["%", "_"], start="pbkdf2%") is None

    def test_the_active_accounts_with_a_role(self, store: Any) -> None:
        if not isinstance(store, RoleHolders):
            pytest.skip("the directory is no RoleHolders")
        first, second = self.create(store, role="admin").id, self.create(store, SUZUKI, role="admin").id
        self.create(store, "staff@example.com")
        self.create(store, "gone@example.com", role="admin", active=False)
        assert sorted(store.active_with_role("admin")) == sorted([first, second])
        assert list(store.active_with_role("nobody")) == []
        assert list(store.active_with_role("\0")) == []

    def test_of_several_simultaneous_demotions_each_sees_the_result_of_the_others(self, store: Any) -> None:
        if not all(isinstance(store, one) for one in (RoleHolders, Transactional)):
            pytest.skip("the directory is no RoleHolders, or has no transactions")
        ids = [self.create(store, f"admin{number}@example.com", role="admin").id for number in range(RACERS)]

        def demote(number: int) -> bool:
            with store.transaction():
                if store.active_with_role("admin") == [ids[number]] or len(store.active_with_role("admin")) == 1:
                    return False
                return bool(store.update(ids[number], role="staff"))

        results = at_once(demote)
        assert sorted(results, key=bool) == [False] + [True] * (RACERS - 1)
        assert len(store.active_with_role("admin")) == 1
