"""`nipo-auth`: the accounts, for a shell."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import AccountError, AuthError, ConfigError, NoSuchAccount, StoreUnavailable
from nipo_auth_mw.models import User
from nipo_auth_mw.parts import services
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.stores.sql import SQLStore

_EXIT_REFUSED, _EXIT_CONFIG, _EXIT_OUTAGE = 1, 2, 3


class _Context:
    """One invocation: which store, and the settings from `NIPO_AUTH_*`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def store(self) -> SQLStore:
        if self.url.startswith("sqlite:") and not self.url.startswith("sqlite:////"):
            mend = "Write sqlite:////absolute/path/auth.db, with four slashes."
            raise ConfigError("--store", "a relative path means one file to the server and another to this shell", mend)
        return SQLStore(self.url)

    @contextmanager
    def accounts(self, *, needs_secret: bool = False, create_schema: bool = False) -> Iterator[Accounts]:
        """`needs_secret`: the command must find counters, whose names are keyed with the server's secret."""
        settings = dict(os.environ)
        if "NIPO_AUTH_SECRET_KEY" not in settings:
            if needs_secret:
                mend = "Give this shell the server's NIPO_AUTH_SECRET_KEY."
                raise ConfigError(
                    "NIPO_AUTH_SECRET_KEY", "is missing, and locks are kept under names made with it", mend
                )
            settings["NIPO_AUTH_SECRET_KEY"] = secrets.token_urlsafe(48)
        settings.setdefault("NIPO_AUTH_BASE_URL", "http://localhost")
        config = AuthConfig.from_mapping(settings)
        store = self.store()
        try:
            if create_schema:
                store.create_schema()
            store.check()
            built = services.build(
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
            yield Accounts(built, actor="cli")
        finally:
            store.close()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--store", "url", envvar="NIPO_AUTH_STORE", required=True, metavar="URL", help="Such as sqlite:////srv/auth.db"
)
@click.pass_context
def cli(context: click.Context, url: str) -> None:
    """Accounts of an app that is protected by nipo_auth_mw. Settings come from NIPO_AUTH_* as in the server."""
    context.obj = _Context(url)


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@cli.command()
@click.option("--email", prompt="Address of the first administrator", help="The first administrator's address.")
@click.option("--name", default="", help="Their name.")
@_stdin
@_json
@click.pass_obj
def init(context: _Context, email: str, name: str, password_stdin: bool, as_json: bool) -> None:
    """Create the tables and the first administrator. Safe to run again."""
    with context.accounts(create_schema=True) as accounts:
        if (user := accounts.find(email)) is None:
            password = _read_password(password_stdin)
            user = accounts.create(email=email, password=password, name=name, role="admin")
        _show([user], as_json)


@cli.group()
def user() -> None:
    """Accounts, named by their address or id."""


@user.command("add")
@click.argument("email")
@click.option("--name", default="")
@click.option("--role", default="staff", show_default=True)
@click.option("--no-password", is_flag=True, help="Nobody can sign in until a password is set.")
@_stdin
@_json
@click.pass_obj
def add(
    context: _Context, email: str, name: str, role: str, no_password: bool, password_stdin: bool, as_json: bool
) -> None:
    """Create an account."""
    with context.accounts() as accounts:
        password = None if no_password else _read_password(password_stdin)
        _show([accounts.create(email=email, password=password, name=name, role=role)], as_json)


@user.command("list")
@click.argument("text", default="")
@_json
@click.pass_obj
def list_(context: _Context, text: str, as_json: bool) -> None:
    """List accounts whose address or name contains TEXT."""
    with context.accounts() as accounts:
        found: list[User] = []
        while page := accounts.search(text, after=found[-1].email if found else None, limit=500):
            found += page
        _show(found, as_json)


@user.command()
@click.argument("who")
@click.pass_obj
def disable(context: _Context, who: str) -> None:
    """Refuse sign-in and end every session at once."""
    with context.accounts() as accounts:
        accounts.set_active(_find(accounts, who).id, False)


@user.command()
@click.argument("who")
@click.pass_obj
def enable(context: _Context, who: str) -> None:
    """Let the person sign in again."""
    with context.accounts() as accounts:
        accounts.set_active(_find(accounts, who).id, True)


@user.command()
@click.argument("who")
@_stdin
@click.pass_obj
def password(context: _Context, who: str, password_stdin: bool) -> None:
    """Set a password; every session of the account ends, and its lock."""
    with context.accounts(needs_secret=True) as accounts:
        found = _find(accounts, who)
        accounts.set_password(found.id, _read_password(password_stdin))


@user.command()
@click.argument("who")
@click.pass_obj
def unlock(context: _Context, who: str) -> None:
    """Clear the count of wrong passwords and the lock."""
    with context.accounts(needs_secret=True) as accounts:
        accounts.unlock(_find(accounts, who).id)


def _find(accounts: Accounts, who: str) -> User:
    found = accounts.find(who) if "@" in who else accounts.get(who)
    if found is None:
        raise NoSuchAccount(f"nobody is called {who!r}")
    return found


def _read_password(from_stdin: bool) -> str:
    """Never an argument: those show in `ps` and in the shell's history."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _show(users: list[User], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(user) for user in users], ensure_ascii=False, indent=2))
        return
    for user in users:
        state = "active" if user.active else "disabled"
        click.echo("\t".join([user.id, user.email, user.role, state, user.name]))


def main(arguments: list[str] | None = None) -> Any:
    """Exit codes: 0 done, 1 refused, 2 wrong usage or settings, 3 the store is out of reach."""
    try:
        return cli.main(arguments, prog_name="nipo-auth", auto_envvar_prefix=None)
    except ConfigError as error:
        code, text = _EXIT_CONFIG, str(error)
    except StoreUnavailable as error:
        code, text = _EXIT_OUTAGE, str(error)
    except AccountError as error:
        code, text = _EXIT_REFUSED, f"{error.code}: {error}"
    except AuthError as error:
        code, text = _EXIT_REFUSED, str(error)
    click.echo(f"nipo-auth: {text}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
