"""`nipo-auth user`: create, change and delete accounts."""

from __future__ import annotations

from datetime import datetime

import click

from nipo_auth_mw._flows.invitations import Invited, create_invited, revoke_invitation
from nipo_auth_mw._flows.invitations import invite as _invite
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.staff import check_new_account
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_security import Security, reset_factors, security_of
from nipo_auth_mw._services import Services
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.cli._context import (
    ACTOR,
    Context,
    find,
    invited_row,
    json_option,
    read_password,
    show,
    show_one,
    stdin_option,
    user_row,
)
from nipo_auth_mw.cli._export import export_
from nipo_auth_mw.cli._import import import_
from nipo_auth_mw.errors import NotSupported
from nipo_auth_mw.models import User

_COLUMNS = ("id", "email", "role", "state", "name")
_UNTOLD = "no mail was sent, since only --app MODULE:NAME has a mailer: tell the owner"
_REASONS = {"cannot_invite": "the account has a password, or is disabled"}


@click.group()
def user() -> None:
    """Create, change and delete accounts, by address or id."""


@user.command("add")
@click.argument("email")
@click.option("--name", default="")
@click.option("--role", default="staff", show_default=True)
@click.option("--no-password", is_flag=True, help="No sign-in works until a password is set.")
@click.option("--invite", is_flag=True, help="No password: the user sets one by a link, which is mailed or printed.")
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
    invite: bool,
    must_change: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Create an account."""
    if invite and (no_password or must_change or password_stdin):
        raise click.UsageError("--invite goes with none of --no-password, --must-change and --password-stdin.")
    if invite:
        with context.services() as services:
            outcome = create_invited(services, email=email, name=name, role=role, actor=Actor(ACTOR))
            _show_invited(services, outcome if isinstance(outcome, Refused) else outcome[1], as_json)
        return
    with context.services() as services:
        check_new_account(services, email, role)
        password = None if no_password else read_password(password_stdin)
        made = Accounts(services, actor=ACTOR).create(
            email=email, password=password, name=name, role=role, must_change=must_change
        )
        show([user_row(made)], as_json, *_COLUMNS)


@user.command()
@click.argument("who", metavar="ACCOUNT")
@click.option("--revoke", is_flag=True, help="Only end the present invitation.")
@json_option
@click.pass_obj
def invite(context: Context, who: str, revoke: bool, as_json: bool) -> None:
    """Make a new link by which the owner of an account without a password sets one. It ends the older link."""
    with context.services() as services:
        found = find(Accounts(services, actor=ACTOR), who)
        if revoke:
            revoke_invitation(services, found.id, actor=Actor(ACTOR))
            show_one({"id": found.id, "revoked": True}, as_json)
        else:
            _show_invited(services, _invite(services, found.id, actor=Actor(ACTOR)), as_json)


def _show_invited(services: Services, outcome: Invited | Refused, as_json: bool) -> None:
    """Print the outcome of an invitation: the link, unless a mail brings it."""
    if isinstance(outcome, Refused):
        raise click.ClickException(f"{outcome.code}: {_REASONS.get(outcome.code, 'not invited')}")
    row = {"id": outcome.account.id, "email": outcome.account.email, **invited_row(services, outcome)}
    show_one(row, as_json, row["link"] or f"mailed to {outcome.account.email}")


@user.command("list")
@click.argument("text", default="")
@click.option("--without-second-step", is_flag=True, help="Only those that a password alone signs in.")
@json_option
@click.pass_obj
def list_(context: Context, text: str, without_second_step: bool, as_json: bool) -> None:
    """List accounts whose address or name contains TEXT."""
    with context.services(needs_secret=False) as services:
        found: list[User] = []
        after = None
        while page := Accounts(services, actor=ACTOR).search(text, after=after, limit=500):
            after = page[-1].email
            states = services.account_states.account_states([one.id for one in page]) if without_second_step else {}
            found += [one for one in page if one.id not in states or states[one.id].two_step is None]
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
    """Clear the counts of wrong passwords and wrong codes, and their locks."""
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
    with context.accounts() as accounts:
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
        show_one({"id": found.id, "email": find(accounts, found.id).email}, as_json)


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


@user.command()
@click.argument("who", metavar="ACCOUNT")
@click.option("--reset", is_flag=True, help="Remove the app, the passkeys and the backup codes, and end every session.")
@json_option
@click.pass_obj
def security(context: Context, who: str, reset: bool, as_json: bool) -> None:
    """Show how an account proves its second step, or remove it for an owner who has lost the phone and the codes."""
    with context.services(needs_secret=reset, writes=reset) as services:
        found = find(Accounts(services, actor=ACTOR), who)
        if reset:
            reset_factors(services, found.id, actor=Actor(ACTOR))
            told = services.outbox.sends
            show_one({"id": found.id, "reset": True, "told": told}, as_json, "" if told else _UNTOLD)
            return
        shown = security_of(services, found.id, services.account_states.account_state(found.id))
        if shown is None:
            raise NotSupported("the session store is no AccountFactorStore")
        _show_security(found, shown, as_json)


def _show_security(user: User, shown: Security, as_json: bool) -> None:
    """Print the switch, one line for each proof, and the number of backup codes."""
    factors = [
        {"kind": one.kind, "name": one.name, "added": _iso(one.created_at), "used": _iso(one.used_at)}
        for one in shown.factors
    ]
    since = _iso(shown.since)
    if as_json:
        row = {"id": user.id, "email": user.email, "two_step_since": since, "factors": factors}
        show_one(row | {"backup_codes": shown.codes_left}, as_json)
        return
    show([{"what": "two steps", "value": f"on since {since}" if since else "off"}], False, "what", "value")
    show(factors, False, "kind", "added", "used", "name")
    show([{"what": "backup codes", "value": shown.codes_left}], False, "what", "value")


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


user.add_command(import_)
user.add_command(export_)
