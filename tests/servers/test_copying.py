"""A store moves between any two of SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nipo_auth_mw.errors import DatabaseUnavailable, EmailTaken
from nipo_auth_mw.stores import SQLStore, _copying
from nipo_auth_mw.stores._folding import folded_values
from tests._services import database
from tests.mechanisms.test_store_commands import moves
from tests.mechanisms.test_store_commands import run as run

KINDS = ("sqlite", "postgres", "mariadb")


@pytest.fixture
def url_of(tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """The URL of a new, empty database of a kind."""
    opened: list[Any] = []

    def make(kind: str, what: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/{what}.db"
        opened.append(database(kind, what))
        return str(opened[-1].__enter__())

    yield make
    for one in reversed(opened):
        one.__exit__(None, None, None)


@pytest.mark.parametrize(("before", "after"), [(a, b) for a in KINDS for b in KINDS if (a, b) != ("sqlite", "sqlite")])
def test_a_store_moves_between_any_two_databases(run: Any, url_of: Any, before: str, after: str) -> None:
    moves(run, url_of(before, "from"), url_of(after, "to"))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_backup_of_a_server_names_its_tool(run: Any, url_of: Any, tmp_path: Path, kind: str) -> None:
    url = url_of(kind, "dump")
    store = SQLStore(url)
    store.create_schema()
    store.close()
    code, _, err = run("store", "backup", str(tmp_path / "b.db"), store=url)
    assert code == 2
    assert "dump" in err
    assert not (tmp_path / "b.db").exists()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_id_that_is_in_use_is_not_told_as_an_address(url_of: Any, kind: str) -> None:
    """A copy by hand leaves the sequence of PostgreSQL behind. MariaDB follows the rows."""
    store = SQLStore(url_of(kind, "ids"))
    store.create_schema()
    with store._db.writing() as connection:
        row = {"id": 1, "email": "a@example.com", "active": True, "name": "", "role": "staff"}
        connection.execute(_copying._schema.account.insert().values(row | folded_values("a@example.com", "", "")))
    made = {"password_hash": None, "name": "", "role": "staff", "active": True}
    with pytest.raises(EmailTaken):
        store.create(email="a@example.com", **made)
    if kind == "postgres":
        # The refused one took an id of the sequence.
        with store._db.writing() as connection:
            connection.exec_driver_sql("SELECT setval(pg_get_serial_sequence('nipo_auth_account', 'id'), 1, false)")
        with pytest.raises(DatabaseUnavailable, match="store copy"):
            store.create(email="b@example.com", **made)
    assert store.create(email="b@example.com", **made).id != "1"
    store.close()
