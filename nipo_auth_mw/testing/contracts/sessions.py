"""Suites for `SessionStore`, `JoinedSessionStore` and `RestampableSessions`."""
# ruff: noqa: ARG005, S101

from __future__ import annotations

from typing import Any

from nipo_auth_mw.models import AccountState, StoredSession
from nipo_auth_mw.protocols import JoinedSessionStore, RestampableSessions, SessionStore
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once

NOW = 1_700_000_000.123456
NEW = "new"


def a_session(key: str = "a" * 64, user_id: str = "1", **other: Any) -> StoredSession:
    """A session with a value in every field."""
    given: dict[str, Any] = {"stamp": "stamp", "created_at": NOW, "seen_at": NOW, "sent_at": NOW, "persistent": True}
    return StoredSession(key, user_id, **(given | {"client_address": "2001:db8::1", "user_agent": "Ünï/1.0"} | other))


class SessionStoreContract(StoreContract):
    """Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, SessionStore)

    def test_a_session_is_found_as_it_was_opened(self, store: Any) -> None:
        opened = a_session(persistent=False)
        store.open_session(a_session("b" * 64))
        store.open_session(opened)
        assert store.find_session(opened.key) == (opened, AccountState())
        assert store.find_session(opened.key)[0].persistent is False
        assert store.find_session("b" * 64)[0].persistent is True

    def test_another_key_is_not_found(self, store: Any) -> None:
        store.open_session(a_session())
        for text in (*ODD_TEXTS, "A" * 64, "a" * 63, "a" * 64 + " ", "a" * 64 + "\0", "b" * 64):
            assert store.find_session(text) is None, ascii(text)
            assert store.end_session(text) is None, ascii(text)
            assert store.mark_session_sent(text, NOW) is False, ascii(text)
            store.touch_session(text, NOW + 1)
        assert store.find_session("a" * 64)[0] == a_session()

    def test_a_touch_never_sets_an_earlier_time(self, store: Any) -> None:
        store.open_session(a_session())
        store.touch_session("a" * 64, NOW + 10)
        store.touch_session("a" * 64, NOW + 5)
        assert store.find_session("a" * 64)[0] == a_session(seen_at=NOW + 10)

    def test_of_several_simultaneous_touches_the_latest_remains(self, store: Any) -> None:
        store.open_session(a_session())
        at_once(lambda number: store.touch_session("a" * 64, NOW + number))
        assert store.find_session("a" * 64)[0].seen_at == NOW + RACERS - 1

    def test_no_method_restores_an_ended_session(self, store: Any) -> None:
        store.open_session(a_session())
        store.end_session("a" * 64)
        store.touch_session("a" * 64, NOW + 10)
        assert store.mark_session_sent("a" * 64, NOW + 10) is False
        assert store.find_session("a" * 64) is None
        assert list(store.sessions_of("1")) == []

    def test_the_time_of_the_last_cookie_is_stored(self, store: Any) -> None:
        store.open_session(a_session())
        assert store.mark_session_sent("a" * 64, NOW + 10) is True
        assert store.mark_session_sent("a" * 64, NOW + 10) is True
        assert store.find_session("a" * 64)[0] == a_session(sent_at=NOW + 10)

    def test_ending_a_session_returns_it_once(self, store: Any) -> None:
        store.open_session(a_session())
        assert store.end_session("a" * 64) == a_session()
        assert store.end_session("a" * 64) is None
        assert store.find_session("a" * 64) is None

    def test_of_several_simultaneous_ends_of_a_session_one_gets_it(self, store: Any) -> None:
        store.open_session(a_session())
        results = at_once(lambda number: store.end_session("a" * 64))
        assert results.count(a_session()) == 1
        assert results.count(None) == RACERS - 1

    def test_the_sessions_of_an_account_are_ordered_by_latest_use(self, store: Any) -> None:
        for key, seen_at in (("b", NOW + 2), ("c", NOW + 3), ("a", NOW + 1)):
            store.open_session(a_session(key * 64, seen_at=seen_at))
        store.open_session(a_session("d" * 64, user_id="11"))
        assert [session.key[0] for session in store.sessions_of("1")] == ["c", "b", "a"]
        for text in (*ODD_TEXTS, "2"):
            assert list(store.sessions_of(text)) == [], ascii(text)

    def test_expired_sessions_are_listed(self, store: Any) -> None:
        for key, seen_at, persistent, created_at in (
            ("a", 99, True, 50),
            ("b", 100, True, 50),
            ("c", 199, False, 50),
            ("d", 200, False, 50),
            ("e", 300, True, 9),
            ("f", 300, False, 10),
        ):
            session = a_session(key * 64, seen_at=float(seen_at), persistent=persistent, created_at=float(created_at))
            store.open_session(session)
        limits = {"persistent_before": 100.0, "browser_before": 200.0, "created_before": 10.0}
        assert sorted(session.key[0] for session in store.expired_sessions(**limits, limit=9)) == ["a", "c", "e"]
        assert len(store.expired_sessions(**limits, limit=2)) == 2
        assert list(store.expired_sessions(**limits, limit=0)) == []
        assert store.find_session("a" * 64) is not None

    def test_the_time_of_a_confirmation_is_stored(self, store: Any) -> None:
        store.open_session(a_session())
        assert store.confirm_session("a" * 64, 1_800_000_000.5) is True
        assert store.find_session("a" * 64)[0] == a_session(confirmed_at=1_800_000_000.5)
        store.end_session("a" * 64)
        assert store.confirm_session("a" * 64, 1_800_000_001.0) is False
        assert store.find_session("a" * 64) is None
        for text in ODD_TEXTS:
            assert store.confirm_session(text, 1.0) is False, ascii(text)

    def test_the_state_of_the_account_comes_with_its_session(self, store: Any) -> None:
        store.open_session(a_session())
        store.raise_revocation_counter("1")
        state = store.account_state("1")
        store.update_account_state("1", state.having(language="ja", memo="週3日勤務"), expected=state)
        session, found = store.find_session("a" * 64)
        assert (session, found) == (a_session(), store.account_state("1"))
        assert (found.revocation_counter, found.language, found.memo) == (1, "ja", "週3日勤務")


class JoinedSessionStoreContract(StoreContract):
    """For a session store that is a `UserStore` as well. Override `make_store`, and `add_account` as in its suite."""

    def add_account(self, store: Any, email: str, password_hash: str | None, active: bool = True) -> str:
        """Add an account and return its id."""
        account = store.create(email=email, password_hash=password_hash, name="", role="staff", active=active)
        return str(account.id)

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, JoinedSessionStore)

    def test_session_state_and_account_are_found_together(self, store: Any) -> None:
        self.add_account(store, "other@example.com", "hash")
        user_id = self.add_account(store, "tanaka@example.com", "hash", active=False)
        opened = a_session(user_id=user_id, persistent=False)
        store.open_session(opened)
        assert store.find_session_with_account(opened.key) == (opened, AccountState(), store.get(user_id))
        store.raise_revocation_counter(user_id)
        session, state, account = store.find_session_with_account(opened.key)
        assert (session, state) == (opened, AccountState(1))
        assert (session.persistent, account.active) == (False, False)
        store.update_account_state(user_id, state.having(language="ja"), expected=state)
        assert store.find_session_with_account(opened.key)[1] == store.account_state(user_id)
        assert store.find_session_with_account(opened.key)[1].language == "ja"

    def test_the_next_look_up_finds_each_change(self, store: Any) -> None:
        user_id = self.add_account(store, "tanaka@example.com", None)
        opened = a_session(user_id=user_id)
        store.open_session(opened)
        store.find_session_with_account(opened.key)
        at_once(lambda number: store.set_password_hash(user_id, NEW, expected=None), racers=1)
        assert store.find_session_with_account(opened.key)[2].password_hash == NEW
        at_once(lambda number: store.end_session(opened.key), racers=1)
        assert store.find_session_with_account(opened.key) is None

    def test_a_session_of_a_deleted_account_has_no_account(self, store: Any) -> None:
        self.add_account(store, "tanaka@example.com", "hash")
        for number, user_id in enumerate(("999", "01", "own-id", "1x")):
            opened = a_session(f"{number:064}", user_id=user_id)
            store.open_session(opened)
            store.raise_revocation_counter(user_id)
            assert store.find_session_with_account(opened.key) == (opened, AccountState(1), None)

    def test_another_key_is_not_found(self, store: Any) -> None:
        store.open_session(a_session())
        for text in (*ODD_TEXTS, "A" * 64, "a" * 64 + " "):
            assert store.find_session_with_account(text) is None, ascii(text)


class RestampableSessionsContract(StoreContract):
    """For a `SessionStore` that renews stamps. Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, RestampableSessions)

    def test_a_stamp_is_replaced_if_it_is_the_expected_one(self, store: Any) -> None:
        store.open_session(a_session())
        store.open_session(a_session("b" * 64))
        assert store.restamp_session("a" * 64, "newer", expected="newer") is False
        assert store.find_session("a" * 64)[0] == a_session()
        assert store.restamp_session("a" * 64, "newer", expected="stamp") is True
        assert store.restamp_session("a" * 64, "newest", expected="stamp") is False
        assert store.find_session("a" * 64)[0] == a_session(stamp="newer")
        assert store.find_session("b" * 64)[0] == a_session("b" * 64)

    def test_an_ended_session_gets_no_stamp(self, store: Any) -> None:
        store.open_session(a_session())
        store.end_session("a" * 64)
        for text in (*ODD_TEXTS, "a" * 64):
            assert store.restamp_session(text, "newer", expected="stamp") is False, ascii(text)
        assert store.find_session("a" * 64) is None

    def test_of_several_simultaneous_stamps_one_is_written(self, store: Any) -> None:
        store.open_session(a_session())
        results = at_once(lambda number: store.restamp_session("a" * 64, f"stamp {number}", expected="stamp"))
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]
        assert store.find_session("a" * 64)[0].stamp.startswith("stamp ")

    def test_all_sessions_are_listed_in_pages(self, store: Any) -> None:
        for key in ("c", "0", "a", "f"):
            store.open_session(a_session(key * 64, user_id=key))
        page = store.sessions_after("", limit=3)
        assert list(page) == [a_session(key * 64, user_id=key) for key in ("0", "a", "c")]
        assert [one.key[0] for one in store.sessions_after(page[-1].key, limit=3)] == ["f"]
        assert list(store.sessions_after("f" * 64, limit=3)) == []
        assert list(store.sessions_after("", limit=0)) == []
