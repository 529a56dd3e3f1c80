"""The suites for `AuditLog` and `SealableLog`."""
# ruff: noqa: S101

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nipo_auth_mw.models import Event, Seal
from nipo_auth_mw.protocols import AuditLog, SealableLog
from nipo_auth_mw.testing.contracts.base import ODD_TEXTS, RACERS, StoreContract, at_once

START = datetime(2026, 3, 29, 0, 59, 59, 123456, UTC)


def an_event(number: int = 0, **other: Any) -> Event:
    """An event in which every field has a value."""
    given: dict[str, Any] = {
        "time": START + timedelta(seconds=number),
        "event": "signed_in",
        "user_id": "1",
        "email": "tanaka@example.com",
        "session": "0123456789ab",
        "client_address": "2001:db8::1",
        "user_agent": "Ünï/1.0 (田中)",
        "actor": "cli",
        "details": {"number": number, "share": 0.5, "persistent": True, "why": "日本"},
    }
    return Event(**(given | other))


class AuditLogContract(StoreContract):
    """Override `make_store`."""

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, AuditLog)

    def test_an_event_is_read_as_it_was_written(self, store: Any) -> None:
        bare = Event(START, "sign_in_failed")
        store.append_event(an_event())
        store.append_event(bare)
        assert list(store.events()) == [bare, an_event()]
        assert store.events()[0].time.utcoffset() == timedelta(0)
        assert store.events()[1].details["persistent"] is True

    def test_a_later_change_of_the_writers_details_changes_no_event(self, store: Any) -> None:
        details: dict[str, Any] = {"number": 0}
        store.append_event(an_event(details=details))
        details["number"] = 1
        assert store.events()[0].details == {"number": 0}

    def test_the_latest_events_come_first_up_to_the_limit(self, store: Any) -> None:
        for number in range(5):
            store.append_event(an_event(number))
        assert [event.details["number"] for event in store.events(limit=3)] == [4, 3, 2]
        assert list(store.events(limit=0)) == []

    def test_the_default_limit_is_fifty(self, store: Any) -> None:
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

    def test_no_event_of_several_simultaneous_writers_is_lost(self, store: Any) -> None:
        at_once(lambda number: [store.append_event(an_event(number)) for _ in range(5)])
        numbers = [event.details["number"] for event in store.events(limit=1000)]
        assert sorted(numbers, key=str) == sorted([*range(RACERS)] * 5)

    def numbers(self, store: Any, **wanted: Any) -> list[Any]:
        return [event.details["number"] for event in store.events(**wanted)]

    def test_events_are_ordered_by_time_and_not_by_writing(self, store: Any) -> None:
        for number in (2, 0, 3, 1, 1):
            store.append_event(an_event(number))
        assert self.numbers(store) == [3, 2, 1, 1, 0]

    def test_events_are_selected_by_address_name_and_time(self, store: Any) -> None:
        store.append_event(an_event(0))
        store.append_event(an_event(1, email="suzuki@example.com"))
        store.append_event(an_event(2, event="signed_out"))
        store.append_event(an_event(3, user_id=None))
        assert self.numbers(store, email="suzuki@example.com") == [1]
        assert self.numbers(store, event="signed_out") == [2]
        assert self.numbers(store, user_id="1", event="signed_in") == [1, 0]
        from_one, until_three = START + timedelta(seconds=1), START + timedelta(seconds=3)
        assert self.numbers(store, since=from_one, until=until_three) == [2, 1]
        assert self.numbers(store, event="signed_in", since=from_one) == [3, 1]
        for text in (*ODD_TEXTS, "SIGNED_IN", "signed_in "):
            assert list(store.events(event=text)) == list(store.events(email=text)) == [], ascii(text)

    def test_pages_leave_no_gap(self, store: Any) -> None:
        for number in (0, 1, 1, 1, 2, 2, 3):
            store.append_event(an_event(number))
        found, after = [], ""
        while page := store.events(after=after, limit=2):
            found += page
            after = page[-1].position
            store.append_event(an_event(9))
        assert [event.details["number"] for event in found] == [3, 2, 2, 1, 1, 1, 0]
        assert len({event.position for event in found}) == 7
        for text in (text for text in ODD_TEXTS if text):
            assert list(store.events(after=text)) == [], ascii(text)

    def test_a_digest_is_stored_with_its_event(self, store: Any) -> None:
        store.append_event(an_event(digest="0123456789abcdef" * 2))
        assert store.events()[0].digest == "0123456789abcdef" * 2


class SealableLogContract(StoreContract):
    """Override `make_store`."""

    def seal(self, number: int = 1, **other: Any) -> Seal:
        given: dict[str, Any] = {"made_at": 100.5, "key": "k", "last": 7, "chain": "c" * 64}
        return Seal(number=number, **(given | {"entries": ((6, "x"), (7, "y"))} | other))

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, SealableLog)

    def test_rows_are_numbered_in_the_order_of_writing(self, store: Any) -> None:
        for number in (3, 1, 2):
            store.append_event(an_event(number))
        rows = store.numbered_events(0, limit=10)
        assert [event.details["number"] for _, event in rows] == [3, 1, 2]
        assert store.numbered_events(rows[0][0], limit=1) == [rows[1]]

    def test_a_seal_is_read_as_it_was_written_and_its_number_is_taken(self, store: Any) -> None:
        assert store.last_seal() is None
        assert store.add_seal(self.seal()) is True
        assert store.add_seal(self.seal(last=9)) is False
        assert store.add_seal(self.seal(2, entries=(), proof="p")) is True
        assert store.last_seal() == self.seal(2, entries=(), proof="p")
        assert list(store.seals(limit=10)) == [self.seal(), self.seal(2, entries=(), proof="p")]

    def test_of_several_simultaneous_seals_with_one_number_one_is_added(self, store: Any) -> None:
        results = at_once(lambda n: store.add_seal(self.seal(last=n)))
        assert sorted(results, key=bool) == [False] * (RACERS - 1) + [True]

    def test_seals_are_found_by_number_and_by_the_rows_they_name(self, store: Any) -> None:
        for number in (1, 2, 3):
            store.add_seal(self.seal(number, last=10 * number))
        assert [seal.number for seal in store.seals(after=1, limit=10)] == [2, 3]
        assert [seal.number for seal in store.seals(above=20, limit=10)] == [3]
        assert [seal.number for seal in store.seals(limit=2)] == [1, 2]

    def test_whole_batches_are_removed_and_an_anchor_remains(self, store: Any) -> None:
        for number in range(3):
            store.append_event(an_event(number))
        first, second, third = (number for number, _ in store.numbered_events(0, limit=3))
        store.add_seal(self.seal(1, entries=((first, "x"), (third, "z"))))
        store.add_seal(self.seal(2, entries=((second, "y"),)))
        anchor = self.seal(1, entries=(), proof="p")
        store.remove_sealed(anchor)
        assert [number for number, _ in store.numbered_events(0, limit=3)] == [second]
        assert [seal.number for seal in store.seals(limit=10)] == [1, 2]
        assert store.seals(limit=1)[0] == anchor
