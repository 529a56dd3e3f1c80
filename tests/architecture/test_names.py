"""No name that is gone comes back."""

from __future__ import annotations

import pytest

from tests.architecture import old_names
from tests.each import each

TABLE = old_names.names()


def test_no_old_name_is_left() -> None:
    assert [str(use) for use in old_names.uses()] == []


def test_the_search_finds_what_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_names, "OWN", ())
    in_table = {use.name.old for use in old_names.uses() if use.path == "tests/architecture/old_names.toml"}
    assert {"AccountNotes", "lockout.longest", "NIPO_AUTH_PUBLIC", "forgot.html", "tests/house"} <= in_table


@each(
    "line, old, used",
    [
        ("notes: AccountNotes = AccountNotes()", "AccountNotes", True),
        ("MyAccountNotesView()", "AccountNotes", False),
        ("seconds since the epoch", "epoch", False),
        ("raise the epoch", "epoch", True),
        ("self._raise_epoch()", "epoch", True),
        ("recommended, amended", "mend", False),
        ("with the mend in it", "mend", True),
        ("the policy's passive=('/poll',)", "passive=", True),
        ("passive_paths=('/poll/*',)", "passive=", False),
        ('NIPO_AUTH_PUBLIC="/static"', "NIPO_AUTH_PUBLIC", True),
        ('NIPO_AUTH_PUBLIC_PATHS="/static/*"', "NIPO_AUTH_PUBLIC", False),
        ("session.passive", "session.passive", True),
        ("session.passive_paths", "session.passive", False),
        ("render('password.html')", "password.html", True),
        ("render('staff-password.html')", "password.html", False),
        ("{% include '_notice.html' %}", "notice.html", False),
        ("nipo_auth_mw/web/guard.py", "nipo_auth_mw/web", True),
        ("nipo_auth_mw/_web/guard.py", "nipo_auth_mw/web", False),
        ('<p class="said">', "said", True),
        ("an app that said nothing", "said", False),
        ("the next.mine()", ".mine(", True),
    ],
)
def test_a_line_uses_a_name_or_does_not(line: str, old: str, used: bool) -> None:
    (name,) = (name for name in TABLE if name.old == old)
    assert name.is_used("anywhere.py", line) is used


def test_each_old_name_counts_for_its_own_pattern() -> None:
    for name in TABLE:
        assert name.new, name.old
        assert len([other for other in TABLE if other.old == name.old]) == 1, name.old
