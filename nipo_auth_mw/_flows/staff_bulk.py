"""The creation of many accounts from a pasted list."""

from __future__ import annotations

from dataclasses import dataclass

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.staff import create_account
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._services import Services
from nipo_auth_mw.errors import AccountError, HashingFailed, NotAllowed
from nipo_auth_mw.models import User

MOST = 50


@dataclass(frozen=True, slots=True)
class Line:
    """The outcome of one line: `user`, or the `code` of the refusal."""

    text: str
    user: User | None = None
    code: str = ""


def create_many(
    services: Services, pasted: str, *, role: str, password: str, must_change: bool, actor: Actor
) -> list[Line] | Refused:
    """Create one account for each line that is not blank, each of them wholly or not at all.

    No account is created if there are more than 50 lines or none, or if the role or the password is refused. An
    administrator who loses the right meanwhile creates no further account. Raises `PasswordRejected` and
    `StoreUnavailable`.
    """
    lines = [line.strip() for line in pasted.splitlines() if line.strip()]
    if not lines:
        return Refused("no_lines")
    if len(lines) > MOST:
        return Refused("too_many_lines", values={"most": MOST})
    if role not in services.config.roles:
        return Refused("unknown_role")
    services.password_rules.check(password)
    outcome: list[Line] = []
    for line in lines:
        stopped = bool(outcome) and outcome[-1].code == NotAllowed.code
        outcome.append(
            Line(line[:254], code=NotAllowed.code)
            if stopped
            else _create(services, line, role, password, must_change, actor)
        )
    return outcome


def _create(services: Services, text: str, role: str, password: str, must_change: bool, actor: Actor) -> Line:
    """Create the account of one line. A refusal is its outcome, and the other lines go on."""
    try:
        user = create_account(
            services,
            email=text,
            password=password,
            name="",
            role=role,
            active=True,
            notify_email=None,
            language=None,
            must_change=must_change,
            actor=actor,
        )
    except AccountError as refused:
        return Line(text[:254], code=refused.code)
    except (Busy, HashingFailed):
        return Line(text[:254], code="busy")
    return Line(text[:254], user)
