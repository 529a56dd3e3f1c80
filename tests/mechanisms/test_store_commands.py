"""`nipo-auth store copy` and `backup`, `user import`, `mail test`: an app that moves."""

from __future__ import annotations

import errno
import io
import json
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from nipo_auth_mw.cli import cli, main
from nipo_auth_mw.cli._context import Context
from nipo_auth_mw.errors import ConfigError, MailerError, NotSupported
from nipo_auth_mw.stores import MemoryStore, SQLStore, _copying
from nipo_auth_mw.testing import MemoryMailer, fast_hasher
from nipo_auth_mw.testing.contracts.factors import a_factor, digests
from tests.kit import PASSWORD, browser, middleware, person, seen, sign_in

pytestmark = pytest.mark.usefixtures("quick_hashes")
SECRET = "the-key-of-the-server-" * 3


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `nipo-auth`. Returns the exit code, the output and the errors."""
    monkeypatch.setenv("NIPO_AUTH_SECRET_KEY", SECRET)

    def call(*arguments: str, store: str = "", **settings: str) -> tuple[int, str, str]:
        monkeypatch.setenv("NIPO_AUTH_STORE", store or f"sqlite:///{tmp_path}/auth.db")
        for name, value in settings.items():
            monkeypatch.setenv(f"NIPO_AUTH_{name}", value)
        try:
            main(list(arguments))
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def lived_in(url: str) -> tuple[Any, Any]:
    """A store with users, sessions, a sealed audit log, a deleted account with the highest id, and a mail."""
    store = SQLStore(url)
    store.create_schema()
    auth = middleware(store=store, hasher=fast_hasher(), secret_key=SECRET, base_url="https://example.com")
    admin = person(auth, email="admin@example.com", role="admin", name="山田 \U0001f600", language="ja")
    person(auth, email="b@example.com", active=False)
    gone = person(auth, email="gone@example.com")
    auth.accounts.set_password(admin.id, PASSWORD + "2", must_change=True)
    auth.accounts.set_password(admin.id, PASSWORD)
    test_app = browser(auth, **{"wsgi.url_scheme": "https", "HTTP_HOST": "example.com"})
    assert sign_in(test_app, "admin@example.com").status_int == 303
    auth.accounts.delete(gone.id)
    store.add_factor(a_factor(f"app:{admin.id}", admin.id))
    store.replace_backup_codes(admin.id, digests("a"))
    auth.sweep()
    return store, test_app


def moves(run: Any, source_url: str, target_url: str) -> None:
    """Everything of a store is in another database, and nothing in it is lost."""
    source, test_app = lived_in(source_url)
    code, out, err = run("store", "copy", "--to", target_url, store=source_url)
    assert code == 0, out + err
    assert "verified: as in the source" in out
    target = SQLStore(target_url)
    auth = middleware(store=target, hasher=fast_hasher(), secret_key=SECRET, base_url="https://example.com")
    test_app.app = auth
    assert seen(test_app) == "1", "the session goes on"
    old = middleware(store=source, hasher=fast_hasher(), secret_key=SECRET)
    assert old.accounts.search() == auth.accounts.search()
    rows = [list(one.audit.events(limit=999)) for one in (old._services, auth._services)]
    assert rows[0] == rows[1]
    assert auth._services.seals.verify().wrong == []
    assert len(target.mails(limit=99)) == len(source.mails(limit=99))
    admin = auth.accounts.find("admin@example.com")
    assert target.factors_of(admin.id) == source.factors_of(admin.id) == [a_factor(f"app:{admin.id}", admin.id)]
    assert sorted(target.backup_codes(admin.id)) == digests("a")
    ids = {event.user_id for event in rows[1]}
    assert person(auth, email="next@example.com").id not in ids, "no id is given twice"
    auth.sweep()
    assert auth._services.seals.verify().wrong == []
    refused = run("store", "copy", "--to", target_url, store=source_url)
    assert (refused[0], "already holds rows" in refused[2]) == (2, True)
    source.close()
    target.close()


def test_a_store_moves_from_a_file_to_a_file(run: Any, tmp_path: Path) -> None:
    moves(run, f"sqlite:///{tmp_path}/from.db", f"sqlite:///{tmp_path}/to.db")


def test_an_interrupted_copy_leaves_nothing_and_can_be_run_again(tmp_path: Path, monkeypatch: Any) -> None:
    source, _ = lived_in(f"sqlite:///{tmp_path}/a.db")
    target = SQLStore(f"sqlite:///{tmp_path}/b.db")

    def interrupt(table: str, done: int, every: int) -> None:
        if table == "nipo_auth_event" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _copying.copy_store(source, target, interrupt)
    assert target.search("", after=None, limit=9) == []
    assert _copying.copy_store(source, target, lambda *_: None)["nipo_auth_account"] == 2
    with pytest.raises(ConfigError, match="same database"):
        _copying.copy_store(source, SQLStore(f"sqlite:///{tmp_path}/./a.db"), lambda *_: None)
    source.close()
    target.close()


def test_every_table_is_copied_or_left_out_for_a_reason() -> None:
    left = set(_copying._schema.tables_for("").sorted_tables) - set(_copying._TABLES)
    assert {table.name for table in left} == {"nipo_auth_counter", "nipo_auth_schema_version"}


def test_a_copy_that_lost_a_row_on_its_way_is_told(run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    source, _ = lived_in(f"sqlite:///{tmp_path}/auth.db")
    source.close()
    real = _copying._copy_table

    def lose(read: Any, write: Any, table: Any, progress: Any) -> int:
        copied = real(read, write, table, progress)
        if table.name == "nipo_auth_event":
            write.exec_driver_sql("DELETE FROM nipo_auth_event WHERE id = 2")
        return copied

    monkeypatch.setattr(_copying, "_copy_table", lose)
    code, out, _ = run("store", "copy", "--to", f"sqlite:///{tmp_path}/to.db")
    assert (code, "IS NOT AS IN THE SOURCE" in out) == (1, True)


def test_a_backup_has_what_the_log_of_writes_has_and_is_its_owners(run: Any, tmp_path: Path) -> None:
    store, _ = lived_in(f"sqlite:///{tmp_path}/auth.db")
    file = tmp_path / "backup.db"
    assert run("store", "backup", str(file))[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        events, factors, codes = (
            copy.execute(f"SELECT count(*) FROM nipo_auth_{table}").fetchone()[0]
            for table in ("event", "factor", "backup_code")
        )
    assert (events, factors, codes) == (len(store.events(limit=999)), 1, 10)
    assert sorted(one.name for one in tmp_path.iterdir() if "backup" in one.name) == ["backup.db"]
    assert run("audit", "verify", store=f"sqlite:///{file}")[0] == 0
    code, _, err = run("store", "backup", str(file))
    assert (code, "exists" in err) == (2, True)
    code, _, err = run("store", "backup", str(tmp_path / "no" / "b.db"))
    assert (code, "Traceback" in err) == (3, False)
    store.close()


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk(io.BytesIO):
    """A file that takes the first half."""

    def __init__(self, descriptor: int, _mode: str) -> None:
        super().__init__()
        self.descriptor = descriptor

    def write(self, data: Any) -> int:
        os.write(self.descriptor, data[: len(data) // 2])
        raise FULL

    def close(self) -> None:
        if not self.closed:
            os.close(self.descriptor)
        super().close()


@pytest.mark.parametrize(
    "command",
    [
        ["user", "export", "{}/list.csv"],
        ["store", "backup", "{}/backup.db"],
        ["i18n", "init", "fr", "--templates", "{}/pages"],
        ["dev-cert", "localhost", "--folder", "{}"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_disk_that_is_full_and_a_folder_that_is_missing_are_told_and_leave_no_half_a_file(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Half a list of accounts looks like a whole one."""
    store = SQLStore(f"sqlite:///{tmp_path}/auth.db")
    store.create_schema()
    store.close()
    folder = tmp_path / "written"
    folder.mkdir()
    for place, reason in ((folder, "No space left on device"), (tmp_path / "auth.db" / "x", "Not a directory")):
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdopen", FullDisk)
            patched.setattr(_copying, "give_name", mock.Mock(side_effect=FULL))
            code, out, err = run(*(part.format(place) for part in command))
        assert code in {1, 3}
        assert reason in err
        assert "Traceback" not in err
        assert out == ""
    assert [path for path in folder.rglob("*") if path.is_file()] == []


# user import

WERKZEUG = "pbkdf2:sha256:100$salt$" + "00" * 32
ROWS = f"""email;Name;role;password_hash;active;must_change
A@Example.com;山田;admin;{WERKZEUG};yes;
b@example.com;;;;0;
b@EXAMPLE.com;;;;;
no address;;;;;
c@example.com;;boss;;;
d@example.com;;;plain text;;
e@example.com;;;;perhaps;
f@example.com;;;!unusable;1;
"""


@pytest.fixture
def ready(run: Any, make_once: Any, tmp_path: Path) -> Any:
    """`nipo-auth` with an administrator."""

    def init() -> None:
        with mock.patch("sys.stdin", io.StringIO(PASSWORD + "\n")):
            assert run("init", "--email", "admin@example.com", "--password-stdin")[0] == 0

    make_once(tmp_path / "auth.db", init)
    return run


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_file_is_imported_row_by_row(ready: Any, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(ROWS.encode(encoding))
    code, out, _ = ready("user", "import", str(file), "--dry-run", "--json")
    dry = json.loads(out)
    assert (code, dry["created"], dry["dry_run"]) == (1, 3, True)
    assert len(ready("user", "list")[1].splitlines()) == 1, "a dry run writes nothing"
    code, out, err = ready("user", "import", str(file), "--json")
    assert (code, err) == (1, ""), "no bar outside a terminal"
    told = json.loads(out)
    assert told["refused"] == dry["refused"]
    assert {one["line"]: one["code"] for one in told["refused"]} == {
        4: "email_twice",
        5: "email_rejected",
        6: "unknown_role",
        7: "hash_rejected: an unknown system, unknown_kind",
        8: "broken_row",
    }
    assert told["hashes"] == ["Werkzeug"]
    listed = {one["email"]: one for one in json.loads(ready("user", "list", "--json")[1])}
    assert (listed["a@example.com"]["name"], listed["a@example.com"]["role"]) == ("山田", "admin")
    assert listed["b@example.com"]["active"] is False
    assert listed["f@example.com"]["active"] is True
    again = json.loads(ready("user", "import", str(file), "--json")[1])
    assert again["created"] == 0, "a run that was interrupted can be run again"
    text = ready("user", "import", str(file))[1]
    assert "0 accounts created, 8 rows refused" in text
    assert "b@example.com: email_taken (This email is already registered)" in text
    assert WERKZEUG not in text + out


def test_json_and_an_export_of_firebase_are_imported(ready: Any, tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    file.write_text(json.dumps([{"email": "a@example.com", "name": None, "active": True}]))
    code, out, _ = ready("user", "import", str(file))
    assert (code, out) == (0, "1 account created, 0 rows refused\n")
    users = [
        {"localId": "x", "email": "g@example.com", "displayName": "G", "disabled": True, "providerUserInfo": []},
        {"localId": "y", "phoneNumber": "+81", "createdAt": "1"},
        {"localId": "z", "email": "h@example.com", "passwordHash": "lSrf", "salt": "42xE"},
    ]
    file.write_text(json.dumps({"users": users}))
    told = json.loads(ready("user", "import", str(file), "--json")[1])
    assert told["created"] == 1
    # Without the project's parameters nothing could be compared: --app has them.
    assert {one["line"]: one["code"] for one in told["refused"]} == {
        2: "email_rejected",
        3: "hash_rejected: Firebase, unknown_kind",
    }


@pytest.mark.parametrize(
    "content",
    [
        b"name\nx\n",
        b"email,password\nx,y\n",
        b"email,email\nx,y\n",
        b"",
        b"{]",
        b'{"users": 1}',
        b'["x"]',
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0",
        b'[{"email": "a@example.com", "passwort": "x"}]',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'email\n"x' + b"y" * 200_000,
    ],
)
def test_a_file_that_is_no_list_is_refused_and_nothing_is_written(ready: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "people"
    file.write_bytes(content)
    code, _, err = ready("user", "import", str(file))
    assert code == 2
    assert "Traceback" not in err
    assert len(ready("user", "list")[1].splitlines()) == 1


def test_a_list_of_an_office_is_imported_and_everybody_without_a_password_invited(ready: Any, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    listed = f"""氏名,フリガナ,メール,権限,状態,メモ,password_hash
山田,ヤマダ,a@example.com,管理者,有効,朝番,
鈴木,スズキ,b@nippo.invalid,,,,
佐藤,サトウ,c@example.com,,無効,,
高橋,タカハシ,d@example.com,,,,{WERKZEUG}
"""
    file.write_bytes(listed.encode("cp932"))
    assert ready("user", "import", str(file), "--invite", "--dry-run", "--json")[0] == 0
    assert len(ready("user", "list")[1].splitlines()) == 1
    code, out, _ = ready("user", "import", str(file), "--invite", "--json")
    told = json.loads(out)
    assert (code, told["created"]) == (0, 4)
    # No mailer: each link is in the report alone.
    assert [one["email"] for one in told["invited"]] == ["a@example.com", "b@nippo.invalid"]
    assert all("/invite/" in one["link"] for one in told["invited"])
    listed = {one["email"]: one for one in json.loads(ready("user", "list", "--json")[1])}
    assert (listed["a@example.com"]["role"], listed["c@example.com"]["active"]) == ("admin", False)
    file.write_text("email\ne@example.com\n")
    text = ready("user", "import", str(file), "--invite")[1]
    assert "e@example.com http" in text


def test_what_is_exported_can_be_imported(ready: Any, tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    assert ready("user", "export", str(file))[0] == 0
    assert file.stat().st_mode & 0o077 == 0
    out = ready("user", "import", str(file), "--dry-run", "--json")[1]
    assert [one["code"] for one in json.loads(out)["refused"]] == ["email_taken"]
    assert ready("user", "export", str(file))[0] == 2, "no file is overwritten"


def test_a_column_that_would_be_lost_is_refused(ready: Any, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("メール,社員番号\na@example.com,17\n")
    code, _, err = ready("user", "import", str(file))
    assert (code, "社員番号" in err) == (2, True)


def test_a_cell_cannot_steer_the_terminal(ready: Any, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email\n\x1b[2Jx\n")
    code, out, _ = ready("user", "import", str(file))
    assert (code, "\x1b" in out) == (1, False)


def test_role_email_and_name_are_changed_from_a_shell(ready: Any) -> None:
    assert ready("user", "add", "b@example.com", "--no-password")[0] == 0
    assert ready("user", "role", "b@example.com", "admin")[0] == 0
    code, _, err = ready("user", "role", "b@example.com", "amdin")
    assert (code, "unknown_role" in err) == (1, True)
    assert ready("user", "name", "b@example.com", "鈴木")[0] == 0
    assert ready("user", "email", "b@example.com", "C@example.com")[0] == 0
    (found,) = json.loads(ready("user", "list", "c@example.com", "--json")[1])
    assert (found["email"], found["name"], found["role"]) == ("c@example.com", "鈴木", "admin")
    code, _, err = ready("user", "email", "c@example.com", "admin@example.com")
    assert (code, "email_taken" in err) == (1, True)


# mail test


class Refusing:
    """A mail server that takes no mail."""

    problem: Exception = MailerError("550 no such user", permanent=True)

    def send(self, message: Any) -> None:
        raise self.problem


def test_a_test_mail_goes_out_at_once_or_says_why_not(capsys: Any) -> None:
    mailer = MemoryMailer()
    for given, problem, code, told in (
        (mailer, None, 0, "took a mail to ops@example.com"),
        (Refusing(), None, 1, "550 no such user"),
        (Refusing(), OSError("secret of the mailer"), 1, "OSError"),
    ):
        if problem is not None:
            given.problem = problem  # type: ignore[union-attr]
        app = middleware(mailer=given)
        with pytest.raises(SystemExit) as end:
            cli.commands["mail"].main(["test", "ops@example.com"], obj=Context("", app))
        printed = "".join(capsys.readouterr())
        assert ((end.value.code or 0), told in printed) == (code, True), printed
        assert "secret" not in printed
    (message,) = mailer.outbox
    assert (message.to, "mail test" in message.text) == ("ops@example.com", True)


def test_a_test_mail_needs_the_apps_mailer(ready: Any) -> None:
    code, _, err = ready("mail", "test", "ops@example.com")
    assert (code, "--app" in err) == (2, True)


# init


def test_init_makes_the_tables_alone(run: Any) -> None:
    code, out, _ = run("init", "--tables-only")
    assert (code, out) == (0, "the tables are ready\n")
    assert run("user", "list")[1] == ""


def test_init_leaves_the_apps_own_table_alone(tmp_path: Path, capsys: Any) -> None:
    store, users = SQLStore(f"sqlite:///{tmp_path}/auth.db"), MemoryStore()

    class Own:
        get, find_by_email, set_password_hash = users.get, users.find_by_email, users.set_password_hash

    store.create_schema()
    app = middleware(store=store, users=Own())
    for arguments in (["init"], ["init", "--email", "boss@example.com"]):
        with pytest.raises(SystemExit) as end:
            cli.commands["init"].main(arguments[1:], obj=Context("", app))
        assert not end.value.code
        told = "the tables are ready; accounts are made by the app, which has a user table of its own\n"
        assert capsys.readouterr().out == told
    assert store.search("", after=None, limit=9) == []
    with pytest.raises(NotSupported):
        cli.commands["user"].main(
            ["add", "boss@example.com", "--no-password"], obj=Context("", app), standalone_mode=False
        )
    assert store.search("", after=None, limit=9) == [], "never in a table that the app does not use"
    store.close()
