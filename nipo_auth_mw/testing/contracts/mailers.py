"""The suite for `Mailer`."""
# ruff: noqa: S101

from __future__ import annotations

from typing import Any

import pytest

from nipo_auth_mw.models import Message
from nipo_auth_mw.protocols import Mailer
from nipo_auth_mw.testing.contracts.base import RACERS, at_once


class MailerContract:
    """Override `make_mailer` and `sent`."""

    def make_mailer(self) -> Any:
        """A mailer that has delivered no mail."""
        raise NotImplementedError

    def sent(self, mailer: Any) -> list[tuple[str, str, str]]:
        """The delivered mails, oldest first: the decoded (to, subject, text) of each."""
        raise NotImplementedError

    @pytest.fixture
    def mailer(self) -> Any:
        return self.make_mailer()

    def test_has_the_protocols_methods(self, mailer: Any) -> None:
        assert isinstance(mailer, Mailer)

    def test_a_mail_is_delivered_to_its_address_alone(self, mailer: Any) -> None:
        mailer.send(Message("tanaka@example.com", "パスワード", "日本語の本文 https://x.example/?a=1&b=2\n"))
        [(to, subject, text)] = self.sent(mailer)
        assert (to, subject) == ("tanaka@example.com", "パスワード")
        assert text.strip() == "日本語の本文 https://x.example/?a=1&b=2"

    def test_a_mail_may_contain_html_beside_its_text(self, mailer: Any) -> None:
        mailer.send(Message("tanaka@example.com", "Subject", "Text", "<p>Text</p>"))
        assert [text.strip() for _, _, text in self.sent(mailer)] == ["Text"]

    def test_no_mail_of_several_threads_is_lost(self, mailer: Any) -> None:
        results = at_once(lambda number: mailer.send(Message(f"n{number}@example.com", "Subject", "Text")))
        assert results == [None] * RACERS
        assert sorted(to for to, _, _ in self.sent(mailer)) == [f"n{number}@example.com" for number in range(RACERS)]
