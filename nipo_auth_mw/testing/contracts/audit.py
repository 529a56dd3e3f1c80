"""The suite for `AuditLog`."""
# ruff: noqa: S101

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nipo_auth_mw.models import Event
from nipo_auth_mw.protocols import AuditLog
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once

START = datetime(2026, 3, 29, 0, 59, 59, 123456, UTC)


def an_event(number: int = 0, **other: Any) -> Event:
    """An event with everything in it."""
    given: dict[str, Any] = {
        "time": START + timedelta(seconds=number),
        "event": "signed_in",
        "user_id": "1",
        "email": "tanaka@example.com",
        "session": "0123456789ab",
        "client_address": "2001:db8::1",
        "user_agent": "Ünï/1.0 (田中)",
        "actor": "cli",
        "details": {"number": number, "share": 0.5, "kept": True, "why": "日本"},
    }
    return Event(**(given | other))


class AuditLogContract(StoreContract):
    """Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, AuditLog)

    def test_an_event_comes_back_as_it_was_written(self, store: Any) -> None:
        bare = Event(START, "sign_in_failed")
        store.append_event(an_event())
        store.append_event(bare)
        assert list(store.events()) == [bare, an_event()]
        assert store.events()[0].time.utcoffset() == timedelta(0)
        assert store.events()[1].details["kept"] is True

    def test_what_was_written_cannot_be_changed_by_the_writer(self, store: Any) -> None:
        details: dict[str, Any] = {"number": 0}
        store.append_event(an_event(details=details))
        details["number"] = 1
        assert store.events()[0].details == {"number": 0}

    def test_the_newest_come_first_and_no_more_than_asked_for(self, store: Any) -> None:
        for number in range(5):
            store.append_event(an_event(number))
        assert [event.details["number"] for event in store.events(limit=3)] == [4, 3, 2]
        assert list(store.events(limit=0)) == []

    def test_fifty_come_by_default(self, store: Any) -> None:
        for number in range(51):
            store.append_event(an_event(number))
        assert len(store.events()) == 50

    def test_events_of_one_account(self, store: Any) -> None:
        for number, user_id in enumerate(("1", "2", None, "1", "11")):
            store.append_event(an_event(number, user_id=user_id))
        assert [event.details["number"] for event in store.events(user_id="1")] == [3, 0]
        assert [event.details["number"] for event in store.events(user_id="1", limit=1)] == [3]
        for text in (text for text in ODD_TEXTS if text != "1"):
            assert list(store.events(user_id=text)) == [], ascii(text)

    def test_no_event_of_several_writers_is_lost(self, store: Any) -> None:
        at_once(lambda number: [store.append_event(an_event(number)) for _ in range(5)])
        numbers = [event.details["number"] for event in store.events(limit=1000)]
        assert sorted(numbers, key=str) == sorted([*range(RACERS)] * 5)
