"""The creation of many accounts from a pasted list, with a password or an invitation each."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from nipo_auth_mw._credentials.generator import generate_password
from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.invitations import Invited, create_invited
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.staff import LONGEST_NAME, create_account
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import AccountError, HashingFailed, NotAllowed
from nipo_auth_mw.models import User

MOST = 200
_KANA = re.compile("[\u3040-\u30ff\u30fc\\s]+\\Z")
_HEADINGS = {
    "email": ("email", "e-mail", "mail", "address", "id", "メール", "メールアドレス", "アドレス", "ログインid"),
    "name": ("name", "名前", "氏名", "お名前"),
    "reading": ("reading", "furigana", "kana", "ふりがな", "フリガナ", "よみがな", "よみ", "読み", "カナ"),
    "role": ("role", "権限"),
    "memo": ("memo", "note", "メモ", "備考"),
}
_COLUMNS = {heading: column for column, headings in _HEADINGS.items() for heading in headings}


@dataclass(frozen=True, slots=True)
class Line:
    """The outcome of one line: `user` with `password` or `invited`, or the `code` of the refusal.

    `text` is the line, to be corrected and sent again; `heading` the line of headings that it stood below, if any.
    """

    text: str
    user: User | None = None
    code: str = ""
    heading: str = ""
    password: str = field(default="", repr=False)
    invited: Invited | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list, by column."""

    text: str
    email: str
    name: str = ""
    role: str = ""
    memo: str = ""
    reading: str = ""
    heading: str = ""


def create_many(
    services: Services,
    pasted: str,
    *,
    role: str,
    roles: Mapping[str, str],
    invite: bool,
    must_change: bool,
    actor: Actor,
) -> list[Line] | Refused:
    """Create one account for each line that is not blank, each of them wholly or not at all.

    `role` is that of lines that name none; `roles` are the roles by the names that a line may have for them. Each user
    gets a password or an invitation of their own. No account is created if there are more than `MOST` lines or none, or
    if `role` is refused. An administrator who loses the right meanwhile creates no further account. Raises
    `StoreUnavailable`.
    """
    rows = rows_of(pasted, roles)
    if not rows:
        return Refused("no_lines")
    if len(rows) > MOST:
        return Refused("too_many_lines", values={"most": MOST})
    if role not in services.config.roles:
        return Refused("unknown_role")
    outcome: list[Line] = []
    for row in rows:
        stopped = bool(outcome) and outcome[-1].code == NotAllowed.code
        outcome.append(
            Line(row.text, heading=row.heading, code=NotAllowed.code)
            if stopped
            else _create(services, row, role, invite, must_change, actor)
        )
    return outcome


def rows_of(pasted: str, roles: Mapping[str, str]) -> list[Row]:
    """The rows of a list that was typed, or pasted from a spreadsheet or a CSV file.

    A first line of headings names the columns. Without it each cell is known by its content: an address by its @, a
    role by its name; of the others one in kana is the reading, the first other one the name, and the next the memo.
    """
    separator = "\t" if "\t" in pasted else ","
    reader = csv.reader(io.StringIO(pasted), delimiter=separator)
    try:
        table = [[" ".join(cell.split()) for cell in cells] for cells in reader]
    except csv.Error:
        # A quotation mark without its end: the lines as they stand.
        table = [[" ".join(cell.split()) for cell in line.split(separator)] for line in pasted.splitlines()]
    table = [cells for cells in table if any(cells)]
    columns = _columns(table[0]) if table else {}
    heading = _joined(table.pop(0), separator) if columns else ""
    rows = []
    for cells in table:
        by_heading = {column: cells[at] for at, column in columns.items() if at < len(cells)}
        facts = by_heading if columns else _by_content(cells, roles)
        rows.append(_row(_joined(cells, separator), facts, roles, heading))
    return rows


def _joined(cells: list[str], separator: str) -> str:
    """The line of these cells, which is read as the same cells again."""
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="").writerow(cells)
    return out.getvalue()[:2000]


def _columns(cells: list[str]) -> dict[int, str]:
    """The columns by their numbers if this is a line of headings, with an address among them."""
    found = {at: _COLUMNS[_folded(cell)] for at, cell in enumerate(cells) if _folded(cell) in _COLUMNS}
    return found if "email" in found.values() and len(set(found.values())) == len(found) else {}


def _by_content(cells: list[str], roles: Mapping[str, str]) -> dict[str, str]:
    """The facts of a line without headings."""
    facts: dict[str, str] = {}
    others = []
    for cell in filter(None, cells):
        if ("@" in cell or "＠" in cell) and "email" not in facts:
            facts["email"] = cell
        elif _folded(cell) in roles and "role" not in facts:
            facts["role"] = cell
        else:
            others.append(cell)
    if len(cells) == 1 and "email" not in facts:
        return {"email": cells[0]}
    readings = [cell for cell in others if _KANA.match(cell)]
    names = [cell for cell in others if cell not in readings]
    if not names:
        # A name that is written in kana is its own reading.
        return facts | dict(zip(("name",), readings, strict=False))
    return facts | dict(zip(("name", "memo"), names, strict=False)) | dict(zip(("reading",), readings, strict=False))


def _row(text: str, facts: Mapping[str, str], roles: Mapping[str, str], heading: str) -> Row:
    """The row of these facts. A role that has no such name stays as it is, and is refused."""
    given = facts.get("role", "")
    email, name, memo, reading = (facts.get(column, "") for column in ("email", "name", "memo", "reading"))
    return Row(text, email, name, roles.get(_folded(given), given), memo, reading[:LONGEST_NAME], heading)


def _folded(text: str) -> str:
    """The text as headings and roles are compared."""
    return unicodedata.normalize("NFKC", text[:100]).casefold().replace(" ", "")


def _create(services: Services, row: Row, role: str, invite: bool, must_change: bool, actor: Actor) -> Line:
    """Create the account of one line. A refusal is its outcome, and the other lines go on."""
    role = row.role or role
    try:
        if invite:
            made = create_invited(
                services, email=row.email, name=row.name, role=role, memo=row.memo, reading=row.reading, actor=actor
            )
            return (
                Line(row.text, heading=row.heading, code=made.code)
                if isinstance(made, Refused)
                else Line(row.text, made[0], invited=made[1])
            )
        password = generate_password(services.config.passwords)
        user = create_account(
            services,
            email=row.email,
            password=password,
            name=row.name,
            role=role,
            active=True,
            notify_email=None,
            language=None,
            must_change=must_change,
            memo=row.memo,
            actor=actor,
            reading=row.reading,
        )
    except AccountError as refused:
        return Line(row.text, heading=row.heading, code=refused.code)
    except (Busy, HashingFailed):
        return Line(row.text, heading=row.heading, code="busy")
    return Line(row.text, user, password=password)
