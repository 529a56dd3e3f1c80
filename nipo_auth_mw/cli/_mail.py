"""`nipo-auth mail`: list, send, retry and drop the mails of the outbox."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import click

from nipo_auth_mw._mail.addresses import accepted
from nipo_auth_mw._services import Services
from nipo_auth_mw.cli._context import Context, json_option, show, show_one
from nipo_auth_mw.errors import ConfigError, MailerError
from nipo_auth_mw.models import Message, QueuedMail

_COLUMNS = ("key", "state", "kind", "to", "queued_at", "tries", "reason")
_AT_ONCE = 1000
_EVERY = 5.0

_which = (
    click.argument("key", required=False),
    click.option("--all", "every", is_flag=True, help="All mails that were given up."),
    json_option,
    click.pass_obj,
)


def _chosen(command: Any) -> Any:
    """The command with the argument and the option that choose mails."""
    for option in reversed(_which):
        command = option(command)
    return command


@click.group()
def mail() -> None:
    """List, send, retry and drop the mails of the outbox."""


@mail.command("list")
@click.option("--failed", is_flag=True, help="Only mails that were given up.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
@click.pass_obj
def list_(context: Context, failed: bool, limit: int, as_json: bool) -> None:
    """List the mails that are on their way or were given up, the oldest first."""
    with context.services(needs_secret=False) as services:
        found = services.outbox.rows.mails(state="failed" if failed else None, limit=limit)
        show([_row(one) for one in found], as_json, *_COLUMNS)


@mail.command()
@click.option("--loop", is_flag=True, help="Go on, and look every five seconds, until the command is interrupted.")
@json_option
@click.pass_obj
def send(context: Context, loop: bool, as_json: bool) -> None:
    """Send the mails that are due, by the mailer of --app. For a timer or a service, where server processes are
    short-lived."""
    with context.services() as services:
        if not services.outbox.sends:
            raise ConfigError("--app", "is missing, or the app has no mailer", "Give --app reports:app.")
        services.outbox.deliver()
        while loop:
            time.sleep(_EVERY)
            services.outbox.deliver()
        left = {state: services.outbox.rows.count_mails(state) for state in ("asked", "waiting", "failed")}
        waiting = left["asked"] + left["waiting"]
        show_one(left, as_json, f"mails waiting: {waiting}, given up: {left['failed']}")


@mail.command()
@click.argument("address")
@json_option
@click.pass_obj
def test(context: Context, address: str, as_json: bool) -> None:
    """Send one mail to ADDRESS now, by the mailer of --app, and say what the mail server answered."""
    with context.services() as services:
        if not services.outbox.sends:
            raise ConfigError("--app", "is missing, or the app has no mailer", "Give --app reports:app.")
        site = services.config.site_name or services.config.base_url
        text = f"This mail shows that {site} can send mails. It was asked for with `nipo-auth mail test`.\n"
        try:
            services.outbox.send_now(Message(accepted(address), f"[{site}] Test", text))
        except MailerError as problem:
            raise click.ClickException(f"the mail server did not take the mail: {problem}") from None
        show_one({"sent": address}, as_json, f"the mail server took a mail to {address}; look into the mailbox")


@mail.command()
@_chosen
def retry(context: Context, key: str | None, every: bool, as_json: bool) -> None:
    """Queue mails again that were given up, by the keys that `mail list` shows. A server sends them."""
    with context.services() as services:
        chosen = _given_up(services, key, every)
        again = [
            replace(one, state="waiting" if one.user_id else "asked", due_in=0.0, claimed_for=0.0, tries=0)
            for one in chosen
        ]
        services.outbox.rows.add_mails(again)
        show_one({"queued": len(again)}, as_json, f"mails queued again: {len(again)}")


@mail.command()
@_chosen
def drop(context: Context, key: str | None, every: bool, as_json: bool) -> None:
    """Remove mails that were given up. Their events stay in the audit log."""
    with context.services() as services:
        dropped = sum(services.outbox.rows.remove_mail(one) for one in _given_up(services, key, every))
        show_one({"dropped": dropped}, as_json, f"mails dropped: {dropped}")


def _given_up(services: Services, key: str | None, every: bool) -> Sequence[QueuedMail]:
    """The dead letters that the arguments choose."""
    if every == (key is not None):
        raise click.UsageError("Give the key of one mail, or --all.")
    found = services.outbox.rows.mails(state="failed", limit=_AT_ONCE)
    chosen = [one for one in found if every or one.key == key]
    if key is not None and not chosen:
        raise click.ClickException(f"no mail that was given up has the key {key!r}")
    return chosen


def _row(one: QueuedMail) -> dict[str, Any]:
    """The mail as a dictionary for JSON, without its facts."""
    row = asdict(replace(one, facts={}))
    del row["facts"]
    return {**row, "queued_at": datetime.fromtimestamp(one.queued_at, UTC).isoformat(timespec="seconds")}
