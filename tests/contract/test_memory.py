"""`MemoryStore` and `MemoryMailer` keep every contract."""

from __future__ import annotations

import threading
from typing import Any

import time_machine

from nipo_auth_mw.mailers import MemoryMailer
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.testing import contracts


class OnMemory:
    def make_store(self) -> MemoryStore:
        return MemoryStore()


class TestAccounts(OnMemory, contracts.UserStoreContract): ...


class TestEmails(OnMemory, contracts.EmailStoreContract): ...


class TestEmailChanges(OnMemory, contracts.EmailChangeStoreContract): ...


class TestOutbox(OnMemory, contracts.OutboxStoreContract): ...


class TestUsage(OnMemory, contracts.UsageStoreContract): ...


class TestFactors(OnMemory, contracts.AccountFactorStoreContract): ...


class TestSecondStepSessions(OnMemory, contracts.SecondStepSessionsContract): ...


class TestStaff(OnMemory, contracts.StaffDirectoryContract): ...


class TestStaffLists(OnMemory, contracts.JoinedStaffDirectoryContract): ...


class TestSessions(OnMemory, contracts.SessionStoreContract): ...


class TestRestampableSessions(OnMemory, contracts.RestampableSessionsContract): ...


class TestJoinedSessions(OnMemory, contracts.JoinedSessionStoreContract): ...


class TestAccountStates(OnMemory, contracts.AccountStateStoreContract): ...


class TestAudit(OnMemory, contracts.AuditLogContract): ...


class TestTransactions(OnMemory, contracts.TransactionalContract):
    def test_what_was_counted_inside_stays_counted(self, store: MemoryStore) -> None:
        try:
            with store.transaction():
                store.counters.incr("a", 60)
                raise LookupError
        except LookupError:
            assert store.counters.get("a") == 1


class TestCounters(contracts.CounterContract):
    def make_counters(self) -> Any:
        return MemoryStore().counters

    def test_no_thread_is_started(self) -> None:
        before = threading.active_count()
        self.make_counters().incr("a", 60)
        assert threading.active_count() == before

    def test_a_flood_leaves_bounded_rows_after_its_window(self) -> None:
        counters = self.make_counters()
        with time_machine.travel(1_800_000_000, tick=False) as clock:
            for number in range(15_000):
                counters.incr(f"k{number}", 60)
            clock.shift(61)
            for number in range(15_000):
                counters.incr(f"k{number % 100}", 60)
            counters.incr("one more", 60)
            assert len(counters._rows) <= 15_000 + 101
            for number in range(6_000):
                counters.incr(f"next {number}", 60)
        assert len(counters._rows) < 7_500


class TestCountersClock(contracts.CounterClockContract):
    def make_counters(self) -> Any:
        return MemoryStore().counters


class TestMailer(contracts.MailerContract):
    def make_mailer(self) -> MemoryMailer:
        return MemoryMailer()

    def sent(self, mailer: MemoryMailer) -> list[tuple[str, str, str]]:
        return [(message.to, message.subject, message.text) for message in mailer.outbox]
