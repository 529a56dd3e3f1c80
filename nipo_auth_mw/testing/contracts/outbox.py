"""The suite for `OutboxStore`."""
# ruff: noqa: ARG001, S101

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from nipo_auth_mw.models import QueuedMail
from nipo_auth_mw.protocols import OutboxStore
from nipo_auth_mw.testing.contracts.accounts import TANAKA
from nipo_auth_mw.testing.contracts.base import RACERS, StoreContract, at_once

NOW = 1_800_000_000.25


class OutboxStoreContract(StoreContract):
    """Override `make_store`."""

    def mail(self, key: str = "a" * 32, **other: Any) -> QueuedMail:
        given: dict[str, Any] = {"realm": "", "state": "waiting", "kind": "new_device", "user_id": "1", "to": TANAKA}
        given |= {"facts": {"language": "ja", "seconds": 300}, "queued_at": NOW, "due_at": NOW}
        return QueuedMail(key=key, **(given | other))

    def claim(self, store: Any, now: float = NOW, **other: Any) -> list[QueuedMail]:
        given: dict[str, Any] = {"wait": 900.0, "lease": 180.0, "limit": 10}
        realm, state = other.pop("realm", ""), other.pop("state", "waiting")
        return list(store.claim_mails(realm, state, now=now, **(given | other)))

    def claimed(self, mail: QueuedMail, now: float = NOW) -> QueuedMail:
        return replace(mail, claimed_until=now + 180, tries=mail.tries + 1)

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
        late, due, early = self.mail(due_at=NOW + 1), self.mail("b" * 32), self.mail("c" * 32, due_at=NOW - 5)
        others = [self.mail("d" * 32, realm="other"), self.mail("e" * 32, state="asked")]
        store.add_mails([late, due, early, *others])
        assert self.claim(store, limit=1) == [self.claimed(early)]
        assert self.claim(store) == [self.claimed(due)]
        assert self.claim(store) == []
        assert self.claim(store, NOW + 1) == [self.claimed(late, NOW + 1)]
        assert self.claim(store, realm="other") == [self.claimed(others[0])]
        assert self.claim(store, state="asked") == [self.claimed(others[1])]

    def test_without_a_wait_every_mail_is_due(self, store: Any) -> None:
        store.add_mails([self.mail(due_at=NOW + 800)])
        assert self.claim(store) == []
        assert len(self.claim(store, wait=0.0)) == 1
        assert self.claim(store, wait=0.0) == [], "and a claimed one stays claimed"

    def test_a_claim_ends_with_its_lease(self, store: Any) -> None:
        store.add_mails([self.mail()])
        assert len(self.claim(store)) == 1
        assert self.claim(store, NOW + 179) == []
        assert [mail.tries for mail in self.claim(store, NOW + 180)] == [2]

    def test_a_clock_that_was_ahead_holds_up_no_mail(self, store: Any) -> None:
        store.add_mails([self.mail(due_at=NOW + 3 * 86400)])
        assert len(self.claim(store)) == 1
        store.add_mails([self.mail(claimed_until=NOW + 3 * 86400)])
        assert len(self.claim(store)) == 1

    def test_only_the_claim_that_holds_a_mail_changes_or_removes_it(self, store: Any) -> None:
        store.add_mails([self.mail()])
        [first] = self.claim(store)
        [second] = self.claim(store, NOW + 180)
        assert store.change_mail(replace(first, state="failed")) is False
        assert store.remove_mail(first) is False
        changed = replace(second, state="failed", due_at=NOW + 5, claimed_until=0.0, reason="refused (550)")
        assert store.change_mail(changed) is True
        assert list(store.mails(limit=10)) == [changed]
        assert store.remove_mail(changed) is True
        assert store.remove_mail(changed) is False
        assert store.change_mail(changed) is False
        assert store.remove_mail(self.mail("\0")) is False

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
