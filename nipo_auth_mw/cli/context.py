"""What every command has: the store, the settings, and how it answers."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

import click

from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError, NoSuchAccount
from nipo_auth_mw.models import User
from nipo_auth_mw.parts import services
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.stores.sql import SQLStore

ACTOR = "cli"
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
stdin_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


class Context:
    """One invocation: which store, and the settings from `NIPO_AUTH_*`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def store(self) -> SQLStore:
        if self.url.startswith("sqlite:") and not self.url.startswith("sqlite:////"):
            mend = "Write sqlite:////absolute/path/auth.db, with four slashes."
            raise ConfigError("--store", "a relative path means one file to the server and another to this shell", mend)
        return SQLStore(self.url)

    def config(self, *, needs_secret: bool = False) -> AuthConfig:
        """The server's settings. `needs_secret`: the command must know what is keyed with the server's secret."""
        settings = dict(os.environ)
        if "NIPO_AUTH_SECRET_KEY" not in settings:
            if needs_secret:
                mend = "Give this shell the server's NIPO_AUTH_SECRET_KEY."
                problem = "is missing, and what this command reads or writes is keyed with it"
                raise ConfigError("NIPO_AUTH_SECRET_KEY", problem, mend)
            settings["NIPO_AUTH_SECRET_KEY"] = secrets.token_urlsafe(48)
        settings.setdefault("NIPO_AUTH_BASE_URL", "http://localhost")
        return AuthConfig.from_mapping(settings)

    @contextmanager
    def services(self, *, needs_secret: bool = True, create_schema: bool = False) -> Iterator[Services]:
        """Everything a use case needs. Rows of the history are keyed, so what writes any needs the secret."""
        config = self.config(needs_secret=needs_secret)
        store = self.store()
        try:
            if create_schema:
                store.create_schema()
            store.check()
            yield services.build(
                config,
                Pages(config),
                store=store,
                users=None,
                sessions=None,
                audit=None,
                mailer=None,
                hasher=None,
                listeners=(),
            )
        finally:
            store.close()

    @contextmanager
    def accounts(self, *, needs_secret: bool = True, create_schema: bool = False) -> Iterator[Accounts]:
        with self.services(needs_secret=needs_secret, create_schema=create_schema) as built:
            yield Accounts(built, actor=ACTOR)


def find(accounts: Accounts, who: str) -> User:
    """Whoever is called so: by address, else by id. Raises `NoSuchAccount`."""
    found = accounts.find(who) if "@" in who else accounts.get(who)
    if found is None:
        raise NoSuchAccount(f"nobody is called {who!r}")
    return found


def read_password(from_stdin: bool) -> str:
    """Never an argument: those show in `ps` and in the shell's history."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def show(rows: Sequence[dict[str, Any]], as_json: bool, *columns: str) -> None:
    """One line a row with these columns between tabs, or all that is in them as JSON."""
    if as_json:
        click.echo(json.dumps(list(rows), ensure_ascii=False, indent=2))
        return
    for row in rows:
        click.echo("\t".join(_cell(row[column]) for column in columns))


def show_one(row: dict[str, Any], as_json: bool, text: str = "") -> None:
    """What a change did: as JSON, or as `text`, if there is any to say."""
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False, indent=2))
    elif text:
        click.echo(text)


def user_row(user: User) -> dict[str, Any]:
    return asdict(user) | {"state": "active" if user.active else "disabled"}


def _cell(value: Any) -> str:
    # A name or a browser's own words must not be able to write a second line, or steer the terminal.
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
