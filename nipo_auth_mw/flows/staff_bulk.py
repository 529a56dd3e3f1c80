"""Many accounts from a pasted list."""

from __future__ import annotations

from dataclasses import dataclass

from nipo_auth_mw.errors import AccountError
from nipo_auth_mw.flows.signin import Refused
from nipo_auth_mw.flows.staff import Actor, create_account
from nipo_auth_mw.models import User
from nipo_auth_mw.parts.gate import Busy
from nipo_auth_mw.parts.services import Services

MOST = 50


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one line: `user`, or the `code` of the reason why there is none."""

    text: str
    user: User | None = None
    code: str = ""


def create_many(
    services: Services, pasted: str, *, role: str, password: str, must_change: bool, actor: Actor
) -> list[Line] | Refused:
    """One account a line that is not blank, each made wholly or not at all. None is made when there are more than 50,
    none, or the role or the password is unfit. Raises `PasswordRejected`, `StoreUnavailable`."""
    lines = [line.strip() for line in pasted.splitlines() if line.strip()]
    if not lines:
        return Refused("no_lines")
    if len(lines) > MOST:
        return Refused("too_many_lines")
    if role not in services.config.roles:
        return Refused("unknown_role")
    services.passwords.check(password)
    return [_create(services, line, role, password, must_change, actor) for line in lines]


def _create(services: Services, text: str, role: str, password: str, must_change: bool, actor: Actor) -> Line:
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
    except Busy:
        return Line(text[:254], code="busy")
    return Line(text[:254], user)
