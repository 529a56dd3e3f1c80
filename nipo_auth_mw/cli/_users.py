"""`nipo-auth user`: create, change and delete accounts."""

from __future__ import annotations

import click

from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.cli._context import (
    ACTOR,
    Context,
    find,
    json_option,
    read_password,
    show,
    show_one,
    stdin_option,
    user_row,
)
from nipo_auth_mw.cli._import import import_
from nipo_auth_mw.errors import UnknownRole
from nipo_auth_mw.models import User

_COLUMNS = ("id", "email", "role", "state", "name")


@click.group()
def user() -> None:
    """Create, change and delete accounts, by address or id."""


@user.command("add")
@click.argument("email")
@click.option("--name", default="")
@click.option("--role", default="staff", show_default=True)
@click.option("--no-password", is_flag=True, help="No sign-in works until a password is set.")
@click.option("--must-change", is_flag=True, help="Temporary: the user must choose another within seven days.")
@stdin_option
@json_option
@click.pass_obj
def add(
    context: Context,
    email: str,
    name: str,
    role: str,
    no_password: bool,
    must_change: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Create an account."""
    with context.accounts() as accounts:
        password = None if no_password else read_password(password_stdin)
        made = accounts.create(email=email, password=password, name=name, role=role, must_change=must_change)
        show([user_row(made)], as_json, *_COLUMNS)


@user.command("list")
@click.argument("text", default="")
@json_option
@click.pass_obj
def list_(context: Context, text: str, as_json: bool) -> None:
    """List accounts whose address or name contains TEXT."""
    with context.accounts(needs_secret=False) as accounts:
        found: list[User] = []
        while page := accounts.search(text, after=found[-1].email if found else None, limit=500):
            found += page
        show([user_row(one) for one in found], as_json, *_COLUMNS)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@json_option
@click.pass_obj
def disable(context: Context, who: str, as_json: bool) -> None:
    """Refuse sign-in and end every session at once."""
    _set_active(context, who, False, as_json)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@json_option
@click.pass_obj
def enable(context: Context, who: str, as_json: bool) -> None:
    """Allow sign-in again."""
    _set_active(context, who, True, as_json)


def _set_active(context: Context, who: str, active: bool, as_json: bool) -> None:
    """Enable or disable an account, and print the outcome."""
    with context.accounts() as accounts:
        found = find(accounts, who)
        accounts.set_active(found.id, active)
        show_one({"id": found.id, "active": active}, as_json)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@click.option("--must-change", is_flag=True, help="Temporary: the user must choose another within seven days.")
@stdin_option
@json_option
@click.pass_obj
def password(context: Context, who: str, must_change: bool, password_stdin: bool, as_json: bool) -> None:
    """Set a password. Every session of the account ends, and so does its lock."""
    with context.accounts() as accounts:
        found = find(accounts, who)
        accounts.set_password(found.id, read_password(password_stdin), must_change=must_change)
        show_one({"id": found.id, "must_change": must_change}, as_json)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@click.pass_obj
def delete(context: Context, who: str, yes: bool, as_json: bool) -> None:
    """Delete the account and free its address. Its events stay in the audit log."""
    with context.accounts() as accounts:
        found = find(accounts, who)
        if not yes:
            click.confirm(f"Delete the account of {found.email}?", abort=True, err=True)
        accounts.delete(found.id)
        show_one({"id": found.id, "deleted": True}, as_json)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@json_option
@click.pass_obj
def unlock(context: Context, who: str, as_json: bool) -> None:
    """Clear the count of wrong passwords and the lock."""
    with context.accounts() as accounts:
        found = find(accounts, who)
        accounts.unlock(found.id)
        show_one({"id": found.id, "unlocked": True}, as_json)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@click.argument("role")
@json_option
@click.pass_obj
def role(context: Context, who: str, role: str, as_json: bool) -> None:
    """Give the account another ROLE, one of the setting `roles`."""
    with context.services() as services:
        if role not in services.config.roles:
            raise UnknownRole(f"{role!r} is not among {', '.join(services.config.roles)}")
        accounts = Accounts(services, actor=ACTOR)
        found = find(accounts, who)
        accounts.set_role(found.id, role)
        show_one({"id": found.id, "role": role}, as_json)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@click.argument("address")
@json_option
@click.pass_obj
def email(context: Context, who: str, address: str, as_json: bool) -> None:
    """Change the address of sign-in to ADDRESS. Every session of the account ends, and its owner is told."""
    with context.accounts() as accounts:
        found = find(accounts, who)
        accounts.change_email(found.id, address)
        show_one({"id": found.id, "email": accounts.get(found.id).email}, as_json)  # type: ignore[union-attr]


@user.command()
@click.argument("who", metavar="ACCOUNT")
@click.argument("name")
@json_option
@click.pass_obj
def name(context: Context, who: str, name: str, as_json: bool) -> None:
    """Change the NAME that pages show."""
    with context.accounts() as accounts:
        found = find(accounts, who)
        accounts.set_name(found.id, name)
        show_one({"id": found.id, "name": name}, as_json)


user.add_command(import_)
