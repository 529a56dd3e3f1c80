"""Who can read the database file, a backup and an export: row RU27 of what must hold."""

from __future__ import annotations

import errno
import json
import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from nipo_auth_mw.cli import cli
from nipo_auth_mw.environment import _kept_secret
from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.stores._copying import backup
from nipo_auth_mw.testing import fast_hasher
from tests.kit import browser, middleware, person, sign_in

FILES = ("auth.db", "auth.db-wal", "auth.db-shm")


@pytest.fixture(autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Takes no right from a new file, unless the test says otherwise."""
    before = os.umask(getattr(request, "param", 0o000))
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}


def plain(folder: Path) -> Path:
    return folder / "auth.db"


def linked(target: str) -> Callable[[Path], Path]:
    """A way to the file over a symbolic link that leads to nothing yet."""

    def make(folder: Path) -> Path:
        (folder / "links").mkdir(exist_ok=True)
        link = folder / "links" / "here.db"
        link.symlink_to(target.format(folder=folder))
        return link

    return make


def linked_twice(folder: Path) -> Path:
    first = linked("{folder}/auth.db")(folder)
    second = folder / "links" / "second.db"
    second.symlink_to(first)
    return second


def in_a_linked_folder(folder: Path) -> Path:
    (folder / "links").symlink_to(folder)
    return folder / "links" / "auth.db"


PLACES = {
    "plain": plain,
    "dangling link": linked("{folder}/auth.db"),
    "relative dangling link": linked("../auth.db"),
    "link to a link": linked_twice,
    "linked folder": in_a_linked_folder,
}


def used(store: SQLStore) -> None:
    """Everything that makes files: tables, rows and counters of people who sign in."""
    auth = middleware(store=store, hasher=fast_hasher())
    person(auth)
    assert sign_in(browser(auth)).status_int == 303


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("given", ["url", "engine"])
def test_ru27_a_file_and_those_beside_it_are_the_owners(
    tmp_path: Path, place: Callable[[Path], Path], given: str
) -> None:
    url = f"sqlite:///{place(tmp_path)}"
    store = SQLStore(url if given == "url" else sa.create_engine(url))
    store.create_schema()
    used(store)
    assert modes(tmp_path) == dict.fromkeys(FILES, 0o600)
    store.close()


@pytest.mark.parametrize("umask", [0o022, 0o077], ids="{:03o}".format, indirect=True)
def test_ru27_so_they_are_with_any_umask(tmp_path: Path) -> None:
    test_ru27_a_file_and_those_beside_it_are_the_owners(tmp_path, plain, "url")


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("given", ["url", "engine"])
def test_ru27_a_server_makes_no_file_before_the_tables(
    tmp_path: Path, place: Callable[[Path], Path], given: str
) -> None:
    url = f"sqlite:///{place(tmp_path)}"
    early = SQLStore(url if given == "url" else sa.create_engine(url))
    for ask in (lambda: early.get("1"), lambda: early.find_by_email("a@example.com"), lambda: early.counters.get("x")):
        with pytest.raises(StoreUnavailable, match="is missing: put it back, or run nipo-auth init"):
            ask()
    assert modes(tmp_path) == {}
    store = SQLStore(url)
    store.create_schema()
    used(store)
    assert modes(tmp_path) == dict.fromkeys(FILES, 0o600)
    store.close()
    early.close()


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o604, 0o777, 0o646])
def test_ru27_an_older_file_loses_the_rights_of_all_others(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "auth.db"
    first = SQLStore(f"sqlite:///{path}")
    first.create_schema()
    used(first)
    for file in tmp_path.iterdir():
        file.chmod(mode)
    store = SQLStore(f"sqlite:///{path}")
    store.check()
    assert set(modes(tmp_path).values()) == {mode & 0o770}
    first.close()
    store.close()


def test_ru27_the_command_line_makes_it_the_same_way(tmp_path: Path) -> None:
    link = linked("{folder}/auth.db")(tmp_path)
    environ = {"NIPO_AUTH_SECRET_KEY": secrets.token_urlsafe(32), "NIPO_AUTH_STORE": f"sqlite:///{link}"}
    command = ["init", "--email", "a@example.com", "--password-stdin", "--json"]
    done = CliRunner().invoke(cli, command, env=environ, input="aoi-umi-to-shiroi-kumo\n")
    assert json.loads(done.stdout)[0]["role"] == "admin", done.stderr
    assert set(modes(tmp_path).values()) == {0o600}


def written(folder: Path, what: str, name: str) -> int:
    """The exit code of a command that writes a file into the folder."""
    store = SQLStore(f"sqlite:///{folder}/auth.db")
    store.create_schema()
    store.close()
    environ = {"NIPO_AUTH_STORE": f"sqlite:///{folder}/auth.db", "NIPO_AUTH_SECRET_KEY": secrets.token_urlsafe(48)}
    return CliRunner().invoke(cli, [*what.split(), str(folder / name)], env=environ).exit_code


@pytest.mark.usefixtures("quick_hashes")
@pytest.mark.parametrize("what", ["user export", "store backup"])
def test_ru27_a_new_file_follows_no_link_and_takes_no_file_of_another(tmp_path: Path, what: str) -> None:
    (tmp_path / "planted").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "there").write_text("theirs")
    for name in ("planted", "there"):
        assert written(tmp_path, what, name) in {1, 2}
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "there").read_text() == "theirs"
    assert written(tmp_path, what, "made") == 0
    assert modes(tmp_path)["made"] == 0o600


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system calls find a file system such as CIFS or FAT."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("quick_hashes", "without_links")
def test_ru27_where_a_file_system_has_no_links_the_same_holds(tmp_path: Path) -> None:
    test_ru27_a_new_file_follows_no_link_and_takes_no_file_of_another(tmp_path, "store backup")
    assert sorted(name for name in modes(tmp_path) if not name.startswith("auth.db")) == ["made", "there"]
    with closing(sqlite3.connect(tmp_path / "made")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    secret = _kept_secret(tmp_path / "secret_key")
    assert (_kept_secret(tmp_path / "secret_key"), len(secret)) == (secret, 64)
    assert modes(tmp_path)["secret_key"] == 0o600
    assert not list(tmp_path.glob(".secret_key*"))


def test_ru27_a_backup_is_not_written_into_a_file_that_another_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/auth.db")
    store.create_schema()
    monkeypatch.setattr(secrets, "token_hex", lambda _: "known")
    planted = tmp_path / ".copy.db.known.part"
    planted.touch(0o666)
    with pytest.raises(ConfigError):
        backup(store, tmp_path / "copy.db", lambda *_: None)
    assert not planted.exists() or planted.stat().st_size == 0
    assert not (tmp_path / "copy.db").exists()
