"""The suite for `OutboxStore`."""
# ruff: noqa: ARG001, S101

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from nipo_auth_mw.models import QueuedMail
from nipo_auth_mw.protocols import OutboxStore
from nipo_auth_mw.testing.contracts.accounts import TANAKA
from nipo_auth_mw.testing.contracts.base import RACERS, StoreContract, at_once

NOW = 1_800_000_000.1234567


class OutboxStoreContract(StoreContract):
    """Override `make_store`."""

    def mail(self, key: str = "a" * 32, **other: Any) -> QueuedMail:
        given: dict[str, Any] = {"realm": "", "state": "waiting", "kind": "new_device", "user_id": "1", "to": TANAKA}
        given |= {"facts": {"language": "ja", "seconds": 300}, "queued_at": NOW, "due_in": 0.0}
        return QueuedMail(key=key, **(given | other))

    def claim(self, store: Any, **other: Any) -> list[QueuedMail]:
        given: dict[str, Any] = {"early": 0.0, "wait": 900.0, "lease": 180.0, "limit": 10}
        realm, state = other.pop("realm", ""), other.pop("state", "waiting")
        return list(store.claim_mails(realm, state, **(given | other)))

    def claimed(self, mail: QueuedMail) -> QueuedMail:
        return replace(mail, claimed_for=180.0, tries=mail.tries + 1)

    def test_has_the_protocols_methods(self, store: Any) -> None:
        assert isinstance(store, OutboxStore)

    def test_mails_come_back_as_they_were_added(self, store: Any) -> None:
        first, second = self.mail(), self.mail("b" * 32, queued_at=NOW - 1, state="failed", reason="refused (550)")
        store.add_mails([first, second])
        store.add_mails([])
        assert list(store.mails(limit=10)) == [second, first]
        assert dict(store.mails(limit=10)[1].facts) == {"language": "ja", "seconds": 300}
        assert list(store.mails(state="failed", limit=10)) == [second]
        assert [len(store.mails(limit=n)) for n in (0, 1)] == [0, 1]
        assert [store.count_mails(state) for state in ("asked", "waiting", "failed")] == [0, 1, 1]

    def test_a_mail_takes_the_place_of_the_one_with_its_key(self, store: Any) -> None:
        store.add_mails([self.mail()])
        self.claim(store)
        store.add_mails([self.mail(to="new@example.com")])
        assert list(store.mails(limit=10)) == [self.mail(to="new@example.com")]

    def test_mails_that_are_due_are_claimed_the_earliest_first(self, store: Any) -> None:
        late, second, first = self.mail(due_in=600.0), self.mail("b" * 32, due_in=60.0), self.mail("c" * 32)
        others = [self.mail("d" * 32, realm="other"), self.mail("e" * 32, state="asked")]
        store.add_mails([late, second, first, *others])
        assert self.claim(store, early=90.0, limit=1) == [self.claimed(first)]
        assert self.claim(store) == []
        assert [mail.key for mail in self.claim(store, early=90.0)] == [second.key]
        [found] = self.claim(store, early=660.0)
        assert found == replace(self.claimed(late), due_in=found.due_in)
        assert 0 < found.due_in <= 600
        assert self.claim(store, realm="other") == [self.claimed(others[0])]
        assert self.claim(store, state="asked") == [self.claimed(others[1])]

    def test_without_a_wait_every_mail_is_due(self, store: Any) -> None:
        store.add_mails([self.mail(due_in=800.0)])
        assert self.claim(store) == []
        assert len(self.claim(store, wait=0.0)) == 1
        assert self.claim(store, wait=0.0) == [], "and a claimed one stays claimed"

    def test_a_claim_ends_with_its_lease(self, store: Any) -> None:
        store.add_mails([self.mail()])
        assert len(self.claim(store, lease=0.0)) == 1
        [mail] = self.claim(store)
        assert mail.tries == 2
        assert self.claim(store) == []
        [stored] = store.mails(limit=10)
        assert 0 < stored.claimed_for <= 180
        assert store.change_mail(replace(mail, claimed_for=0.0)) is True
        assert [mail.tries for mail in self.claim(store)] == [3]

    def test_a_clock_that_was_set_back_holds_up_no_mail(self, store: Any) -> None:
        store.add_mails([self.mail(due_in=3 * 86400.0)])
        assert len(self.claim(store)) == 1
        store.add_mails([self.mail(claimed_for=3 * 86400.0)])
        assert len(self.claim(store)) == 1

    def test_ru6_the_clock_of_a_process_moves_neither_claims_nor_due_times(self, store: Any) -> None:
        now = time.time()
        for ahead in (300.0, -300.0, 3 * 86400.0, -3 * 86400.0):
            with patch("time.time", lambda ahead=ahead: now + ahead):
                store.add_mails([self.mail(), self.mail("b" * 32, due_in=600.0)])
            assert [mail.key for mail in self.claim(store)] == ["a" * 32]
            with patch("time.time", lambda ahead=ahead: now + ahead):
                assert self.claim(store) == []

    def test_only_the_claim_that_holds_a_mail_changes_or_removes_it(self, store: Any) -> None:
        store.add_mails([self.mail()])
        [first] = self.claim(store, lease=0.0)
        [second] = self.claim(store)
        assert store.change_mail(replace(first, state="failed")) is False
        assert store.remove_mail(first) is False
        changed = replace(second, state="failed", due_in=0.0, claimed_for=0.0, reason="refused (550)")
        assert store.change_mail(changed) is True
        assert list(store.mails(limit=10)) == [changed]
        assert store.remove_mail(changed) is True
        assert store.remove_mail(changed) is False
        assert store.change_mail(changed) is False
        assert store.remove_mail(self.mail("\0")) is False

    def test_the_claim_of_a_replaced_mail_changes_and_removes_nothing(self, store: Any) -> None:
        store.add_mails([self.mail()])
        [first] = self.claim(store)
        later = self.mail(queued_at=NOW + 61)
        store.add_mails([later])
        [second] = self.claim(store)
        assert second.tries == first.tries
        assert store.change_mail(replace(first, state="failed")) is False
        assert store.remove_mail(first) is False
        assert store.remove_mail(second) is True

    def test_old_mails_of_one_state_are_removed(self, store: Any) -> None:
        failed = [self.mail(f"{n}" * 32, state="failed", queued_at=NOW + n) for n in range(3)]
        store.add_mails([self.mail(queued_at=NOW - 9), *failed])
        store.prune_mails("failed", NOW + 2)
        assert [mail.key[0] for mail in store.mails(limit=10)] == ["a", "2"]

    def test_racers_claim_each_mail_once(self, store: Any) -> None:
        keys = [f"{number:032}" for number in range(4 * RACERS)]
        store.add_mails([self.mail(key) for key in keys])

        def claim_all(number: int) -> list[str]:
            found: list[str] = []
            while batch := self.claim(store, limit=3):
                found += [mail.key for mail in batch]
            return found

        results = at_once(claim_all)
        claimed = Counter(key for result in results if isinstance(result, list) for key in result)
        assert claimed == dict.fromkeys(keys, 1), results
