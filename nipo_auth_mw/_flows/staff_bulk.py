"""The creation of many accounts from a list: first looked over, then created with a password or an invitation each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.invitations import Invited, create_invited
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.staff import check_new_account, create_account
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_rows import AccountRow
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import AccountError, HashingFailed, NotAllowed
from nipo_auth_mw.models import User

MOST = 200
"""The rows of one request. Each of them may cost a hash."""


_TOGETHER = 20
"""The rows of one transaction. Other writers wait for it some hundredths of a second."""


class _RefusedTogether(Exception):
    """A row of a transaction is refused."""


@dataclass(frozen=True, slots=True)
class Line:
    """The outcome of one row: `user`, or the `code` of the refusal; neither for a row that could be created.

    A user has got a `password` or is `invited`. A disabled account has neither.
    """

    row: AccountRow
    code: str = ""
    user: User | None = None
    password: str = field(default="", repr=False)
    invited: Invited | None = field(default=None, repr=False)


def look_over(services: Services, rows: Sequence[AccountRow], *, role: str) -> list[Line] | Refused:
    """What would become of each row. Nothing is stored. `role` is that of rows that name none.

    Refused if there are more than `MOST` rows or none, or if `role` is unknown. Raises `StoreUnavailable`.
    """
    if refused := _unfit(services, rows, role):
        return refused
    seen: set[str] = set()
    return [Line(row, code_of(services, row, role, seen)) for row in rows]


def create_many(
    services: Services,
    rows: Sequence[AccountRow],
    *,
    role: str,
    invite: bool,
    must_change: bool,
    actor: Actor,
    password_for: Callable[[str], str],
) -> list[Line] | Refused:
    """Create one account for each row, each of them wholly or not at all.

    Each user gets an invitation, or a password that `password_for` makes for the address as it stands in the list. What
    `look_over` refuses is refused here, too. An administrator who loses the right meanwhile creates no further account.
    Raises `StoreUnavailable`.
    """
    if refused := _unfit(services, rows, role):
        return refused
    stopped, seen = False, set[str]()

    def line_of(row: AccountRow) -> Line:
        nonlocal stopped
        if stopped:
            return Line(row, NotAllowed.code)
        made = create(
            services, row, role=role, invite=invite, password_for=password_for, must_change=must_change, actor=actor
        )
        stopped = made.code == NotAllowed.code
        return made

    def fits(row: AccountRow) -> bool:
        # An address that is twice in the list would be refused among the others, and their quotas be spent twice.
        return not stopped and not code_of(services, row, role, seen)

    return list(create_each(services, rows, line_of, fits, hashes=not invite))


def create_each(
    services: Services,
    rows: Iterable[AccountRow],
    line_of: Callable[[AccountRow], Line],
    fits: Callable[[AccountRow], bool],
    *,
    hashes: bool = False,
) -> Iterator[Line]:
    """The outcome that `line_of` makes of each row, which it creates wholly or not at all. It is asked after `fits`.

    Rows that `fits` finds fit are written together, since a disk may take a hundredth of a second for each transaction.
    Where one of them is refused after all, each is written alone. With `hashes` each is, too: a transaction that hashes
    passwords holds up the other writers of the store. Raises `StoreUnavailable`: then the rows of the last outcomes,
    and all before them, are stored.
    """
    together = not hashes and services.log.covers(services.users, services.account_states, services.audit)
    batch: list[AccountRow] = []
    for row in rows:
        fit = fits(row) and together
        if fit:
            batch.append(row)
        if not fit or len(batch) == _TOGETHER:
            yield from _written(services, batch, line_of)
            batch = []
        if not fit:
            yield line_of(row)
    yield from _written(services, batch, line_of)


def _written(services: Services, batch: Sequence[AccountRow], line_of: Callable[[AccountRow], Line]) -> list[Line]:
    """The outcomes of these rows in one transaction, or of each row alone if one of them is refused."""
    if len(batch) < 2:
        return [line_of(row) for row in batch]
    try:
        with services.log.transaction():
            lines = []
            for row in batch:
                lines.append(line_of(row))
                if lines[-1].code:
                    raise _RefusedTogether
            return lines
    except _RefusedTogether:
        return [line_of(row) for row in batch]


def code_of(services: Services, row: AccountRow, role: str, seen: set[str]) -> str:
    """The code with which the row would be refused, "" for none. `seen` are the addresses of the rows before, and gets
    this one. Writes nothing."""
    if row.problem:
        return row.problem
    try:
        address = services.addresses.accepted(row.email)
        if address in seen:
            return "email_twice"
        seen.add(address)
        if notify := row.text("notify_email"):
            services.addresses.receiving(notify)
        check_new_account(services, address, row.text("role") or role)
    except AccountError as refused:
        return refused.code
    return ""


def create(
    services: Services,
    row: AccountRow,
    *,
    role: str,
    invite: bool = False,
    password_for: Callable[[str], str] | None = None,
    must_change: bool = False,
    actor: Actor,
) -> Line:
    """Create the account of one row, with an invitation or a password if they are asked for. A refusal is its outcome.

    A disabled account gets neither: both would end before it is enabled. Nor does one whose hash is in the row.
    Raises `ValueError` for a language that is not configured, and `HashRejected`.
    """
    facts: dict[str, Any] = {
        "email": row.email,
        "name": row.text("name"),
        "reading": row.text("reading"),
        "role": row.text("role") or role,
        "notify_email": row.text("notify_email") or None,
        "language": row.text("language") or None,
        "memo": row.text("memo"),
        "actor": actor,
    }
    try:
        hashed = services.hashing.accepted(row.text("password_hash") or None)
        if invite and row.active and hashed is None:
            made = create_invited(services, **facts)
            return Line(row, made.code) if isinstance(made, Refused) else Line(row, user=made[0], invited=made[1])
        given = password_for(row.email) if password_for and row.active and hashed is None else None
        must_change = must_change or row.facts.get("must_change") is True
        user = create_account(
            services, **facts, password=given, password_hash=hashed, active=row.active, must_change=must_change
        )
    except AccountError as refused:
        return Line(row, refused.code)
    except (Busy, HashingFailed):
        return Line(row, "busy")
    return Line(row, user=user, password=given or "")


def _unfit(services: Services, rows: Sequence[AccountRow], role: str) -> Refused | None:
    """The refusal of a whole list."""
    if not rows:
        return Refused("no_lines")
    if len(rows) > MOST:
        return Refused("too_many_lines", values={"most": MOST})
    return None if role in services.config.roles else Refused("unknown_role")
