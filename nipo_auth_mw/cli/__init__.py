"""`nipo-auth`: accounts, sessions and the audit log on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from nipo_auth_mw._flows.staff import check_new_account
from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.cli._audit import audit
from nipo_auth_mw.cli._check import check
from nipo_auth_mw.cli._context import (
    ACTOR,
    Context,
    bear_any_terminal,
    json_option,
    read_password,
    show,
    show_one,
    stdin_option,
    user_row,
)
from nipo_auth_mw.cli._dev_cert import dev_cert
from nipo_auth_mw.cli._i18n import i18n
from nipo_auth_mw.cli._mail import mail
from nipo_auth_mw.cli._sessions import session
from nipo_auth_mw.cli._store import store
from nipo_auth_mw.cli._users import user
from nipo_auth_mw.errors import AccountError, AuthError, ConfigError, HashingFailed, PasswordRejected, StoreUnavailable
from nipo_auth_mw.middleware import AuthMiddleware

_EXIT_REFUSED, _EXIT_CONFIG, _EXIT_OUTAGE = 1, 2, 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--store",
    "url",
    envvar="NIPO_AUTH_STORE",
    default="",
    metavar="URL",
    help="The store, such as sqlite:////srv/auth.db.",
)
@click.option(
    "--app",
    envvar="NIPO_AUTH_APP",
    default="",
    metavar="MODULE:NAME",
    help="The app behind the middleware, such as reports:app or reports:create_app(), with its settings and its users.",
)
@click.version_option(package_name="nipo_auth_mw")
@click.pass_context
def cli(context: click.Context, url: str, app: str) -> None:
    """Manage the accounts of an app behind nipo_auth_mw. Settings come from NIPO_AUTH_*, as in the server, or from the
    app itself."""
    context.obj = Context(url, app)


@cli.command()
@click.option("--email", default="", help="Address of the first administrator; asked for if it is not given.")
@click.option(
    "--tables-only",
    is_flag=True,
    help="Create no administrator: there is one, or the app has its own users.",
)
@click.option("--name", default="", help="Name of the first administrator.")
@stdin_option
@json_option
@click.pass_obj
def init(context: Context, email: str, tables_only: bool, name: str, password_stdin: bool, as_json: bool) -> None:
    """Create the tables and the first administrator. Safe to run again."""
    with context.services(create_schema=True) as services:
        if tables_only or services.directory is None:
            own = "" if tables_only else "; accounts are made by the app, which has a user table of its own"
            show_one({"tables": "ready"}, as_json, f"the tables are ready{own}")
            return
        accounts = Accounts(services, actor=ACTOR)
        email = email or click.prompt("Address of the first administrator", err=True)
        found = accounts.find(email)
        if found is None and any(one.role == ADMIN and one.active for one in accounts.search(limit=500)):
            click.echo("nipo-auth: there is an administrator already; this adds another", err=True)
        if found is None:
            check_new_account(services, email, ADMIN)
        while found is None:
            password = read_password(password_stdin)
            try:
                found = accounts.create(email=email, password=password, name=name, role=ADMIN)
            except PasswordRejected as rejected:
                if password_stdin:
                    raise
                # The rest is typed already, so only the password is asked for again.
                click.echo(f"nipo-auth: {rejected}", err=True)
        show([user_row(found)], as_json, "id", "email", "role", "state", "name")


for _command in (user, session, audit, mail, store, check, dev_cert, i18n):
    cli.add_command(_command)


class _Within(click.Group):
    """The commands within the command line of a framework, which does not know the exceptions of this package."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error ends it with its exit code and one line."""
        try:
            return super().invoke(ctx)
        except AuthError as error:
            ctx.exit(_tell(error))


def commands_of(find: Callable[[], AuthMiddleware], wrap: Callable[[Any], Any]) -> click.Group:
    """The commands of `nipo-auth` on a middleware that is found when one of them runs.

    `wrap` prepares a function for the framework: `with_appcontext` for Flask.
    """

    def auth(context: click.Context) -> None:
        """Manage the accounts of this app: the commands of nipo-auth."""
        context.obj = Context("", find())

    group = _Within("auth", callback=click.pass_context(wrap(auth)), help=auth.__doc__, commands=cli.commands)
    return group


def _tell(error: AuthError) -> int:
    """Print the error. Returns the exit code."""
    text = f"{error.code}: {error}" if isinstance(error, AccountError) else str(error)
    click.echo(f"nipo-auth: {text}", err=True)
    if isinstance(error, ConfigError):
        return _EXIT_CONFIG
    return _EXIT_OUTAGE if isinstance(error, (StoreUnavailable, HashingFailed)) else _EXIT_REFUSED


def main(arguments: list[str] | None = None) -> Any:
    """Run one command and exit.

    Exit codes: 0 done, 1 refused or a fault found, 2 wrong usage or settings, 3 the store cannot be reached or no
    password can be hashed.
    """
    bear_any_terminal()
    try:
        return cli.main(arguments, prog_name="nipo-auth", auto_envvar_prefix=None)
    except AuthError as error:
        sys.exit(_tell(error))
