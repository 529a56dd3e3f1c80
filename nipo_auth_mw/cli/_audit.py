"""`nipo-auth audit`: list, export and verify the audit log."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import Any

import click

from nipo_auth_mw._audit.csv_cells import harmless
from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw._flows.audit import AuditFilter, everything
from nipo_auth_mw.cli._context import Context, as_json_text, counted, json_option, show, show_one
from nipo_auth_mw.models import Event

_COLUMNS = ("time", "event", "user_id", "email", "actor", "session", "client_address", "user_agent", "details")
_WORDS = {
    "changed": "row {number} was changed",
    "removed": "row {number} was removed",
    "slipped_in": "row {number} was inserted: it has no valid digest, or is a copy of another row",
    "seal_changed": "seal {number} was changed",
    "seal_removed": "seal {number} was removed",
    "unknown_key": "seal {number} and its rows: sealed with a key that is not among the secret keys",
    "anchor": "seal {number} is not that of the anchor: the end of the audit log was cut off, or this is another log",
}


def _declared(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """The name of an event; click's `BadParameter` for a name that no event has."""
    if not name or name in EventType.declared:
        return name
    near = get_close_matches(name, EventType.declared, 1)
    hint = f"Did you mean {near[0]!r}?" if near else "docs/reference/events.md lists them."
    raise click.BadParameter(f"{name!r} is no event. {hint}")


_day = click.DateTime(formats=["%Y-%m-%d"])
_filters = (
    click.option("--email", default="", help="Events of the account with this address, or that name it."),
    click.option(
        "--event", default="", callback=_declared, metavar="EVENT", help="Events of one kind, such as signed_in."
    ),
    click.option("--from", "first", type=_day, metavar="DAY", help="First day, as 2026-04-01, in NIPO_AUTH_TIMEZONE."),
    click.option("--to", "last", type=_day, metavar="DAY", help="Last day, in the same form."),
)


def _filtered(command: Any) -> Any:
    """The command with the options that filter events."""
    for option in reversed(_filters):
        command = option(command)
    return command


@click.group()
def audit() -> None:
    """List, export and verify the audit log."""


@audit.command("list")
@_filtered
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
@click.pass_obj
def list_(
    context: Context,
    email: str,
    event: str,
    first: datetime | None,
    last: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the newest events."""
    with context.services(needs_secret=bool(email), writes=False) as services:
        found = islice(everything(services, _wanted(email, event, first, last)), limit)
        show([_row(one) for one in found], as_json, *_COLUMNS[:-1])


@audit.command()
@_filtered
@json_option
@click.pass_obj
def export(
    context: Context, email: str, event: str, first: datetime | None, last: datetime | None, as_json: bool
) -> None:
    """Write all events to standard output: as CSV, or with --json as one object a line."""
    with context.services(needs_secret=bool(email), writes=False) as services:
        found = everything(services, _wanted(email, event, first, last))
        if as_json:
            for one in found:
                click.echo(as_json_text(_row(one)))
        else:
            _write_csv(found)


def _anchor(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """The anchor of the option. Raises click's `BadParameter` for another text."""
    if value and not re.fullmatch(r"[1-9][0-9]*:[0-9a-f]{64}", value):
        raise click.BadParameter(
            "is not an anchor. `audit verify` prints one, such as 12:3f0a… with 64 hexadecimal digits."
        )
    return value


@audit.command()
@click.option(
    "--anchor",
    default="",
    metavar="N:CHAIN",
    callback=_anchor,
    help="The anchor that an earlier run printed; shows whether the end was cut off.",
)
@json_option
@click.pass_obj
def verify(context: Context, anchor: str, as_json: bool) -> None:
    """Compare every row with its seal. Exit code 1 if a fault is found.

    Store the anchor that this prints outside the database: only an anchor shows that the end of the audit log was cut
    off.
    """
    with context.services(writes=False) as services:
        verdict = services.seals.verify(anchor)
    wrong = [{"what": what, "number": number} for what, number in verdict.wrong]
    lines = [_WORDS[what].format(number=number) for what, number in verdict.wrong[:20]]
    lines += [f"... and {len(wrong) - 20} more"] if len(wrong) > 20 else []
    # An attacker can write such seals too, so they are no pass, only another matter than a changed row.
    of_lost_keys = bool(wrong) and all(what == "unknown_key" for what, _ in verdict.wrong)
    outcome = "FAULTS FOUND" if wrong else "no fault found"
    if of_lost_keys:
        outcome = "NOT ALL VERIFIED, since a key was dropped; no other fault found"
    lines.append(f"{counted(verdict.rows, 'row')}, {verdict.unsealed} of them not sealed yet: {outcome}")
    lines.append(f"anchor {verdict.anchor}" if verdict.anchor else "no seals yet")
    facts = {"rows": verdict.rows, "unsealed": verdict.unsealed, "anchor": verdict.anchor, "wrong": wrong}
    show_one(facts, as_json, "\n".join(lines))
    if wrong:
        sys.exit(1)


def _wanted(email: str, event: str, first: datetime | None, last: datetime | None) -> AuditFilter:
    """The filter that the options ask for."""
    return AuditFilter(email, event, first.date() if first else None, last.date() if last else None)


def _row(one: Event) -> dict[str, Any]:
    """The event as a dictionary for JSON."""
    row = {name: getattr(one, name) for name in _COLUMNS}
    return row | {"time": one.time.isoformat(timespec="milliseconds"), "details": dict(one.details)}


def _write_csv(events: Iterable[Event]) -> None:
    """Write the events as CSV, with cells that no spreadsheet runs as formulas."""
    writer = csv.writer(sys.stdout)
    writer.writerow(_COLUMNS)
    for one in events:
        row = _row(one)
        row["details"] = json.dumps(row["details"], ensure_ascii=False) if row["details"] else ""
        cells = ["" if row[name] is None else str(row[name]) for name in _COLUMNS]
        writer.writerow([harmless(cell) for cell in cells])
