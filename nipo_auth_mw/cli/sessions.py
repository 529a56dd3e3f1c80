"""`nipo-auth session`."""

from __future__ import annotations

from typing import Any

import click

from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.cli.context import ACTOR, Context, find, json_option, show, show_one
from nipo_auth_mw.errors import NoSuchAccount
from nipo_auth_mw.flows import devices
from nipo_auth_mw.flows.sweep import sweep as sweep_all
from nipo_auth_mw.models import Session


@click.group()
def session() -> None:
    """The devices people are signed in on."""


@session.command("list")
@click.argument("who")
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
@click.argument("who")
@click.argument("session_id", required=False)
@click.option("--all", "every", is_flag=True, help="End every session of the account.")
@json_option
@click.pass_obj
def end(context: Context, who: str, session_id: str | None, every: bool, as_json: bool) -> None:
    """End one session of an account, by the id that `list` shows, or all of them."""
    if every == (session_id is not None):
        raise click.UsageError("Give the id of one session, or --all.")
    with context.services() as services:
        found = find(Accounts(services), who)
        ended = devices.end_for(services, found.id, session_id, actor=ACTOR)
        if session_id is not None and not ended:
            raise NoSuchAccount(f"{found.email} has no session {session_id!r}")
        show_one({"id": found.id, "ended": ended}, as_json, f"{ended} ended")


@session.command()
@json_option
@click.pass_obj
def sweep(context: Context, as_json: bool) -> None:
    """End what is past its time, seal the history, remove what is older than it is kept: for a timer."""
    with context.services() as services:
        ended = sweep_all(services)
        show_one({"ended": ended}, as_json, f"{ended} ended")


def _row(one: Session) -> dict[str, Any]:
    return {
        "id": one.id,
        "seen_at": one.seen_at.isoformat(timespec="seconds"),
        "created_at": one.created_at.isoformat(timespec="seconds"),
        "kept": one.kept,
        "client_address": one.client_address,
        "user_agent": one.user_agent,
    }
