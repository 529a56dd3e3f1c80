"""`nipo-auth store`: move a store to another database, and back it up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from nipo_auth_mw._services import Services
from nipo_auth_mw.cli._context import Context, counted, json_option, services_over, show_one, sql_store_at
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.stores._copying import backup, copy_store
from nipo_auth_mw.stores._sql import SQLStore


@click.group("store")
def store() -> None:
    """Move a store to another database, and back it up."""


@store.command()
@click.option("--to", "url", required=True, metavar="URL", help="The empty database, such as postgresql+psycopg://….")
@json_option
@click.pass_obj
def copy(context: Context, url: str, as_json: bool) -> None:
    """Copy everything into an empty SQLite, PostgreSQL or MariaDB database, and verify the audit log there.

    Stop the servers first: what they write meanwhile is not copied. Ids, sessions and seals stay valid under the same
    secret. Attempt counters begin afresh. An interrupted copy leaves the target empty. Exit code 1 if the copied audit
    log has a fault that the source has not.
    """
    with context.services(writes=False) as services, _opened(url) as target:
        rows = copy_store(_own(services), target, _progress)
        before, after = services.seals.verify(), services_over(services.config, target).seals.verify()
    same = (before.rows, before.anchor, before.wrong) == (after.rows, after.anchor, after.wrong)
    verdict = "verified: as in the source" if same else "IS NOT AS IN THE SOURCE"
    faults = f", with {counted(len(after.wrong), 'fault')} that the source has too" if same and after.wrong else ""
    lines = [f"{counted(number, 'row')} in {name}" for name, number in rows.items()]
    lines.append(f"the audit log of {counted(after.rows, 'row')} {verdict}{faults}")
    show_one({"rows": rows, "audit_rows": after.rows, "audit_same": same}, as_json, "\n".join(lines))
    if not same:
        sys.exit(1)


@store.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def backup_(context: Context, file: Path, as_json: bool) -> None:
    """Write an SQLite store into a new FILE, while servers run. Only its owner can read it.

    For PostgreSQL and MariaDB use their own tools; this command names them.
    """
    with context.services(needs_secret=False, writes=False) as services:
        backup(_own(services), file, _progress)
    show_one({"file": str(file)}, as_json, f"wrote {file}")


@contextmanager
def _opened(url: str) -> Iterator[SQLStore]:
    """The store at this URL, closed afterwards."""
    opened = sql_store_at(url, "--to")
    try:
        yield opened
    finally:
        opened.close()


def _own(services: Services) -> SQLStore:
    """The `SQLStore` that holds the sessions. Raises `ConfigError` for a store of another kind."""
    found = services.session_store
    if not isinstance(found, SQLStore):
        raise ConfigError("store", f"{type(found).__name__} is no SQLStore", "Copy it with its own tools.")
    return found


def _progress(what: str, done: int, every: int) -> None:
    """One line on standard error for each table, written over while it is copied."""
    if sys.stderr.isatty():
        click.echo(f"\r{what}: {done} of {every}", err=True, nl=done >= every)
