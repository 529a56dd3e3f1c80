"""What must hold when several do the same at once, on any database; the fixture `sql_store` says which."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, link_in
from tests.contract import workers
from tests.kit import PASSWORD, at_once, browser, events, middleware, person, sign_in

OLD, NEW = "tanaka@example.com", "hanako@example.jp"


class TestRaces:
    @pytest.fixture
    def mailer(self) -> MemoryMailer:
        return MemoryMailer()

    @pytest.fixture
    def auth(self, sql_store: SQLStore, mailer: MemoryMailer) -> Any:
        return middleware(store=sql_store, hasher=fast_hasher(), mailer=mailer)

    @pytest.fixture
    def rounds(self, sql_store: SQLStore) -> int:
        """How often two requests meet. SQLite has one lock for all writers, so two cannot wait for each other there."""
        return 3 if sql_store._db.engine.dialect.name == "sqlite" else 20

    def ask(self, auth: Any, email: str) -> None:
        mine = browser(auth)
        assert sign_in(mine, email).status_int == 303
        assert mine.post("/-/auth/account/email", {"email": NEW, "password": PASSWORD}).status_int == 303

    def link(self, mailer: MemoryMailer, to: str, kind: str) -> str:
        mail = [m for m in mailer.outbox if m.to == to and f"/email/{kind}/" in m.text][-1]
        return re.sub(r"^https?://[^/]+", "", link_in(mail))

    def post(self, auth: Any, path: str) -> Callable[[], Any]:
        return lambda: browser(auth).post(path, expect_errors=True)

    def test_two_confirm_one_address_and_one_gets_it(self, auth: Any, mailer: MemoryMailer) -> None:
        paths = []
        for email in (OLD, "suzuki@example.com"):
            person(auth, email)
            self.ask(auth, email)
            paths.append(self.link(mailer, NEW, "confirm"))
        assert at_once(*[self.post(auth, path) for path in paths]) == [303, 410]
        assert len(auth.accounts.search(NEW)) == 1
        assert len(events(auth, "email_changed")) == 1

    def test_one_link_used_by_six_at_once_works_once(self, auth: Any, mailer: MemoryMailer) -> None:
        person(auth, OLD)
        self.ask(auth, OLD)
        path = self.link(mailer, NEW, "confirm")
        assert at_once(*[self.post(auth, path)] * 6) == [303, *[410] * 5]
        cancel = self.link(mailer, OLD, "cancel")
        assert at_once(*[self.post(auth, cancel)] * 6) == [303, *[410] * 5]
        names = [row.event for row in events(auth) if row.event.startswith("email_")]
        assert names == ["email_change_requested", "email_changed", "email_change_cancelled"]
        assert auth.accounts.find(OLD) is not None

    def test_confirm_against_cancel_leaves_the_old_address(self, auth: Any, mailer: MemoryMailer) -> None:
        for number in range(4):
            email = f"p{number}@example.com"
            user = person(auth, email)
            self.ask(auth, email)
            confirm, cancel = self.link(mailer, NEW, "confirm"), self.link(mailer, email, "cancel")
            statuses = at_once(self.post(auth, confirm), self.post(auth, cancel))
            assert statuses in ([303, 303], [303, 410])
            assert auth.accounts.get(user.id).email == email

    @pytest.mark.parametrize("kind", ["confirm", "cancel"])
    def test_a_link_against_an_administrator_is_no_deadlock(
        self, auth: Any, mailer: MemoryMailer, kind: str, rounds: int
    ) -> None:
        person(auth, "admin@example.com", role="admin")
        admin = browser(auth)
        sign_in(admin, "admin@example.com")
        for number in range(rounds):
            email = f"p{number}@example.com"
            user = person(auth, email)
            self.ask(auth, email)
            path, page = self.link(mailer, NEW if kind == "confirm" else email, kind), f"/-/auth/staff/{user.id}/active"
            disable = lambda page=page: admin.post(page, {"active": "0"}, expect_errors=True)  # noqa: E731
            assert at_once(self.post(auth, path), disable) in ([303, 303], [303, 410])
            assert not auth.accounts.get(user.id).active
            auth.accounts.delete(user.id)

    def test_a_reset_link_used_by_six_at_once_works_once(self, auth: Any, mailer: MemoryMailer) -> None:
        person(auth, OLD)
        browser(auth).post("/-/auth/forgot", {"email": OLD})
        path = re.sub(r"^https?://[^/]+", "", link_in(mailer.outbox[-1]))

        def use(number: int) -> Callable[[], Any]:
            fields = {"password": f"midori-no-kaze-no-oto-{number}"}
            return lambda: browser(auth).post(path, fields, expect_errors=True)

        assert at_once(*[use(number) for number in range(6)]) == [303, *[410] * 5]

    def test_two_administrators_who_demote_each_other_leave_one(self, auth: Any) -> None:
        for number in range(4):
            pair = [person(auth, f"a{number}{side}@example.com", role="admin") for side in "xy"]
            browsers = [browser(auth), browser(auth)]
            for user, mine in zip(pair, browsers, strict=True):
                sign_in(mine, user.email)

            def demote(mine: Any, whom: Any) -> Callable[[], Any]:
                return lambda: mine.post(f"/-/auth/staff/{whom.id}/role", {"role": "staff"}, expect_errors=True)

            statuses = at_once(demote(browsers[0], pair[1]), demote(browsers[1], pair[0]))
            assert statuses in ([303, 403], [303, 409])
            left = [user for user in auth.accounts.search() if user.role == "admin"]
            assert len(left) == 1
            auth.accounts.delete(left[0].id)

    def test_four_processes_sweep_one_expired_session_and_one_records_it(self, auth: Any) -> None:
        person(auth, OLD)
        for _ in range(3):
            sign_in(browser(auth), OLD)
        with time_machine.travel(time.time() + 91 * 86400, tick=True):
            assert workers.in_children(auth.sweep) == workers.PROCESSES
        assert len(events(auth, "session_expired")) == 3
        verdict = auth._services.seals.verify()
        assert (verdict.wrong, verdict.unsealed) == ([], 0)

    def test_the_history_is_written_and_sealed_by_many(self, auth: Any) -> None:
        person(auth, OLD)

        def work() -> None:
            for _ in range(5):
                sign_in(browser(auth), OLD)
                auth._services.seals.seal()

        assert workers.in_children(work) == workers.PROCESSES
        auth._services.seals.seal()
        verdict = auth._services.seals.verify()
        assert (verdict.wrong, verdict.unsealed) == ([], 0)
        assert len(events(auth, "signed_in")) == 20
