"""`nipo-auth user import`: accounts from a file, with the passwords that their users have."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from nipo_auth_mw._flows.account_rows import AccountRow, RowsRejected, read_accounts
from nipo_auth_mw._flows.staff import check_new_account
from nipo_auth_mw._mail import addresses
from nipo_auth_mw._services import Services
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.cli._context import ACTOR, Context, json_option, show_one
from nipo_auth_mw.errors import AccountError, HashRejected

_SHOWN = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--role", default="staff", show_default=True, help="The role of rows that name none.")
@click.option("--dry-run", is_flag=True, help="Check every row, and write nothing.")
@json_option
@click.pass_obj
def import_(context: Context, file: Path, role: str, dry_run: bool, as_json: bool) -> None:
    """Create the accounts of a CSV or JSON file, or of a Firebase export. Mails nobody.

    Columns: email, name, role, password_hash, active, notify_email, language, must_change. Each row is created wholly
    or not at all; one whose address has an account is refused. So an interrupted run can be run again. Exit code 1 if a
    row was refused.
    """
    with context.services(writes=not dry_run) as services:
        rows = list(_read(file))
        with click.progressbar(rows, label="accounts", file=sys.stderr) as shown:
            outcomes = _import(services, shown, role, dry_run)
    refused = [one for one in outcomes if one["code"]]
    kinds = sorted({one["hash"] for one in outcomes if one["hash"]})
    facts = {"created": len(outcomes) - len(refused), "refused": refused, "hashes": kinds, "dry_run": dry_run}
    show_one(facts, as_json, _report(outcomes, dry_run))
    if refused:
        sys.exit(1)


def _read(file: Path) -> Iterable[AccountRow]:
    """The rows of the file. Raises click's `BadParameter` for another file."""
    try:
        yield from read_accounts(file.read_bytes())
    except RowsRejected as problem:
        raise click.BadParameter(str(problem), param_hint="FILE") from None


def _import(services: Services, rows: Iterable[AccountRow], role: str, dry_run: bool) -> list[dict[str, Any]]:
    """Create each account, or only check whether it could be created. One outcome a row."""
    accounts, seen, outcomes = Accounts(services, actor=ACTOR), set[str](), []
    for row in rows:
        facts: dict[str, Any] = {"role": role, **row.facts, "email": row.email}
        code = row.problem or ("unknown_role" if facts["role"] not in services.config.roles else "")
        system = ""
        try:
            if not code:
                hashed = check_new_account(services, facts["email"], facts.get("password_hash"))
                system = services.hashing.check(hashed) if hashed else ""
                code = "email_taken" if addresses.accepted(row.email) in seen else ""
            if not code and not dry_run:
                accounts.create(**facts)
            seen.add(addresses.accepted(row.email))
        except HashRejected as problem:
            code = f"hash_rejected: {problem.kind}, {problem.reason}"
        except AccountError as problem:
            code = problem.code
        except ValueError:
            code = "unknown_language"
        outcomes.append({"line": row.line, "email": row.email, "code": code, "hash": "" if code else system})
    return outcomes


def _report(outcomes: list[dict[str, Any]], dry_run: bool) -> str:
    """The report for people: the refused rows, then the sums."""
    refused = [one for one in outcomes if one["code"]]
    lines = [f"line {one['line']}: {one['email'] or 'no address'}: {one['code']}" for one in refused[:_SHOWN]]
    lines += [f"... and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
    done = "could be created; nothing was written" if dry_run else "created"
    lines.append(f"{len(outcomes) - len(refused)} accounts {done}, {len(refused)} rows refused")
    for system, number in sorted(Counter(one["hash"] for one in outcomes if one["hash"]).items()):
        lines.append(f"{number} have a hash of {system}: the app has to name it in legacy_hashers")
    return "\n".join("".join(c for c in line if c.isprintable()) for line in lines)
