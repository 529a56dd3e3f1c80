"""Suite for `JoinedStaffDirectory`."""
# ruff: noqa: S101

from __future__ import annotations

from typing import Any

import pytest

from nipo_auth_mw.models import AccountState, StaffQuery, StaffSort, StoredSession
from nipo_auth_mw.protocols import JoinedStaffDirectory, Transactional
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, StoreContract
from nipo_auth_mw.testing.contracts.sessions import a_session

T = 1_700_000_000.0
_FOUND = (
    (
        "髙﨑 美咲",
        "たかさき みさき",
        ("高崎", "髙崎", "高﨑美咲", "美咲　髙﨑", "ﾀｶｻｷ", "タカサキ", "たか みさ"),
    ),
    ("渡邉 𠮷田", "", ("渡辺", "渡邊", "吉田", "渡 辺")),
    ("齋藤 濵", "さいとう はま", ("斉藤", "齊藤浜", "斎藤", "サイトウ")),
    ("茅ヶ崎 恵", "ちがさき けい", ("茅ケ崎", "茅け崎", "惠", "chigasaki@")),
    ("葛\U000e0100西", "かさい", ("葛西",)),
    ("ＳＡＴＯ Hanako", "", ("sato", "ｓａｔｏ　ｈａｎａｋｏ", "HANAKO sato")),
    ("キヤノン 京", "きゃのん", ("キャノン",)),
)


class JoinedStaffDirectoryContract(StoreContract):
    """Override `make_store`; the store is a `StaffDirectory`, a `SessionStore` and an `AccountStateStore` too."""

    def create(self, store: Any, name: str, *, email: str = "", reading: str = "", **other: Any) -> str:
        given = {"password_hash": None, "role": "staff", "active": True} | other
        email = email or f"{self.page(store).total}@example.com"
        user_id = str(store.create(email=email, name=name, **given).id)
        if reading:
            self.put(store, user_id, reading=reading)
        return user_id

    def put(self, store: Any, user_id: str, **attributes: Any) -> None:
        before = store.account_state(user_id)
        assert store.update_account_state(user_id, before.having(**attributes), expected=before)

    def page(self, store: Any, **wanted: Any) -> Any:
        return store.staff_page(StaffQuery(**wanted))

    def names(self, store: Any, **wanted: Any) -> list[str]:
        return [entry.account.name for entry in self.page(store, **wanted).entries]

    def session(self, user_id: str, key: str, seen_at: float) -> StoredSession:
        return a_session(key * 64, user_id=user_id)._replace(seen_at=seen_at)

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, JoinedStaffDirectory)

    def test_an_entry_has_all_that_the_store_knows(self, store: Any) -> None:
        user_id = self.create(store, "田中", role="admin", active=False)
        self.put(store, user_id, memo="朝番")
        other = self.create(store, "鈴木")
        for key, seen_at in (("a", T), ("b", T + 9)):
            store.open_session(self.session(user_id, key, seen_at))
        first, second = self.page(store, sort=StaffSort.EMAIL).entries
        assert (first.account, first.state.memo, first.last_used_at) == (store.get(user_id), "朝番", None)
        assert [session.seen_at for session in first.sessions] == [T + 9, T]
        assert all(isinstance(session.persistent, bool) for session in first.sessions)
        assert (second.account.id, second.state, list(second.sessions)) == (other, AccountState(), [])

    def test_a_search_finds_a_name_however_it_is_typed(self, store: Any) -> None:
        for name, reading, _ in _FOUND:
            email = "chigasaki@example.com" if "茅" in name else ""
            self.create(store, name, reading=reading, email=email)
        for name, _, texts in _FOUND:
            for text in texts:
                assert name in self.names(store, text=text), text
                assert name in [account.name for account in store.search(text, after=None, limit=9)], text
        assert self.names(store, text="髙﨑 花子") == []
        assert self.names(store, text="美咲たか") == [], "no word spans name and reading"
        assert len(self.names(store, text=" 　 ")) == len(_FOUND)

    def test_a_search_takes_the_text_literally(self, store: Any) -> None:
        self.create(store, "100% [x]\\", email="a_b@example.com", reading="ひゃく")
        self.create(store, "100 x", email="axb@example.com")
        for text in ("a_b", "100%", "[x]", "\\", "_", "%"):
            assert self.names(store, text=text) == ["100% [x]\\"], text
        for text in ("a%b", "*", "/", "'", "\0", "\ud800", "\n", "x" * 70_000, "x " * 30_000):
            assert len(self.names(store, text=text)) == (2 if text == "\n" else 0), ascii(text)[:9]

    def test_a_change_of_name_reading_or_address_is_found(self, store: Any) -> None:
        user_id = self.create(store, "田中", email="tanaka@example.com", reading="たなか")
        store.update(user_id, name="森")
        assert self.names(store, text="田中") == []
        assert self.names(store, text="森") == self.names(store, text="たなか") == ["森"]
        self.put(store, user_id, reading="もり")
        assert self.names(store, text="たなか") == []
        assert self.names(store, text="もり") == ["森"]
        store.set_email(user_id, "mori@example.com", expected="tanaka@example.com")
        assert self.names(store, text="tanaka") == []
        assert self.names(store, text="mori") == self.names(store, text="もり") == ["森"]
        self.put(store, user_id, reading="")
        assert self.names(store, text="もり") == []

    def test_a_change_that_is_rolled_back_is_not_found(self, store: Any) -> None:
        if not isinstance(store, Transactional):
            pytest.skip("the store has no transactions")
        user_id = self.create(store, "田中", reading="たなか")
        directory: Any = store

        def fail() -> None:
            with directory.transaction():
                self.put(store, user_id, reading="もり")
                directory.update(user_id, name="森")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert self.names(store, text="もり") == []
        assert self.names(store, text="たなか") == ["田中"]

    def test_names_are_in_the_order_of_a_dictionary(self, store: Any) -> None:
        people = [
            *(("安部", "あべ"), ("加藤 一", "かとう はじめ"), ("賀東 愛", "ガトウ アイ"), ("香川", "ｶｶﾞﾜ")),
            *(("佐藤 愛", "さとう あい"), ("佐藤 恵", "さとう めぐみ"), ("佐藤田", "さとうだ")),
            *(("ケン", ""), ("", ""), ("山田", "")),
        ]
        for name, reading in people:
            self.create(store, name, reading=reading, email="zz@example.com" if not name else "")
        sorted_names = ["", "安部", "香川", "賀東 愛", "加藤 一", "ケン", "佐藤 愛", "佐藤 恵", "佐藤田", "山田"]
        assert self.names(store) == sorted_names
        assert self.names(store, descending=True) == sorted_names[::-1]

    def test_every_order_falls_back_on_the_name(self, store: Any) -> None:
        for number, (name, role, active) in enumerate(
            [("c", "staff", True), ("a", "staff", False), ("b", "admin", True), ("a", "staff", True)]
        ):
            self.create(store, name, email=f"{9 - number}@example.com", role=role, active=active)
        by = {StaffSort.EMAIL: "abac", StaffSort.ROLE: "baac", StaffSort.ACTIVE: "aabc", StaffSort.LAST_USED: "aabc"}
        for sort, wanted in by.items():
            assert "".join(self.names(store, sort=sort)) == wanted, sort
        assert "".join(self.names(store, sort=StaffSort.ROLE, descending=True)) == "aacb"
        twins = [entry.account.email for entry in self.page(store, text="a", limit=2).entries]
        assert twins == ["8@example.com", "6@example.com"]

    def test_the_last_use_outlives_the_session(self, store: Any) -> None:
        first, second, never = (self.create(store, name) for name in "abc")
        store.open_session(self.session(first, "a", T + 5))
        store.open_session(self.session(first, "b", T))
        store.open_session(self.session(second, "c", T + 3))
        assert self.names(store, sort=StaffSort.LAST_USED) == ["c", "b", "a"]
        for key in "ab":
            store.end_session(key * 64)
        assert [entry.last_used_at for entry in self.page(store).entries] == [T + 5, None, None]
        assert self.names(store, sort=StaffSort.LAST_USED, descending=True) == ["a", "b", "c"]
        assert self.names(store, used=True) == ["a", "b"]
        assert [entry.account.id for entry in self.page(store, used=False).entries] == [never]

    def test_filters_select_and_the_total_counts_all_pages(self, store: Any) -> None:
        ids = [self.create(store, f"{number}", active=number % 2 == 0) for number in range(7)]
        store.update(ids[3], role="admin")
        self.put(store, ids[4], password_change_deadline=T, memo='"reading":')
        assert self.names(store, active=True) == ["0", "2", "4", "6"]
        assert self.names(store, active=False, text="3") == ["3"]
        assert self.names(store, role="admin") == ["3"]
        assert self.names(store, attribute="password_change_deadline") == ["4"]
        assert self.names(store, attribute="reading") == self.names(store, attribute='memo": ') == []
        assert self.names(store, lacking="password_change_deadline") == ["0", "1", "2", "3", "5", "6"]
        assert self.names(store, lacking="memo", active=True) == ["0", "2", "6"]
        assert self.names(store, lacking="reading", limit=1) == ["0"]
        assert self.page(store, lacking="memo").total == 6
        assert self.names(store, attribute="memo", lacking="memo") == []
        assert self.names(store, ids=[ids[5], ids[1], "nobody", *ODD_TEXTS]) == ["1", "5"]
        assert self.names(store, ids=[]) == []
        assert (self.names(store, offset=2, limit=3), self.page(store, offset=2, limit=3).total) == (["2", "3", "4"], 7)
        assert (self.names(store, offset=9), self.page(store, offset=9, active=False).total) == ([], 3)
        assert self.names(store, offset=10**30) == self.names(store, limit=0) == []
