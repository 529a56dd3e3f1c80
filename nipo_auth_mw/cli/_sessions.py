"""`nipo-auth session`: list and end sessions."""

from __future__ import annotations

from typing import Any

import click

from nipo_auth_mw._flows import devices
from nipo_auth_mw._flows.sweep import sweep as sweep_all
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.cli._context import ACTOR, Context, find, json_option, show, show_one
from nipo_auth_mw.errors import NoSuchAccount
from nipo_auth_mw.models import Session


@click.group()
def session() -> None:
    """List and end the sessions of accounts."""


@session.command("list")
@click.argument("who", metavar="ACCOUNT")
@json_option
@click.pass_obj
def list_(context: Context, who: str, as_json: bool) -> None:
    """List the sessions of an account, the one used last first."""
    with context.services(needs_secret=False) as services:
        found = find(Accounts(services), who)
        sessions = [Session(stored) for stored in services.session_store.sessions_of(found.id)]
        columns = ("id", "seen_at", "created_at", "client_address", "user_agent")
        show([_row(one) for one in sessions], as_json, *columns)


@session.command()
@click.argument("who", metavar="ACCOUNT")
@click.argument("session_id", required=False)
@click.option("--all", "every", is_flag=True, help="End every session of the account.")
@json_option
@click.pass_obj
def end(context: Context, who: str, session_id: str | None, every: bool, as_json: bool) -> None:
    """End one session of an account, by the id that `session list` shows, or all of them."""
    if every == (session_id is not None):
        raise click.UsageError("Give the id of one session, or --all.")
    with context.services() as services:
        found = find(Accounts(services), who)
        ended = devices.end_for(services, found.id, session_id, actor=ACTOR)
        if session_id is not None and not ended:
            raise NoSuchAccount(f"{found.email} has no session {session_id!r}")
        show_one({"id": found.id, "ended": ended}, as_json, f"sessions ended: {ended}")


@session.command()
@json_option
@click.pass_obj
def sweep(context: Context, as_json: bool) -> None:
    """End expired sessions, seal the audit log and remove its old rows. For a timer, where no server runs."""
    with context.services() as services:
        ended = sweep_all(services)
        show_one({"ended": ended}, as_json, f"sessions ended: {ended}")


def _row(one: Session) -> dict[str, Any]:
    """The session as a dictionary for JSON."""
    return {
        "id": one.id,
        "seen_at": one.seen_at.isoformat(timespec="seconds"),
        "created_at": one.created_at.isoformat(timespec="seconds"),
        "persistent": one.persistent,
        "client_address": one.client_address,
        "user_agent": one.user_agent,
    }
