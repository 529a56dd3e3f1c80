"""The command line with another secret than the server's: row RU26 of what must hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nipo_auth_mw.cli import main
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests.commands import arguments_of, commands
from tests.kit import PASSWORD, browser, middleware, person, sign_in

KEY, OTHER, NEXT = "the-servers-key-" * 3, "another-key-" * 4, "a-later-key-" * 4
pytestmark = pytest.mark.usefixtures("quick_hashes")
READS = {"user list", "session list", "audit list", "audit export", "audit verify", "check", "mail list"}
READS |= {"store copy", "store backup"}  # which write elsewhere
STORELESS = {"dev-cert", "i18n init"}


@pytest.fixture
def auth(store: SQLStore) -> Any:
    auth = middleware(store=store, hasher=fast_hasher(), secret_key=KEY)
    person(auth, role="admin")
    for _ in range(3):
        sign_in(browser(auth))
    auth.sweep()
    return auth


def run(tmp_path: Path, verb: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("NIPO_AUTH_SECRET_KEY", secret)
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO(f"{PASSWORD}-2\n"))
    url = f"sqlite:///{tmp_path / 'auth.db'}"
    values = {"who": "1", "name": "Another", "role": "staff", "url": "sqlite:////nowhere/at/all.db"}
    values |= {"email": "new@example.com", "address": "second@example.com", "file": str(tmp_path / f"{verb}.csv")}
    (tmp_path / "user import.csv").write_text("email\nmori@example.com\n", "utf-8")
    given = arguments_of(verb, values) + ["--reset"] * (verb == "user security")
    with pytest.raises(SystemExit) as done:
        main(["--store", url, *verb.split(), *given])
    return int(done.value.code or 0)


def dump(tmp_path: Path) -> list[str]:
    with closing(sqlite3.connect(tmp_path / "auth.db")) as connection:
        return list(connection.iterdump())


def test_ru26_the_verbs_are_known() -> None:
    assert {"init", "user add", "user disable", "session end", "session sweep", "audit verify"} <= set(commands())


@pytest.mark.parametrize("verb", [verb for verb in commands() if verb not in READS | STORELESS])
def test_ru26_a_command_with_another_secret_writes_nothing(
    auth: Any, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dump(tmp_path)
    assert run(tmp_path, verb, OTHER, monkeypatch) == 2
    error = capsys.readouterr().err
    assert "NIPO_AUTH_SECRET_KEY" in error
    assert OTHER not in error
    assert dump(tmp_path) == before
    assert auth._services.seals.verify().wrong == []


@pytest.mark.parametrize("verb", [verb for verb in commands() if verb in READS])
def test_ru26_a_command_that_reads_writes_nothing_either(
    auth: Any, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(tmp_path)
    assert run(tmp_path, verb, OTHER, monkeypatch) in {0, 1, 3}
    assert dump(tmp_path) == before


@pytest.mark.parametrize("secret", [KEY, f"{NEXT},{KEY}", f"{KEY},{NEXT}"], ids=["same", "new first", "old first"])
def test_ru26_the_right_secret_alone_or_among_others_goes_through(
    auth: Any, tmp_path: Path, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, "user add", secret, monkeypatch) == 0
    assert run(tmp_path, "session sweep", secret, monkeypatch) == 0


def test_ru26_after_a_rotation_the_newest_rows_count(
    auth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated = middleware(store=auth._services.audit, hasher=fast_hasher(), secret_key=[NEXT, KEY])
    sign_in(browser(rotated))
    assert run(tmp_path, "user unlock", NEXT, monkeypatch) == 0
    for _ in range(55):
        sign_in(browser(rotated))
    assert run(tmp_path, "user unlock", KEY, monkeypatch) == 2


def test_ru26_rubbish_among_the_rows_keeps_no_administrator_out(
    auth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "auth.db")) as connection, connection:
        connection.execute(
            "INSERT INTO nipo_auth_event"
            " (time, event, email, session, client_address, user_agent, actor, details, digest)"
            " SELECT time + 1e6, event, email, session, client_address, user_agent, actor, details, 'x'"
            " FROM nipo_auth_event LIMIT 20"
        )
    assert run(tmp_path, "user unlock", KEY, monkeypatch) == 0
    assert run(tmp_path, "user unlock", OTHER, monkeypatch) == 2


def test_ru26_a_key_that_left_is_told_as_such(
    auth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "audit verify", OTHER, monkeypatch) == 1
    told = capsys.readouterr().out
    assert "sealed with a key that is not among the secret keys" in told
    assert "NOT ALL VERIFIED" in told
    assert "FAULTS FOUND" not in told
    with closing(sqlite3.connect(tmp_path / "auth.db")) as connection, connection:
        connection.execute("UPDATE nipo_auth_event SET email = 'x@example.com', digest = 'x' WHERE id = 2")
    assert run(tmp_path, "audit verify", OTHER, monkeypatch) == 1
    assert "FAULTS FOUND" in capsys.readouterr().out, "a rotation hides no change"
    assert "changed" not in told
