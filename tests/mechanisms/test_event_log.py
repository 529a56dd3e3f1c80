"""What came from outside is safe to show and bounded in the history (row AU5)."""

from __future__ import annotations

import pytest

from nipo_auth_mw._audit.events import make_event
from nipo_auth_mw._flows.advance import SIGNED_IN
from nipo_auth_mw.models import Client


@pytest.mark.parametrize("typed", ["a" * 100_000, "\n" * 300, "\x1b[2J" * 200, "a\u2028b\r\n" * 100])
def test_texts_are_one_line_escaped_and_at_most_254_characters(typed):
    row = make_event(SIGNED_IN, at=0.0, email=typed, client=Client("192.0.2.1", typed))
    for text in (row.email, row.user_agent):
        assert len(text) <= 254
        assert text.isprintable()
