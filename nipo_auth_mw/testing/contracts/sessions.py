"""Suites for `SessionStore` and `JoinedSessionStore`."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

from typing import Any

from nipo_auth_mw.models import AccountNotes, StoredSession
from nipo_auth_mw.protocols import JoinedSessionStore, SessionStore
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once

NOW = 1_700_000_000.123456
NEW = "new"


def a_session(key: str = "a" * 64, user_id: str = "1", **other: Any) -> StoredSession:
    """A session as the middleware opens it."""
    given: dict[str, Any] = {"stamp": "stamp", "created_at": NOW, "seen_at": NOW, "sent_at": NOW, "kept": True}
    return StoredSession(key, user_id, **(given | {"client_address": "2001:db8::1", "user_agent": "Ünï/1.0"} | other))


class SessionStoreContract(StoreContract):
    """Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, SessionStore)

    def test_a_session_is_found_as_it_was_opened(self, store: Any) -> None:
        opened = a_session(kept=False)
        store.open_session(a_session("b" * 64))
        store.open_session(opened)
        assert store.find_session(opened.key) == (opened, AccountNotes())
        assert store.find_session(opened.key)[0].kept is False
        assert store.find_session("b" * 64)[0].kept is True

    def test_another_key_is_not_found(self, store: Any) -> None:
        store.open_session(a_session())
        for text in (*ODD_TEXTS, "A" * 64, "a" * 63, "a" * 64 + " ", "a" * 64 + "\0", "b" * 64):
            assert store.find_session(text) is None, ascii(text)
            assert store.end_session(text) is None, ascii(text)
            assert store.mark_session_sent(text, NOW) is False, ascii(text)
            store.touch_session(text, NOW + 1)
        assert store.find_session("a" * 64)[0] == a_session()

    def test_a_touch_moves_the_time_forward_never_back(self, store: Any) -> None:
        store.open_session(a_session())
        store.touch_session("a" * 64, NOW + 10)
        store.touch_session("a" * 64, NOW + 5)
        assert store.find_session("a" * 64)[0] == a_session(seen_at=NOW + 10)

    def test_of_several_touches_the_latest_stays(self, store: Any) -> None:
        store.open_session(a_session())
        at_once(lambda number: store.touch_session("a" * 64, NOW + number))
        assert store.find_session("a" * 64)[0].seen_at == NOW + RACERS - 1

    def test_nothing_brings_an_ended_session_back(self, store: Any) -> None:
        store.open_session(a_session())
        store.end_session("a" * 64)
        store.touch_session("a" * 64, NOW + 10)
        assert store.mark_session_sent("a" * 64, NOW + 10) is False
        assert store.find_session("a" * 64) is None
        assert list(store.sessions_of("1")) == []

    def test_that_the_cookie_went_out_again_is_written_down(self, store: Any) -> None:
        store.open_session(a_session())
        assert store.mark_session_sent("a" * 64, NOW + 10) is True
        assert store.mark_session_sent("a" * 64, NOW + 10) is True
        assert store.find_session("a" * 64)[0] == a_session(sent_at=NOW + 10)

    def test_ending_a_session_returns_it_once(self, store: Any) -> None:
        store.open_session(a_session())
        assert store.end_session("a" * 64) == a_session()
        assert store.end_session("a" * 64) is None
        assert store.find_session("a" * 64) is None

    def test_of_several_who_end_a_session_at_once_one_gets_it(self, store: Any) -> None:
        store.open_session(a_session())
        results = at_once(lambda number: store.end_session("a" * 64))
        assert results.count(a_session()) == 1
        assert results.count(None) == RACERS - 1

    def test_an_accounts_sessions_come_latest_seen_first(self, store: Any) -> None:
        for key, seen_at in (("b", NOW + 2), ("c", NOW + 3), ("a", NOW + 1)):
            store.open_session(a_session(key * 64, seen_at=seen_at))
        store.open_session(a_session("d" * 64, user_id="11"))
        assert [session.key[0] for session in store.sessions_of("1")] == ["c", "b", "a"]
        for text in (*ODD_TEXTS, "2"):
            assert list(store.sessions_of(text)) == [], ascii(text)

    def test_sessions_past_their_time_are_listed(self, store: Any) -> None:
        for key, seen_at, kept, created_at in (
            ("a", 99, True, 50),
            ("b", 100, True, 50),
            ("c", 199, False, 50),
            ("d", 200, False, 50),
            ("e", 300, True, 9),
            ("f", 300, False, 10),
        ):
            session = a_session(key * 64, seen_at=float(seen_at), kept=kept, created_at=float(created_at))
            store.open_session(session)
        limits = {"kept_before": 100.0, "browser_before": 200.0, "created_before": 10.0}
        assert sorted(session.key[0] for session in store.expired_sessions(**limits, limit=9)) == ["a", "c", "e"]
        assert len(store.expired_sessions(**limits, limit=2)) == 2
        assert list(store.expired_sessions(**limits, limit=0)) == []
        assert store.find_session("a" * 64) is not None

    def test_an_account_without_notes_has_empty_ones(self, store: Any) -> None:
        for text in (*ODD_TEXTS, "2"):
            assert store.notes_of(text) == AccountNotes(), ascii(text)

    def test_until_when_a_password_must_be_changed_comes_with_the_notes(self, store: Any) -> None:
        store.open_session(a_session())
        store.raise_epoch("1")
        store.set_change_by("1", 1_800_000_000.5)
        assert store.notes_of("1") == AccountNotes(1, change_by=1_800_000_000.5)
        assert store.find_session("a" * 64)[1].change_by == 1_800_000_000.5
        store.set_change_by("1", None)
        assert store.notes_of("1") == AccountNotes(1)

    def test_a_confirmed_session_says_when(self, store: Any) -> None:
        store.open_session(a_session())
        assert store.confirm_session("a" * 64, 1_800_000_000.5) is True
        assert store.find_session("a" * 64)[0] == a_session(confirmed_at=1_800_000_000.5)
        store.end_session("a" * 64)
        assert store.confirm_session("a" * 64, 1_800_000_001.0) is False
        assert store.find_session("a" * 64) is None
        for text in ODD_TEXTS:
            assert store.confirm_session(text, 1.0) is False, ascii(text)

    def test_memos_are_kept_by_account(self, store: Any) -> None:
        store.set_memo("1", "週3日勤務")
        store.set_memo("2", "x")
        store.set_memo("3", "y")
        store.set_memo("3", "")
        store.set_profile("4", language="ja", notify_email=None)
        assert dict(store.memos_of(["1", "3", "4", *ODD_TEXTS])) == {"1": "週3日勤務"}
        assert dict(store.memos_of([])) == {}
        assert store.notes_of("1") == AccountNotes()

    def test_notes_come_with_the_session_of_their_account(self, store: Any) -> None:
        store.open_session(a_session())
        store.raise_epoch("1")
        store.set_lineage("1", "first second", expected="")
        store.set_profile("1", language="ja", notify_email="home@example.com")
        notes = AccountNotes(1, "first second", "ja", "home@example.com")
        assert store.notes_of("1") == notes
        assert store.find_session("a" * 64) == (a_session(), notes)
        assert store.notes_of("2") == AccountNotes()

    def test_the_epoch_goes_up_by_one(self, store: Any) -> None:
        assert [store.raise_epoch("1") for _ in range(3)] == [1, 2, 3]
        assert store.raise_epoch("2") == 1
        assert store.notes_of("1").epoch == 3

    def test_no_raise_of_the_epoch_is_lost(self, store: Any) -> None:
        results = at_once(lambda number: store.raise_epoch("1"))
        assert sorted(results, key=str) == list(range(1, RACERS + 1))

    def test_the_lineage_is_replaced_if_it_is_the_expected_one(self, store: Any) -> None:
        assert store.set_lineage("1", "first", expected="other") is False
        assert store.set_lineage("1", "first", expected="") is True
        assert store.set_lineage("1", "second", expected="") is False
        assert store.set_lineage("1", "second", expected="first ") is False
        assert store.set_lineage("1", "second", expected="first") is True
        assert store.notes_of("1") == AccountNotes(0, "second")

    def test_of_several_who_write_the_lineage_at_once_one_does(self, store: Any) -> None:
        results = at_once(lambda number: store.set_lineage("1", f"by {number}", expected=""))
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]

    def test_the_profile_is_written_whole(self, store: Any) -> None:
        store.set_profile("1", language="ja", notify_email="home@example.com")
        store.set_profile("1", language=None, notify_email="new@example.com")
        assert store.notes_of("1") == AccountNotes(language=None, notify_email="new@example.com")


class JoinedSessionStoreContract(StoreContract):
    """For a session store that is a `UserStore` too. Override `make_store`, and `add_account` as for that."""

    def add_account(self, store: Any, email: str, password_hash: str | None, active: bool = True) -> str:
        """Put an account into the store and return its id."""
        account = store.create(email=email, password_hash=password_hash, name="", role="staff", active=active)
        return str(account.id)

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, JoinedSessionStore)

    def test_session_notes_and_account_come_together(self, store: Any) -> None:
        self.add_account(store, "other@example.com", "hash")
        user_id = self.add_account(store, "tanaka@example.com", "hash", active=False)
        opened = a_session(user_id=user_id, kept=False)
        store.open_session(opened)
        assert store.find_session_with_account(opened.key) == (opened, AccountNotes(), store.get(user_id))
        store.raise_epoch(user_id)
        session, notes, account = store.find_session_with_account(opened.key)
        assert (session, notes) == (opened, AccountNotes(1))
        assert (session.kept, account.active) == (False, False)

    def test_each_change_is_seen_by_the_next_look_up(self, store: Any) -> None:
        user_id = self.add_account(store, "tanaka@example.com", None)
        opened = a_session(user_id=user_id)
        store.open_session(opened)
        store.find_session_with_account(opened.key)
        at_once(lambda number: store.set_password_hash(user_id, NEW, expected=None), racers=1)
        assert store.find_session_with_account(opened.key)[2].password_hash == NEW
        at_once(lambda number: store.end_session(opened.key), racers=1)
        assert store.find_session_with_account(opened.key) is None

    def test_a_session_whose_account_is_gone_has_none(self, store: Any) -> None:
        self.add_account(store, "tanaka@example.com", "hash")
        for number, user_id in enumerate(("999", "01", "own-id", "1x")):
            opened = a_session(f"{number:064}", user_id=user_id)
            store.open_session(opened)
            store.raise_epoch(user_id)
            assert store.find_session_with_account(opened.key) == (opened, AccountNotes(1), None)

    def test_another_key_is_not_found(self, store: Any) -> None:
        store.open_session(a_session())
        for text in (*ODD_TEXTS, "A" * 64, "a" * 64 + " "):
            assert store.find_session_with_account(text) is None, ascii(text)
