"""Suites for `AccountFactorStore` and `SecondStepSessions`."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

from typing import Any

from nipo_auth_mw.protocols import AccountFactorStore, Factor, SecondStepSessions
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once
from nipo_auth_mw.testing.contracts.sessions import a_session

NOW = 1_800_000_000.25
APP = "app:1"
PASSKEY = "passkey:" + "0f" * 32


def a_factor(key: str = APP, user_id: str = "1", **other: Any) -> Factor:
    """A factor with a value in every field."""
    given: dict[str, Any] = {"kind": key.split(":")[0], "name": "予備の鍵 🔑", "data": '{"1":2,"-1":"é"}', "counter": 7}
    given |= {"created_at": NOW, "used_at": 0.0, "digest": "d" * 64}
    return Factor(key, user_id, **(given | other))


def digests(name: str, count: int = 10) -> list[str]:
    """The digests of a set of backup codes, which share their salt."""
    return [f"{name * 32}${number:064x}" for number in range(count)]


class AccountFactorStoreContract(StoreContract):
    """Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, AccountFactorStore)

    def test_a_factor_is_found_as_it_was_added(self, store: Any) -> None:
        large = a_factor(PASSKEY, counter=2**32 - 1, data="x" * 4000, used_at=NOW + 0.5)
        for factor in (a_factor(), large):
            assert store.add_factor(factor) is True
            assert store.find_factor(factor.key) == factor
        for text in (*ODD_TEXTS, "APP:1", "app:1 ", "app:11", "app:1\0", "app"):
            assert store.find_factor(text) is None, ascii(text)

    def test_a_key_is_added_once_of_whatever_account(self, store: Any) -> None:
        """A passkey that is registered for one account never becomes another's."""
        first = a_factor(PASSKEY)
        assert store.add_factor(first) is True
        for other in (first, a_factor(PASSKEY, user_id="2", digest="e" * 64)):
            assert store.add_factor(other) is False
        assert store.find_factor(PASSKEY) == first
        assert list(store.factors_of("2")) == []

    def test_of_several_that_add_one_key_at_once_one_succeeds(self, store: Any) -> None:
        results = at_once(lambda number: store.add_factor(a_factor(PASSKEY, user_id=str(number))))
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]
        assert sum(len(store.factors_of(str(number))) for number in range(RACERS)) == 1

    def test_the_factors_of_an_account_are_ordered_by_age(self, store: Any) -> None:
        for key, age in (("passkey:b", 2.0), ("passkey:d", 1.0), ("passkey:a", 3.0), ("passkey:c", 2.0)):
            store.add_factor(a_factor(key, created_at=NOW - age))
        store.add_factor(a_factor("app:11", user_id="11"))
        assert [factor.key[-1] for factor in store.factors_of("1")] == ["a", "b", "c", "d"]
        for text in (*ODD_TEXTS, "2"):
            assert list(store.factors_of(text)) == [], ascii(text)

    def test_a_factor_is_replaced_if_its_digest_is_the_expected_one(self, store: Any) -> None:
        store.add_factor(a_factor())
        store.add_factor(a_factor(PASSKEY))
        new = a_factor(name="電話", data="sealed", counter=8, used_at=NOW + 30, digest="e" * 64)
        for wrong in ("", "D" * 64, "d" * 63, "d" * 64 + " ", "\ud800"):
            assert store.update_factor(new, expected=wrong) is False, ascii(wrong)
        assert store.find_factor(APP) == a_factor()
        assert store.update_factor(new, expected="d" * 64) is True
        assert store.update_factor(a_factor(digest="f" * 64), expected="d" * 64) is False
        assert list(store.factors_of("1")) == [new, a_factor(PASSKEY)]
        assert store.update_factor(a_factor("app:2", user_id="2"), expected="d" * 64) is False
        assert store.find_factor("app:2") is None

    def test_a_text_that_no_database_keeps_is_kept_exactly_or_not_at_all(self, store: Any) -> None:
        """The digest covers the texts, so a substitute would make the factor void."""
        for field in ("name", "data"):
            for text in ("a\0b", "a\ud800b"):
                odd: dict[str, Any] = {field: text, "digest": "e" * 64}
                added = store.add_factor(a_factor(**odd))
                assert store.find_factor(APP) == (a_factor(**odd) if added else None)
                store.remove_factor(APP, "1")
                store.add_factor(a_factor())
                changed = store.update_factor(a_factor(**odd), expected="d" * 64)
                assert store.find_factor(APP) == a_factor(**(odd if changed else {}))
                store.remove_factor(APP, "1")

    def test_a_replaced_factor_stays_the_accounts(self, store: Any) -> None:
        store.add_factor(a_factor())
        new = a_factor(counter=8, digest="e" * 64)
        assert store.update_factor(new._replace(user_id="2", kind="x", created_at=1.0), expected="d" * 64) is True
        assert store.find_factor(APP) == new

    def test_of_several_that_replace_a_factor_at_once_one_succeeds(self, store: Any) -> None:
        """A code of the authenticator app is accepted once (RFC 6238, 5.2)."""
        store.add_factor(a_factor())
        results = at_once(
            lambda number: store.update_factor(a_factor(counter=8, digest=f"{number:064x}"), expected="d" * 64)
        )
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]
        assert store.find_factor(APP).counter == 8

    def test_a_factor_is_removed_from_its_account_alone(self, store: Any) -> None:
        store.add_factor(a_factor())
        store.add_factor(a_factor(PASSKEY))
        for text in (*ODD_TEXTS, "2"):
            assert store.remove_factor(APP, text) is None, ascii(text)
            assert store.remove_factor(text, "1") is None, ascii(text)
        assert store.remove_factor(APP, "1") == a_factor()
        assert store.remove_factor(APP, "1") is None
        assert store.update_factor(a_factor(digest="e" * 64), expected="d" * 64) is False
        assert list(store.factors_of("1")) == [a_factor(PASSKEY)]

    def test_of_several_that_remove_a_factor_at_once_one_gets_it(self, store: Any) -> None:
        store.add_factor(a_factor())
        results = at_once(lambda number: store.remove_factor(APP, "1"))
        assert sorted(results, key=bool) == [None] * (RACERS - 1) + [a_factor()]

    def test_backup_codes_are_the_accounts_last_set(self, store: Any) -> None:
        assert list(store.backup_codes("1")) == []
        store.replace_backup_codes("1", digests("a"))
        store.replace_backup_codes("2", digests("a"))
        store.replace_backup_codes("1", digests("b"))
        assert sorted(store.backup_codes("1")) == digests("b")
        assert sorted(store.backup_codes("2")) == digests("a")
        store.replace_backup_codes("1", [])
        assert list(store.backup_codes("1")) == []
        for text in (*ODD_TEXTS, "3"):
            assert list(store.backup_codes(text)) == [], ascii(text)

    def test_a_backup_code_is_spent_once_by_its_account(self, store: Any) -> None:
        codes = digests("a")
        store.replace_backup_codes("1", codes)
        store.replace_backup_codes("2", digests("b"))
        for text in (*ODD_TEXTS, codes[3].upper(), codes[3] + " ", digests("b")[3]):
            assert store.spend_backup_code("1", text) is False, ascii(text)
        assert store.spend_backup_code("2", codes[3]) is False
        for text in ODD_TEXTS:
            assert store.spend_backup_code(text, codes[3]) is False, ascii(text)
        assert store.spend_backup_code("1", codes[3]) is True
        assert store.spend_backup_code("1", codes[3]) is False
        assert sorted(store.backup_codes("1")) == codes[:3] + codes[4:]

    def test_of_several_that_spend_a_code_at_once_one_succeeds(self, store: Any) -> None:
        store.replace_backup_codes("1", digests("a"))
        results = at_once(lambda number: store.spend_backup_code("1", digests("a")[0]))
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]
        assert len(store.backup_codes("1")) == 9

    def test_different_codes_are_spent_at_once(self, store: Any) -> None:
        codes = digests("a")
        store.replace_backup_codes("1", codes)
        assert at_once(lambda number: store.spend_backup_code("1", codes[number])) == [True] * RACERS
        assert sorted(store.backup_codes("1")) == codes[RACERS:]

    def test_of_several_sets_that_are_made_at_once_one_remains(self, store: Any) -> None:
        """Codes of two sets would otherwise be valid, and their owner knows one."""
        sets = [digests(name) for name in "abcdefgh"]
        store.replace_backup_codes("1", digests("0"))
        assert at_once(lambda number: store.replace_backup_codes("1", sets[number])) == [None] * RACERS
        assert sorted(store.backup_codes("1")) in sets

    def test_a_new_set_and_a_code_of_the_old_one_at_once_leave_the_new_set(self, store: Any) -> None:
        old, new = digests("a"), digests("b")
        store.replace_backup_codes("1", old)

        def work(number: int) -> object:
            return store.spend_backup_code("1", old[0]) if number else store.replace_backup_codes("1", new)

        results = at_once(work)
        assert results.count(None) == 1
        assert results.count(True) <= 1
        assert results.count(True) + results.count(False) == RACERS - 1
        assert sorted(store.backup_codes("1")) == new
        assert store.spend_backup_code("1", old[0]) is False

    def test_all_factors_and_codes_of_an_account_are_removed(self, store: Any) -> None:
        for key, user_id in ((APP, "1"), (PASSKEY, "1"), ("app:2", "2")):
            store.add_factor(a_factor(key, user_id))
        for user_id in ("1", "2"):
            store.replace_backup_codes(user_id, digests("a"))
        for text in ODD_TEXTS:
            store.remove_factors(text)
        assert len(store.factors_of("1")) == 2
        store.remove_factors("1")
        assert (list(store.factors_of("1")), list(store.backup_codes("1"))) == ([], [])
        assert list(store.factors_of("2")) == [a_factor("app:2", "2")]
        assert len(store.backup_codes("2")) == 10
        assert store.add_factor(a_factor()) is True

    def test_no_repr_shows_a_secret(self, store: Any) -> None:
        store.add_factor(a_factor(data="SECRET", digest="SECRET"))
        assert "SECRET" not in repr(store.find_factor(APP)) + repr(store.factors_of("1"))


class SecondStepSessionsContract(StoreContract):
    """For a session store. Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, SecondStepSessions)

    def test_a_session_keeps_what_was_proved(self, store: Any) -> None:
        two = a_session("b" * 64, means="password,app", second_at=NOW)
        for opened in (a_session(), two):
            store.open_session(opened)
            assert store.find_session(opened.key)[0] == opened
        assert (store.find_session("a" * 64)[0].means, store.find_session("a" * 64)[0].second_at) == ("password", 0.0)
        assert sorted(store.sessions_of("1")) == [a_session(), two]
        assert store.end_session("b" * 64) == two

    def test_a_later_proof_is_written(self, store: Any) -> None:
        for key in ("a", "b"):
            store.open_session(a_session(key * 64))
        proved: dict[str, Any] = {"means": "password,code", "confirmed_at": NOW + 1, "second_at": NOW + 2}
        assert store.confirm_second("a" * 64, **proved) is True
        assert store.confirm_second("a" * 64, **proved) is True
        assert store.find_session("a" * 64)[0] == a_session(**proved)
        assert store.find_session("b" * 64)[0] == a_session("b" * 64)

    def test_a_proof_restores_no_ended_session(self, store: Any) -> None:
        store.open_session(a_session())
        store.end_session("a" * 64)
        for text in (*ODD_TEXTS, "a" * 64):
            assert store.confirm_second(text, means="app", confirmed_at=NOW, second_at=NOW) is False, ascii(text)
        assert store.find_session("a" * 64) is None
