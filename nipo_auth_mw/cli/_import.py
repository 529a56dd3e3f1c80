"""`nipo-auth user import`: accounts from a file, with the passwords that their users have, or with invitations."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_bulk import Line, code_of, create, create_each
from nipo_auth_mw._flows.staff_json import is_json, rows_of_json, unknown_column
from nipo_auth_mw._flows.staff_rejections import FileRejected
from nipo_auth_mw._flows.staff_rows import AccountRow, read_rows
from nipo_auth_mw._flows.staff_words import ALL_COLUMNS, words_read
from nipo_auth_mw._pages.catalogues import shipped
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw._services import Services
from nipo_auth_mw.cli._context import ACTOR, Context, counted, invited_row, json_option, show_one
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import HashRejected

_SHOWN = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--role", default="staff", show_default=True, help="The role of rows that name none.")
@click.option("--invite", is_flag=True, help="Invite everybody without a hash: by mail, or by a link in the report.")
@click.option("--dry-run", is_flag=True, help="Check every row, and write nothing.")
@json_option
@click.pass_obj
def import_(context: Context, file: Path, role: str, invite: bool, dry_run: bool, as_json: bool) -> None:
    """Create the accounts of a CSV, TSV, xlsx or JSON file, or of a Firebase export.

    Columns: name, reading, email, role, active, notify_email, memo, language, must_change, password_hash; the first
    seven also by their Japanese headings, as the staff list exports them. Each row is created wholly or not at all; one
    whose address has an account is refused. So an interrupted run can be run again. Without --invite no
    mail is sent. Exit code 1 if a row was refused.
    """
    with context.services(writes=not dry_run) as services:
        rows = _read(file, services.config)
        # In a file, click would write the label of the bar alone.
        in_terminal = sys.stderr.isatty()
        bar = click.progressbar(rows, label="accounts", file=sys.stderr) if in_terminal else nullcontext(rows)
        with bar as shown:
            outcomes = _import(services, shown, role, invite, dry_run)
    refused = [_chosen(one, "line", "email", "code", "hash") for one in outcomes if one["code"]]
    invited = [_chosen(one, "email", "invited_until", "link") for one in outcomes if one["invited_until"]]
    kinds = sorted({one["hash"] for one in outcomes if one["hash"]})
    facts = {"created": len(outcomes) - len(refused), "refused": refused, "invited": invited}
    show_one(
        facts | {"hashes": kinds, "dry_run": dry_run}, as_json, _report(outcomes, dry_run, of_app=bool(context.app))
    )
    if refused:
        sys.exit(1)


def _read(file: Path, config: AuthConfig) -> Sequence[AccountRow]:
    """The rows of the file. Raises click's `BadParameter` for another file, and for a column that would be lost."""
    content, words = file.read_bytes(), words_read(Renderer(config).catalogues, config)
    try:
        if is_json(content):
            return rows_of_json(content, words)
        listed = read_rows(content, words, columns=ALL_COLUMNS)
        if listed.ignored:
            raise unknown_column(listed.ignored[0])
        if not listed.rows:
            raise FileRejected("email_column")
    except FileRejected as problem:
        raise click.BadParameter(str(problem), param_hint="FILE") from None
    return listed.rows


def _import(
    services: Services, rows: Iterable[AccountRow], role: str, invite: bool, dry_run: bool
) -> list[dict[str, Any]]:
    """Create each account, or only check whether it could be created. One outcome a row."""
    seen, looked = set[str](), dict[int, tuple[str, str]]()

    def fits(row: AccountRow) -> bool:
        code, _ = looked[row.line] = _look_at(services, row, role, seen)
        return not code and not dry_run

    def line_of(row: AccountRow) -> Line:
        code, _ = looked[row.line]
        if code or dry_run:
            return Line(row, code)
        return create(services, row, role=role, invite=invite, actor=Actor(ACTOR))

    lines = create_each(services, rows, line_of, fits)
    return [_outcome(services, line, "" if line.code else looked[line.row.line][1]) for line in lines]


def _look_at(services: Services, row: AccountRow, role: str, seen: set[str]) -> tuple[str, str]:
    """The code of a row that would be refused, or "", and the system that its hash comes from, or ""."""
    code, system = code_of(services, row, role, seen), ""
    try:
        hashed = None if code else services.hashing.accepted(row.text("password_hash") or None)
        system = services.hashing.check(hashed) if hashed else ""
    except HashRejected as problem:
        code = f"hash_rejected: {problem.kind}, {problem.reason}"
    if not code and row.text("language") not in {"", *services.config.languages}:
        code = "unknown_language"
    return code, system


def _outcome(services: Services, line: Line, system: str) -> dict[str, Any]:
    """The outcome of a row. An invitation without a mail has its link here alone."""
    invited = {"invited_until": None, "link": None} if line.invited is None else invited_row(services, line.invited)
    return {"line": line.row.line, "email": line.row.email, "code": line.code, "hash": system, **invited}


def _chosen(outcome: dict[str, Any], *names: str) -> dict[str, Any]:
    """These facts of an outcome."""
    return {name: outcome[name] for name in names}


def _told(code: str) -> str:
    """A code with what a page says of it, in English as everything at the command line."""
    title = shipped("en").get(f"problem.{code}.title")
    return f"{code} ({title})" if title else code


def _report(outcomes: list[dict[str, Any]], dry_run: bool, *, of_app: bool) -> str:
    """The report for people: the refused rows, the links to hand over, then the sums.

    `of_app`: the hashes were read by the app's own `legacy_hashers`, so nothing is left to do.
    """
    refused = [one for one in outcomes if one["code"]]
    lines = [f"line {one['line']}: {one['email'] or 'no address'}: {_told(one['code'])}" for one in refused[:_SHOWN]]
    lines += [f"... and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
    lines += [f"{one['email']} {one['link']}" for one in outcomes if one["link"]]
    done = "could be created; nothing was written" if dry_run else "created"
    lines.append(f"{counted(len(outcomes) - len(refused), 'account')} {done}, {counted(len(refused), 'row')} refused")
    if mailed := sum(1 for one in outcomes if one["invited_until"] and not one["link"]):
        lines.append(f"{counted(mailed, 'invitation')} sent by mail")
    then = "becomes argon2 when its user signs in" if of_app else "the app has to name this system in legacy_hashers"
    for system, number in sorted(Counter(one["hash"] for one in outcomes if one["hash"]).items()):
        lines.append(f"{counted(number, 'account')} with a hash of {system}: {then}")
    return "\n".join("".join(c for c in line if c.isprintable()) for line in lines)
